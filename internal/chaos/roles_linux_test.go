package chaos

import (
	"errors"
	"slices"
	"time"

	"github.com/conchlock/conch/internal/trace"
)

// role is the most that any victim of a round had of a lock. It decides how
// long the others may have to wait.
type role int

const (
	bystander role = iota // nothing: it did not even want it
	waiter                // a place in the queue
	receiver              // the token was sent to it while it was out of reach
	owner                 // the token
	everybody             // all are victims
)

func (r role) String() string {
	return [...]string{"nothing of it", "a place in the queue", "the token sent to them", "the token", "everything"}[r]
}

// bound is how long nobody may enter. A lease that nobody can renew lasts for a
// TTL, and then a waiter that is no more may be elected, for one more each; the
// rest is for finding out and for votes.
func (r role) bound(victims int) time.Duration {
	const votes = time.Second
	switch r {
	case bystander:
		return ttl / 2
	case owner:
		return time.Duration(victims)*ttl + votes
	case everybody: // from when they are back: what they may have granted has to run out
		return ttl + votes
	}
	return time.Duration(1+victims)*ttl + votes
}

// part is one lock in one round.
type part struct {
	round int
	lock  string
}

// roles reads from the traces what the victims of each round had.
func (a *arena) roles() (map[part]role, error) {
	readers, _, err := trace.Dir(a.traces, true)
	if err != nil {
		return nil, err
	}
	events := make(map[string][]trace.Event) // by lock
	merger := trace.Merge(readers...)
	for e := range merger.Events() {
		switch e.Kind {
		case trace.Request, trace.Cancel, trace.Enter:
		case trace.Send:
			if e.Message.Kind != "token" {
				continue
			}
		case trace.Crash:
			for _, lock := range a.locks {
				events[lock] = append(events[lock], e.Clone())
			}
			continue
		default:
			continue
		}
		events[e.Lock] = append(events[e.Lock], e.Clone())
	}
	for _, r := range readers {
		err = errors.Join(err, r.Close())
	}
	roles := make(map[part]role)
	for _, lock := range a.locks {
		// All peers have the clock of one machine.
		slices.SortStableFunc(events[lock], func(x, y trace.Event) int { return x.At.Compare(y.At) })
		for i, r := range a.rounds {
			roles[part{i, lock}] = a.role(r, events[lock])
		}
	}
	return roles, err
}

// role finds out what the victims of a round had of the lock of those events.
func (a *arena) role(r *round, events []trace.Event) role {
	victim := func(name string) bool {
		return slices.ContainsFunc(r.victims, func(v int) bool { return a.peers[v].name == name })
	}
	has, wants := "", make(map[string]bool)
	found := bystander
	note := func() {
		if victim(has) {
			found = max(found, owner)
		}
		for name := range wants {
			if victim(name) {
				found = max(found, waiter)
			}
		}
	}
	noted := false
	for _, e := range events {
		if e.At.After(r.began) && !noted {
			note()
			noted = true
		}
		if e.At.After(r.healed) {
			break
		}
		name := string(e.Peer)
		switch e.Kind {
		case trace.Request:
			wants[name] = true
			if noted && victim(name) {
				found = max(found, waiter)
			}
		case trace.Cancel, trace.Crash:
			delete(wants, name)
		case trace.Enter:
			delete(wants, name)
			has = name
			if noted && victim(name) {
				found = max(found, receiver)
			}
		case trace.Send:
			has = string(e.Message.To)
			if noted && victim(has) {
				found = max(found, receiver)
			}
		}
	}
	return found
}
