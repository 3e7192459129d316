// Package command runs a command while something is held, and stops it, with
// everything that it has started, before that ends. It knows nothing of locks: a
// [Hold] has a context and a deadline, and that is all.
//
// The command has the caller's own stdin, stdout and stderr (no pipes) and the
// terminal, in a process group of its own. Signals reach it, Ctrl-C and Ctrl-Z
// work as without us, and its exit code is passed on.
//
// Run takes over the process that calls it: its signals, and its children, all of
// which it waits for. Nothing else may start processes meanwhile (os/exec would
// miss its children), and there is one Run at a time. SIGTTOU stays ignored.
//
// # What is ended, and where not
//
// On Linux the process becomes a subreaper: who leaves the command's group, by
// setsid or a double fork, is found as a descendant. Elsewhere only the group is.
// Not found are processes that others start on the command's behalf (cron, at,
// systemd-run, docker, a server that was asked to). Who runs as another user
// (sudo) cannot be killed by us; it gets what the terminal sends, and is in
// Result.Left if it outlives the hold. Cgroups would add nothing to this but
// atomicity, and need a delegated one: rounds until nobody is left do it as well.
//
// If we are killed (SIGKILL) the command dies at once, on Linux, by its parent
// death signal; not if it is set-uid, as the system clears the signal then. What
// the command has started does not die by that: a shell's child lives on.
// Elsewhere the command itself lives on, too. A service manager that kills the
// whole cgroup (systemd does) has no such gap.
//
// If we are stopped by SIGSTOP and the command is not, nobody is there to end it
// when the lease does; so it is, too, while the machine sleeps, but then the
// command sleeps as well. That only a fencing token can tell.
package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Hold is what must last while the command runs.
type Hold interface {
	// Context ends when the hold has ended, a margin before its lease can.
	Context() context.Context
	// Deadline returns when the lease ends as far as it is renewed by now, by the
	// monotonic clock; a later call may return a later time. Zero: there is no lease.
	Deadline() time.Time
}

// Spec says what to run.
type Spec struct {
	// Args are the program and its arguments.
	Args []string
	// Shell joins Args by blanks and has the user's shell read that, as flock -c
	// and consul lock do: $SHELL, or /bin/sh.
	Shell bool
	// KillAfter is how long the command may take to end after SIGTERM, until
	// SIGKILL. The end of the lease may leave it less. Zero: no SIGTERM.
	KillAfter time.Duration
	// Signals are sent to the command's group as they come; nil if none will.
	Signals <-chan syscall.Signal
	// Warn is told what the user should know meanwhile, in a line without an end of
	// line. It must not block for long: nobody watches the lease until it returns.
	Warn func(string)
}

// Command is a program that was found.
type Command struct {
	spec Spec
	path string
	argv []string
}

// Result says how the command ended.
type Result struct {
	// Code is the command's exit code, 128+n if signal n ended it, 127 if it was not
	// found and 126 if it could not be started. If it was not even tried to start
	// it, because the hold or the context had ended, that is as if SIGTERM had
	// ended it at once.
	Code int
	// Signal is what ended the command, or zero. A caller that wants its own parent
	// to see that as well (a script that is to end by Ctrl-C) sends it to itself.
	Signal syscall.Signal
	// Lost says that the command, or what it left behind, was told to end since the
	// hold had ended or its lease was about to.
	Lost bool
	// Left are the processes that could not be ended before the hold did.
	Left []Process
	// Err says why the command was not started.
	Err error
}

// Process is one that the command has started.
type Process struct {
	PID  int
	Name string
}

func (p Process) String() string { return fmt.Sprintf("%s (%d)", p.Name, p.PID) }

// StartError says why a command cannot be run. Code is what a shell would exit
// with: 127 if there is no such program, 126 if it is not one that can be run.
type StartError struct {
	Name string
	Code int
	Err  error
}

func (e *StartError) Error() string { return e.Name + ": " + e.Err.Error() }

func (e *StartError) Unwrap() error { return e.Err }

// Resolve finds the program as a shell does, so that nobody waits for a lock
// in order to learn of a typing mistake. The error is a *StartError.
func (s Spec) Resolve() (*Command, error) {
	if len(s.Args) == 0 || s.Args[0] == "" && !s.Shell {
		return nil, &StartError{Name: "no command", Code: 127, Err: os.ErrNotExist}
	}
	if !supported {
		return nil, &StartError{Name: s.Args[0], Code: 126, Err: errUnsupported}
	}
	if s.Warn == nil {
		s.Warn = func(string) {}
	}
	c := &Command{spec: s, argv: s.Args}
	if s.Shell {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		c.argv = []string{shell, "-c", strings.Join(s.Args, " ")}
	}
	path, err := find(c.argv[0])
	if err != nil {
		return nil, err
	}
	c.path = path
	return c, nil
}

// find looks for a program in $PATH, unless its name says where it is.
func find(name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return name, runnable(name, name)
	}
	best := error(&StartError{Name: name, Code: 127, Err: fmt.Errorf("%w in $PATH", errNotFound)})
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if dir == "" {
			dir = "." // so say shells
		}
		path := filepath.Join(dir, name)
		if !strings.ContainsRune(path, '/') {
			path = "./" + path // Join has taken it away
		}
		err := runnable(name, path)
		if err == nil {
			return path, nil
		}
		if err.(*StartError).Code == 126 { // another one further on may do, but this says more than that there is none
			best = err
		}
	}
	return "", best
}

// runnable returns nil or a *StartError, as an error.
func runnable(name, path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil && (os.IsPermission(err)):
		return &StartError{Name: name, Code: 126, Err: os.ErrPermission}
	case err != nil:
		return &StartError{Name: name, Code: 127, Err: errNotFound}
	case info.IsDir():
		return &StartError{Name: name, Code: 126, Err: errDirectory}
	case !executable(path, info):
		return &StartError{Name: name, Code: 126, Err: os.ErrPermission}
	}
	return nil
}

// environment returns base with each NAME=VALUE of added in place of all of that
// name. It would not do to have both: who reads an environment may take the first
// or the last, and a command inside a command would see the outer one's values.
func environment(base, added []string) []string {
	name := func(entry string) string { n, _, _ := strings.Cut(entry, "="); return n }
	replaced := make(map[string]bool, len(added))
	for _, e := range added {
		replaced[name(e)] = true
	}
	env := make([]string, 0, len(base)+len(added))
	for _, e := range base {
		if !replaced[name(e)] {
			env = append(env, e)
		}
	}
	for i, e := range added {
		again := false
		for _, later := range added[i+1:] {
			again = again || name(later) == name(e)
		}
		if !again {
			env = append(env, e)
		}
	}
	return env
}
