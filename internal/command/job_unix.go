//go:build unix && !aix && !solaris

package command

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen has signals sent to us instead of ending us. One that our caller ignores
// stays so, also for the command: nohup, and what a shell starts in its background.
func (r *runner) listen() {
	for _, s := range []os.Signal{
		unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH,
		unix.SIGTSTP, unix.SIGCONT,
		unix.SIGPIPE, // so that a word to a closed stderr does not end us, and the command with us
	} {
		if !signal.Ignored(s) {
			signal.Notify(r.signals, s)
		}
	}
	signal.Notify(r.children, unix.SIGCHLD)
}

// handle passes a signal on to the command's group. What the terminal sends when
// a key is pressed goes to its foreground group: that is the command's, and we do
// not see it, or it is ours, and the command gets it from here. So it is never
// sent twice.
func (r *runner) handle(s syscall.Signal) {
	switch s {
	case unix.SIGPIPE:
	case unix.SIGCONT:
		r.resume()
	case unix.SIGTSTP:
		if r.exited { // nobody is there to say whether it stops
			r.stopped = s
			return
		}
		r.send(s)
	case unix.SIGTERM, unix.SIGHUP:
		r.told = true
		r.send(s)
	case unix.SIGINT, unix.SIGQUIT:
		r.told = r.told || r.exited // a living command may take it for something else
		r.send(s)
	default:
		r.send(s)
	}
}

// halt decides what to do when the command was stopped: usually we stop as well,
// so that the shell sees a job that has stopped.
//
// Nobody renews the lease then, so that the hold is lost when it has ended. The
// other way, a keeper that stays awake, would let a forgotten job keep everybody
// else out for ever.
func (r *runner) halt() {
	s := r.stopped
	r.stopped = 0
	asksTerminal := s == unix.SIGTTIN || s == unix.SIGTTOU
	switch {
	case r.termed || !r.toldTerm.IsZero() || !r.killedAt.IsZero():
		// It is to end, and quickly. After its time it is killed as it is.
		if r.lasts() {
			r.send(unix.SIGCONT)
		}
	case asksTerminal && r.tty.foreground():
		// It was started in the background, or beside others who may need the
		// terminal (see ours). It wants it now.
		r.tty.give(r.group)
		r.send(unix.SIGCONT)
	case r.tty.fd >= 0 && canStop():
		r.suspend()
	case s == unix.SIGSTOP:
		// Without job control only somebody who wants just this stops a command. We
		// stay awake, and so does the lease.
	case asksTerminal:
		// No shell will ever give it the terminal. The system tells a group that is
		// left behind like that in the same way.
		r.send(unix.SIGHUP)
		r.send(unix.SIGCONT)
	case r.lasts():
		// Without job control the system does not let Ctrl-Z stop anything.
		r.send(unix.SIGCONT)
	}
}

// suspend stops everybody, then us. The shell sees it and takes the terminal.
func (r *runner) suspend() {
	if !r.freeze() {
		// If somebody goes on, somebody has to watch the lease.
		r.spec.Warn(fmt.Sprintf("cannot stop: %s goes on", names(running(r.tree.survey()))))
		r.thaw()
		return
	}
	r.tty.lend()
	r.suspended = true
	stopOthers() // of a pipeline or a script; they have heard it from the terminal, if not from us
	stopSelf()
}

// freeze stops all of the command's processes, also those that Ctrl-Z does not
// reach, and those that ignore it: they must not go on while nobody watches.
func (r *runner) freeze() bool {
	for range 200 {
		r.send(unix.SIGSTOP)
		awake := running(r.tree.survey())
		if len(awake) == 0 {
			return true
		}
		for _, p := range awake {
			if p.group != r.group && unix.Kill(p.pid, unix.SIGSTOP) == nil {
				r.frozen = append(r.frozen, p.pid)
			}
		}
		pause()
	}
	return false
}

// thaw undoes freeze. Who was stopped before stays so, unless it is in the group.
func (r *runner) thaw() {
	r.send(unix.SIGCONT)
	for _, pid := range r.frozen {
		unix.Kill(pid, unix.SIGCONT)
	}
	r.frozen = nil
}

// resume continues the command after SIGCONT, if the hold has lasted. Another may
// have the lock otherwise, and there is no moment in which both may run: then
// the command is killed as it is, without being continued.
func (r *runner) resume() {
	if !r.lasts() {
		r.forfeited = r.forfeited || r.suspended
		r.suspended = false
		return
	}
	if r.suspended && r.tty.lent && r.tty.foreground() && !r.exited {
		r.tty.give(r.group)
	}
	r.suspended = false
	r.thaw()
}

// running are those that are not stopped.
func running(list []process) []process {
	var awake []process
	for _, p := range list {
		if !p.stopped {
			awake = append(awake, p)
		}
	}
	return awake
}
