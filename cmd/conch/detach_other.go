//go:build !unix

package main

import "os/exec"

// detach does nothing where process groups are something else.
func detach(*exec.Cmd) {}
