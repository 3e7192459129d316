package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Status is what a node knows at one moment.
type Status struct {
	Peers []PeerStatus // the others, sorted by name
	Locks []LockStatus // those held or wanted here, sorted by name
	// Abstains is for how long yet this peer grants nothing, because it may have
	// forgotten what it had granted before it was started again.
	Abstains time.Duration
}

// abstainer is a process that may have to grant nothing for a while.
type abstainer interface {
	// Abstains returns until when it grants nothing; an instant that is past if
	// it does.
	Abstains() algo.Instant
}

// PeerStatus is what a node knows of another peer.
type PeerStatus struct {
	Name        algo.PeerName
	Incarnation algo.Incarnation // 0 before the first contact
	Up          bool
	Since       time.Time
	Reason      string // why it is down
	Suspected   string // why somebody holds it for dead or gone; empty if nobody does
}

// LockStatus is what a node knows of a lock that somebody here holds or wants.
type LockStatus struct {
	Name     string
	Held     bool
	Token    algo.Token      // if held
	Label    string          // if held: what its caller says of it; may be empty
	Since    time.Time       // when it was entered, or asked for
	Deadline time.Time       // if held: when the lease ends, unless it is renewed; zero without one
	Waiters  int             // callers here that wait
	WaitsFor []algo.PeerName // of an open request: whose messages it needs, and who is down
}

// Status returns what the node knows now.
func (n *Node) Status() Status {
	n.mu.Lock()
	defer n.unlock()
	n.look()
	s := n.standing()
	for _, name := range slices.Sorted(maps.Keys(n.locks)) {
		l := n.locks[name]
		ls := LockStatus{Name: name, Since: l.asked, Waiters: len(l.waiters), WaitsFor: n.missing(l)}
		if l.hold != nil {
			ls.Label = l.hold.about.Label
			ls.Held, ls.Token, ls.Since, ls.Deadline = true, l.hold.token, l.hold.since, wall(n.guard.deadline(l.hold), n.at, n.now)
		}
		s.Locks = append(s.Locks, ls)
	}
	return s
}

// Standing returns the Status without the locks: it takes little time, however
// many there are.
func (n *Node) Standing() Status {
	n.mu.Lock()
	defer n.unlock()
	n.look()
	return n.standing()
}

// standing is Standing with n.mu held.
func (n *Node) standing() (s Status) {
	if a, ok := n.process.(abstainer); ok {
		s.Abstains = time.Duration(max(0, a.Abstains().Sub(n.now)))
	}
	for _, name := range slices.Sorted(maps.Keys(n.peers)) {
		if p := n.peers[name]; !p.gone {
			s.Peers = append(s.Peers, PeerStatus{Name: name, Incarnation: p.incarnation, Up: p.up, Since: p.since, Reason: p.reason, Suspected: p.suspected})
		}
	}
	return s
}

// Busy says that somebody here holds or wants the lock.
func (n *Node) Busy(name string) bool {
	n.mu.Lock()
	defer n.unlock()
	n.look()
	return n.locks[name] != nil
}

// wall says when an instant is by the wall clock, which read at when this peer's
// clock read now; the zero time if it is never.
func wall(i algo.Instant, at time.Time, now algo.Instant) time.Time {
	if i == algo.Never {
		return time.Time{}
	}
	return at.Add(time.Duration(i.Sub(now)))
}

// missing lists, sorted, for whom a lock's open request waits: the peers whose
// messages it needs and, of an algorithm without leases, those that are down,
// since sooner or later it needs every peer.
func (n *Node) missing(l *lock) []algo.PeerName {
	if l.hold != nil {
		return nil
	}
	waits := n.process.WaitsFor(l.name)
	if _, leases := n.process.(algo.Keeper); leases {
		return waits
	}
	for name, p := range n.peers {
		if !p.up && !slices.Contains(waits, name) {
			waits = append(waits, name)
		}
	}
	slices.Sort(waits)
	return waits
}

// waitsFor says for whom a lock's open request waits, as the end of a
// sentence: " (waits for b; c, which is down: connection refused)".
func (n *Node) waitsFor(l *lock) string {
	if l.hold != nil {
		return " (another caller at this peer is inside)"
	}
	waits := n.missing(l)
	if len(waits) == 0 {
		return ""
	}
	words := make([]string, len(waits))
	for i, name := range waits {
		words[i] = string(name)
		if p := n.peers[name]; p != nil && !p.up {
			words[i] = fmt.Sprintf("%s, which is down: %s", name, p.reason)
		}
	}
	return " (waits for " + strings.Join(words, "; ") + ")"
}

// firstNote is how long a request waits before that is noted; each further
// note comes after twice the time.
const firstNote = 2 * time.Second

// watch does what comes with time: what the process and the holds want done, and
// notes which requests have waited for long, and for whom.
func (n *Node) watch() {
	defer close(n.idle)
	t := time.NewTicker(firstNote / 2)
	defer t.Stop()
	defer n.timer.Stop()
	for {
		select {
		case <-n.done:
			if n.failed() {
				// It has failed: the others shall see that it is gone.
				n.cfg.Transport.Close()
			}
			return
		case <-n.timer.C:
			n.wake()
		case <-n.over:
			n.wake()
		case <-t.C:
			n.wake() // after a sleep of this machine the timer is late
			n.noteWaits(time.Now())
		}
	}
}

// noteWaits records one note for each request that has waited for firstNote, or
// for twice as long as when it was last noted.
func (n *Node) noteWaits(now time.Time) {
	n.mu.Lock()
	defer n.unlock()
	for _, name := range slices.Sorted(maps.Keys(n.locks)) {
		l := n.locks[name]
		waited := now.Sub(l.asked)
		if l.hold != nil || len(l.waiters) == 0 || waited < firstNote || waited < 2*l.told.Sub(l.asked) {
			continue
		}
		l.told = now
		n.record(trace.Event{
			Kind: trace.Note, Lock: name,
			Reason: fmt.Sprintf("has waited for %s%s", waited.Round(100*time.Millisecond), n.waitsFor(l)),
		})
	}
}

// failed says that the node ended without being closed.
func (n *Node) failed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failure != nil
}
