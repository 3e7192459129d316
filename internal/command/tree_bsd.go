//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package command

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one of the command's, or here: all of its group together.
type process struct {
	pid, group int
	name       string
	stopped    bool
}

// tree finds the command's processes, of which here only the group is known.
type tree struct {
	group     int
	adopts    bool
	strangers map[int]bool
}

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func adopt() *tree { return &tree{strangers: make(map[int]bool)} }

func (t *tree) close() {}

// again: the last of a group is not our child, and nothing tells when it ends.
func (t *tree) again(now time.Time) time.Time { return now.Add(50 * time.Millisecond) }

// survey returns the group, if there is anybody in it. A group that was sent
// SIGSTOP counts as stopped: there is no portable way to see that it is.
func (t *tree) survey() []process {
	if err := unix.Kill(-t.group, 0); err == unix.ESRCH {
		return nil
	}
	return []process{{pid: -t.group, group: t.group, name: "process group", stopped: true}}
}

// orphans: those of others do not become ours.
func (t *tree) orphans() []int { return nil }

// canStop says that somebody is there who continues us when we stop: our parent,
// if it is of our session and we lead our group. Of others' parents one cannot
// know here; a script is taken to have a shell.
func canStop() bool {
	group := unix.Getpgrp()
	if os.Getpid() != group {
		return true
	}
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	parent, err := unix.Getsid(os.Getppid())
	return err == nil && parent == session
}

// stopOthers leaves the others of our group to the terminal.
func stopOthers() {}

// stopSelf stops us. It may return a moment before that happens.
func stopSelf() { unix.Kill(os.Getpid(), unix.SIGSTOP) }

func pause() {}
