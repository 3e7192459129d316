//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// detach puts a peer into a process group of its own, so that an interrupt
// typed at the terminal reaches the demo alone, which then ends the peers.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
