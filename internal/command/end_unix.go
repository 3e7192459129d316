//go:build unix && !aix && !solaris

package command

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// enforce ends the command, and what it has left behind, if it is time for that,
// and says when to look again.
func (r *runner) enforce(now time.Time) time.Time {
	o, wake := r.look(now)
	if o != carryOn || r.forfeited {
		r.result.Lost = true
	}
	if r.forfeited || o == kill {
		return r.kill(now)
	}
	if o == finish {
		if !r.termed {
			r.termed = true
			r.sendAll(unix.SIGTERM)
			if r.lasts() {
				r.sendAll(unix.SIGCONT) // who is stopped could not end by itself
			}
		}
		return wake
	}
	r.termed = false
	if r.exited {
		wake = earlier(wake, r.attend(now))
	}
	return wake
}

// attend ends those that the command has left behind, if the user wants that, and
// else says who they are.
func (r *runner) attend(now time.Time) time.Time {
	if r.told {
		if r.toldTerm.IsZero() {
			r.toldTerm = now
			r.sendAll(unix.SIGTERM)
			r.sendAll(unix.SIGCONT)
		}
		if at := r.toldTerm.Add(r.spec.KillAfter); now.Before(at) {
			return at
		}
		return r.kill(now)
	}
	if !r.warnAt.IsZero() && !now.Before(r.warnAt) {
		r.warnAt = time.Time{}
		if left := r.tree.survey(); len(left) > 0 {
			r.spec.Warn(fmt.Sprintf("waiting for %s, left in the background by the command", names(left)))
		}
	}
	return r.warnAt
}

// kill kills all there are. Who forks meanwhile is found in a next round; the
// dead fork no more, so that rounds have an end.
func (r *runner) kill(now time.Time) time.Time {
	if r.killedAt.IsZero() {
		r.killedAt = now
	}
	for range 10 {
		r.killChildren()
		if !r.killEach(pids(r.tree.survey())) {
			break
		}
	}
	if r.killedAt.Add(leftAfter).Before(now) { // another user's, or in the kernel's hands
		if !r.saidStuck {
			r.saidStuck = true
			r.spec.Warn(fmt.Sprintf("cannot kill %s", names(r.tree.survey())))
		}
		return now.Add(10 * killEvery)
	}
	return now.Add(killEvery)
}

// killChildren kills the group and our children until no new ones appear. To look
// only at these is many times quicker than a survey, and as quick as those who
// hop from process to process: whose parent is dead is our child.
func (r *runner) killChildren() {
	for range 1000 {
		r.send(unix.SIGKILL)
		if !r.killEach(r.tree.orphans()) || r.reap() {
			return
		}
	}
}

// killEach says whether somebody was there who was not killed before.
func (r *runner) killEach(list []int) (fresh bool) {
	for _, pid := range list {
		fresh = fresh || !r.killed[pid]
		r.killed[pid] = true
		unix.Kill(pid, unix.SIGKILL)
	}
	return fresh
}

// abandon says that there is nothing more to wait for: the hold is over, and
// those who live on cannot be killed. As long as the lease is kept, they are
// waited for.
func (r *runner) abandon(now time.Time) bool {
	if r.killedAt.IsZero() || r.lasts() || now.Before(r.killedAt.Add(leftAfter)) || now.Before(r.hold.Deadline()) {
		return false
	}
	for _, p := range r.tree.survey() {
		r.result.Left = append(r.result.Left, Process{p.pid, p.name})
	}
	if !r.exited {
		r.result.Code, r.result.Signal = 128+int(unix.SIGKILL), unix.SIGKILL
	}
	return true
}

func pids(list []process) []int {
	var s []int
	for _, p := range list {
		s = append(s, p.pid)
	}
	return s
}

func names(list []process) string {
	var s []string
	for _, p := range list {
		s = append(s, Process{p.pid, p.name}.String())
	}
	if len(s) > 5 {
		s = append(s[:5], fmt.Sprintf("%d more", len(s)-5))
	}
	return strings.Join(s, ", ")
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
