package command

import "time"

// order is what a look at the hold leads to.
type order int

const (
	carryOn order = iota
	finish        // the command is asked to end, by SIGTERM
	kill
)

// maxMargin bounds how long before the end of the lease everybody is killed. A
// hundred processes are dead within a few milliseconds, unless the machine is
// very busy.
const maxMargin = 250 * time.Millisecond

// watch decides when the command has to end. It reads no clock: what it goes by
// comes in, so that each case can be tried.
type watch struct {
	killAfter time.Duration
	longest   time.Duration // the longest the lease was seen to last
	asked     time.Time     // when the order became finish; zero if it is carryOn
}

// look says what to do now, and when to look again at the latest; zero: only
// when something has happened.
func (w *watch) look(now, deadline time.Time, ended bool) (order, time.Time) {
	leased := !deadline.IsZero()
	if leased {
		w.longest = max(w.longest, deadline.Sub(now))
	}
	grace := max(w.margin(), min(w.killAfter, w.longest/3))
	if begin := deadline.Add(-grace); !ended && (!leased || now.Before(begin)) {
		// A lease that is renewed after all takes the threat of SIGKILL away. SIGTERM
		// is not taken back: the command may end or not, as it likes.
		w.asked = time.Time{}
		if !leased {
			return carryOn, time.Time{}
		}
		return carryOn, begin
	}
	if w.asked.IsZero() {
		w.asked = now
	}
	at := w.asked.Add(w.killAfter)
	if last := deadline.Add(-w.margin()); leased && last.Before(at) {
		at = last
	}
	if !now.Before(at) {
		return kill, at
	}
	return finish, at
}

// lasts says whether a command that was stopped may go on.
func (w *watch) lasts(now, deadline time.Time, ended bool) bool {
	return !ended && (deadline.IsZero() || now.Before(deadline.Add(-w.margin())))
}

// margin is how long before the end of the lease everybody is killed: a tenth,
// since a short lease is meant for a quick system.
func (w *watch) margin() time.Duration { return min(maxMargin, w.longest/10) }
