//go:build !unix

package main

// ignoreTerminal does nothing where a terminal stops no process.
func ignoreTerminal() {}
