//go:build unix && !aix && !solaris

package command

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminal is the controlling terminal.
type terminal struct {
	fd      int           // -1: there is none
	group   int           // ours
	modes   *unix.Termios // as they were when we came
	command *unix.Termios // as they were when the command stopped
	given   bool          // to the command
	lent    bool          // it had it when it stopped
}

// openTerminal opens it by its name, since stdin may be something else while the
// command still asks for a password at the terminal.
func openTerminal() *terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &terminal{fd: -1}
	}
	t := &terminal{fd: fd, group: unix.Getpgrp()}
	if t.modes, err = unix.IoctlGetTermios(fd, getTermios); err != nil {
		unix.Close(fd)
		return &terminal{fd: -1}
	}
	return t
}

func (t *terminal) close() {
	if t.fd >= 0 {
		unix.Close(t.fd)
	}
}

// foreground says that our group has the terminal.
func (t *terminal) foreground() bool {
	if t.fd < 0 {
		return false
	}
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && group == t.group
}

// ours says that we have the terminal, and alone: then the command gets it at
// once. Beside us may be others of a pipeline or a script: a pager must be able
// to read its keys, and a script to hear Ctrl-C. Then the command gets the
// terminal when it asks for it (see halt), and what is typed to stop us all is
// passed on to it.
func (t *terminal) ours() bool {
	if !t.foreground() || os.Getpid() != t.group {
		return false
	}
	for fd := range 2 {
		if _, err := unix.IoctlGetTermios(fd, getTermios); err != nil {
			return false
		}
	}
	return true
}

// give gives the terminal to the command, when it is ours.
func (t *terminal) give(group int) {
	if t.command != nil {
		unix.IoctlSetTermios(t.fd, setTermios, t.command)
		t.command = nil
	}
	t.given = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group) == nil
	t.lent = false
}

// take takes the terminal back, if the command has it. We are in the background
// then, and SIGTTOU, which that brings, is ignored.
func (t *terminal) take() {
	if t.given {
		unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, t.group)
		t.given = false
	}
}

// lend takes the terminal back while the command is stopped, in the state in
// which it was before the command.
func (t *terminal) lend() {
	if !t.given {
		return
	}
	t.take()
	t.lent = true
	if modes, err := unix.IoctlGetTermios(t.fd, getTermios); err == nil {
		t.command = modes
		t.restore()
	}
}

// restore gives the terminal the modes that it had before the command: it died
// and could not do it. What a command leaves that ends by itself is its will
// (stty).
func (t *terminal) restore() {
	if t.foreground() {
		unix.IoctlSetTermios(t.fd, setTermios, t.modes)
	}
}
