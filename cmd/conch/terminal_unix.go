//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// ignoreTerminal lets a peer in the background go on: by default, a read from
// the terminal stops such a process, and so all who wait for it. The read fails
// instead, and no more commands are read.
func ignoreTerminal() { signal.Ignore(syscall.SIGTTIN) }
