package main

import (
	"os/exec"
	"syscall"
)

// detach puts a peer into a process group of its own, so that an interrupt
// typed at the terminal reaches the demo alone, which then ends the peers. If
// the demo is killed, the peers are interrupted by the system.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
