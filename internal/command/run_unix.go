//go:build unix && !aix && !solaris

package command

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const supported = true

const (
	// leftQuiet is how long what the command has left behind may take to end
	// before the user is told who is waited for: the last of a pipe is often late.
	leftQuiet = 200 * time.Millisecond
	// leftAfter is how long a process may outlive its SIGKILL once the hold is over.
	leftAfter = time.Second
	// killEvery is the time between two rounds of SIGKILL.
	killEvery = 10 * time.Millisecond
)

// runner is one run. All of it belongs to the goroutine that called Run.
type runner struct {
	spec     Spec
	hold     Hold
	watch    watch
	signals  chan os.Signal
	children chan os.Signal // SIGCHLD, apart: a hundred of them must not crowd out an interrupt
	tty      *terminal
	tree     *tree

	group     int  // the command's process, and its group
	groupGone bool // nobody is in it any more, and the number may become somebody else's
	exited    bool // the command has; others may be left
	result    Result

	stopped   syscall.Signal // what has stopped the command, until that is dealt with
	suspended bool           // we have stopped ourselves, and were not continued yet
	frozen    []int          // who was stopped outside of the group

	termed    bool         // SIGTERM was sent because of the hold
	told      bool         // our user wants an end: SIGTERM, SIGHUP or the end of the context
	toldTerm  time.Time    // when those left behind were sent SIGTERM for that
	warnAt    time.Time    // when to say who is waited for; zero: not, or done
	killedAt  time.Time    // when the first SIGKILL was sent
	killed    map[int]bool // who was sent one
	saidStuck bool         // the user knows who cannot be killed
	forfeited bool         // the hold ended while the command was stopped
}

// Run runs the command and returns when it has ended, and everybody that it has
// started. A hold that has ended, or whose lease is about to end, ends them: with
// SIGTERM, then SIGKILL, before the lease ends. As long as the lease is kept, Run
// does not return while one of them lives, also one that was left in the
// background on purpose; SIGINT and SIGTERM end those. The end of ctx is like
// SIGTERM. Each of env is NAME=VALUE and replaces what the environment has.
func (c *Command) Run(ctx context.Context, hold Hold, env ...string) Result {
	r := &runner{
		spec: c.spec, hold: hold, watch: watch{killAfter: c.spec.KillAfter},
		signals: make(chan os.Signal, 64), children: make(chan os.Signal, 1), killed: make(map[int]bool),
	}
	if o, _ := r.look(time.Now()); o != carryOn {
		return Result{Code: 128 + int(unix.SIGTERM), Lost: true, Err: errEnded}
	}
	if ctx.Err() != nil {
		return Result{Code: 128 + int(unix.SIGTERM), Err: context.Cause(ctx)}
	}
	r.listen()
	defer signal.Stop(r.signals)
	defer signal.Stop(r.children)
	// The command dies when the thread dies that has started it (see attributes),
	// and threads come and go; this one stays as long as we do. What listens to
	// signals is slow to begin and to end on a thread of one's own, so it is outside.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r.tree = adopt()
	defer r.tree.close()
	r.tty = openTerminal()
	defer r.tty.close()
	if err := r.start(c, environment(os.Environ(), env)); err != nil {
		return Result{Code: err.Code, Err: err}
	}
	// What we say must not stop us, while the command goes on, just because the
	// terminal is the command's (stty tostop). Not before the start: it is inherited.
	signal.Ignore(unix.SIGTTOU)
	r.loop(ctx)
	r.tty.take()
	if r.result.Signal != 0 || r.result.Lost {
		r.tty.restore()
	}
	return r.result
}

// start starts the command.
func (r *runner) start(c *Command, env []string) *StartError {
	attr := &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}, Sys: attributes()}
	attr.Sys.Setpgid = true
	if r.tty.ours() {
		// The child itself does it before it becomes the command, which so never
		// runs in the background.
		attr.Sys.Foreground, attr.Sys.Ctty = true, r.tty.fd
	}
	pid, err := syscall.ForkExec(c.path, c.argv, attr)
	if err == syscall.ENOEXEC && !binary(c.path) {
		// A script that does not say what for, which every shell takes for its own.
		pid, err = syscall.ForkExec("/bin/sh", append([]string{"/bin/sh", c.path}, c.argv[1:]...), attr)
	}
	if err != nil {
		r.tty.given = attr.Sys.Foreground // the child may have got as far as that
		r.tty.take()
		return startError(c, err)
	}
	r.group = pid
	r.tree.group = pid
	r.tty.given = attr.Sys.Foreground
	return nil
}

func startError(c *Command, err error) *StartError {
	e := &StartError{Name: c.argv[0], Code: 126, Err: err}
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		e.Err = errBinary
	case errors.Is(err, syscall.ENOENT):
		if _, err := os.Stat(c.path); err == nil {
			e.Err = errInterpreter
		} else {
			e.Code, e.Err = 127, errNotFound
		}
	}
	return e
}

// binary says that a file is no text, by its first bytes, as shells do.
func binary(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	head := make([]byte, 128)
	n, err := f.Read(head)
	return err != nil || bytes.IndexByte(head[:n], 0) >= 0
}

func executable(path string, info fs.FileInfo) bool {
	return info.Mode()&0o111 != 0 && unix.Access(path, unix.X_OK) == nil
}

// loop does what has to be done whenever something has happened.
func (r *runner) loop(ctx context.Context) {
	ctxDone, holdDone := ctx.Done(), r.hold.Context().Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		none := r.reap()
		if r.exited && r.empty(none) {
			return
		}
		if r.stopped != 0 {
			r.halt()
		}
		now := time.Now()
		wake := r.enforce(now)
		if r.exited {
			wake = earlier(wake, r.tree.again(now))
		}
		if r.abandon(now) {
			return
		}
		if wake.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(wake))
		}
		select {
		case <-r.children:
		case s := <-r.signals:
			r.handle(s.(syscall.Signal))
		case s := <-r.spec.Signals:
			r.send(s)
		case <-ctxDone:
			ctxDone = nil
			r.handle(unix.SIGTERM)
		case <-holdDone:
			holdDone = nil
		case <-timer.C:
		}
	}
}

// reap learns what has become of our children: the command, and whoever has lost
// its parent. It is the only place that waits for processes. It says whether
// there are none any more.
func (r *runner) reap() (none bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|waitStates, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return true
		case pid == 0:
			return false
		case status.Continued():
			if r.speaks(pid) {
				r.stopped = 0
			}
		case status.Stopped():
			if r.speaks(pid) && !r.suspended {
				r.stopped = status.StopSignal()
			}
		default:
			delete(r.tree.strangers, pid)
			delete(r.killed, pid)
			if pid == r.group && !r.exited {
				r.exit(status)
			}
		}
	}
}

// speaks says that a stop of pid is one of the job: the command's own, or when it
// has ended, that of anybody left in its group.
func (r *runner) speaks(pid int) bool {
	if !r.exited {
		return pid == r.group
	}
	group, err := unix.Getpgid(pid)
	return err == nil && group == r.group && !r.groupGone
}

// exit notes how the command has ended.
func (r *runner) exit(status unix.WaitStatus) {
	r.exited = true
	r.stopped = 0
	r.result.Code = status.ExitStatus()
	if status.Signaled() {
		r.result.Signal = status.Signal()
		r.result.Code = 128 + int(status.Signal())
	}
	r.send(0) // is anybody left in the group?
	r.warnAt = time.Now().Add(leftQuiet)
	// Who runs in the background of a shell does not hear Ctrl-C. We do, if the
	// terminal is ours again, and end them.
	r.tty.take()
}

// empty says that nobody is left. Who has no children has no descendants either,
// where orphans become ours; if there are children that were here before the
// command, one has to look, twice: in one look a process can slip away by a fork.
func (r *runner) empty(none bool) bool {
	if r.tree.adopts && len(r.tree.strangers) == 0 {
		return none
	}
	for range 2 {
		if len(r.tree.survey()) > 0 {
			return false
		}
	}
	return true
}

// send sends a signal to the command's whole group.
func (r *runner) send(sig syscall.Signal) {
	if r.groupGone {
		return
	}
	if err := unix.Kill(-r.group, sig); err == unix.ESRCH && r.exited {
		r.groupGone = true
	}
}

// sendAll sends a signal also to those who have left the group.
func (r *runner) sendAll(sig syscall.Signal) {
	r.send(sig)
	for _, p := range r.tree.survey() {
		if p.group != r.group {
			unix.Kill(p.pid, sig)
		}
	}
}

func (r *runner) look(now time.Time) (order, time.Time) {
	return r.watch.look(now, r.hold.Deadline(), r.hold.Context().Err() != nil)
}

func (r *runner) lasts() bool {
	return r.watch.lasts(time.Now(), r.hold.Deadline(), r.hold.Context().Err() != nil)
}
