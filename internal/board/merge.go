package board

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/view"
)

// report is what a peer has said of its locks, and when that came in.
type report struct {
	Report
	peer   algo.PeerName
	at     time.Time
	silent bool // it does not answer any more
}

// merge puts together what peers say of their locks, sorted by peer.
func merge(reports []report, now time.Time) (_ []view.Lock, more int) {
	byName, locks := make(map[string]*draft), []view.Lock{} // lists are never nil: in JSON they are []
	for _, r := range reports {
		if !r.silent {
			more = max(more, r.More) // it may be the same locks
		}
		for i := range r.Locks {
			s := &r.Locks[i]
			d := byName[s.Name]
			if d == nil {
				d = &draft{Lock: view.Lock{Name: s.Name, Waiters: []view.Waiter{}}}
				byName[s.Name] = d
			}
			d.add(&r, s, now)
		}
	}
	silent := make(map[algo.PeerName]bool, len(reports))
	for _, r := range reports {
		silent[r.peer] = r.silent
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if l, any := byName[name].finish(silent); any {
			locks = append(locks, l)
		}
	}
	return locks, more
}

// draft is a lock of which not everybody has been heard.
type draft struct {
	view.Lock
	queue []place
	lent  []view.Lent
}

// place is a waiter and what puts it in order.
type place struct {
	view.Waiter
	round int       // how many of its peer go before it
	stamp algo.Time // of its peer's open request; of the next one that is not known
}

// add adds what one peer says.
func (d *draft) add(r *report, s *node.Sight, now time.Time) {
	peer := string(r.peer)
	if h := s.Hold; h != nil {
		held := holderOf(r.peer, h, r.at)
		held.Silent = r.silent
		over := r.silent && !held.Deadline.IsZero() && !held.Deadline.After(now)
		// Of two, one has left since it was asked, and the later has the larger token.
		if !over && (d.Holder == nil || d.Holder.Token < held.Token) {
			d.Holder = &held
		}
	}
	if r.silent {
		return // who cannot be reached is not let in, and its votes are told by itself only
	}
	if until := r.at.Add(s.LentFor); s.LentTo != "" && until.After(now) {
		d.lent = append(d.lent, view.Lent{Peer: string(s.LentTo), Until: until})
	}
	for i, w := range s.Waiters {
		p := place{Waiter: view.Waiter{Peer: peer, Label: w.Label, Trace: w.Trace, ID: w.ID, Since: r.at.Add(-w.For)}, round: i, stamp: s.Stamp}
		if s.Hold != nil {
			p.round++ // it asks when that has left
		}
		if i == 0 && s.Hold == nil {
			for _, name := range s.WaitsFor {
				p.WaitsFor = append(p.WaitsFor, string(name))
			}
		}
		d.queue = append(d.queue, p)
	}
	d.More += s.More
}

// holderOf is what a peer has said of a holder of its at some time.
func holderOf(peer algo.PeerName, h *node.HoldSight, at time.Time) view.Holder {
	held := view.Holder{Peer: string(peer), Token: uint64(h.Token), Label: h.Label, Trace: h.Trace, Since: at.Add(-h.For), Ended: h.Ended}
	if h.Lease > 0 {
		held.Deadline = at.Add(h.Lease)
	}
	return held
}

// finish puts the waiters in order, and says whether there is anything to say. A peer
// has one request at a time, and asks for its next caller when that is through: so the
// second of a peer goes behind the first of all others.
func (d *draft) finish(silent map[algo.PeerName]bool) (view.Lock, bool) {
	slices.SortStableFunc(d.queue, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.round, b.round), cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.Peer, b.Peer))
	})
	for _, p := range d.queue {
		d.Waiters = append(d.Waiters, p.Waiter)
	}
	if d.Holder == nil {
		for _, l := range d.lent {
			if answers, known := silent[algo.PeerName(l.Peer)]; known && !answers {
				continue // it says itself that it does not hold it
			}
			if d.Lent == nil || d.Lent.Until.Before(l.Until) {
				d.Lent = &l
			}
		}
	}
	return d.Lock, d.Holder != nil || len(d.Waiters) > 0 || d.Lent != nil
}
