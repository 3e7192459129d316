package board

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/view"
)

const (
	// pace is the least time between two views, or two reports.
	pace = 50 * time.Millisecond
	// firstTime is how long the first view waits for the peers that should answer.
	firstTime = time.Second
	// retryTime is after how long a peer that did not answer is asked again.
	retryTime = time.Second
)

// Follow tells what is known here of a lock, or of all, now and whenever it changes, until
// ctx ends or tell returns an error.
func Follow(ctx context.Context, l Local, lock string, tell func(Report) error) error {
	changed := l.Changed(lock)
	for {
		began := time.Now()
		r := l.Look(lock)
		rest := restAfter(time.Since(began))
		if err := tell(r); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		changed = l.Changed(lock)
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// restAfter is how long there is no other report, or view, after one that took so long: a
// peer with many locks is not to be busy with showing them.
func restAfter(took time.Duration) time.Duration { return max(pace, 50*took) }

// watch looks at one lock, or at all, for as long as somebody wants to know.
type watch struct {
	board  *Board
	lock   string
	users  int // guarded by board.mu
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	answers map[algo.PeerName]*answer // of the others
	changed chan struct{}             // closed when something has
}

// link tells one stretch of time in which a peer's link is up from another; zero if it is
// down: then it is not asked.
type link struct {
	incarnation algo.Incarnation
	since       int64
}

// answer is what another peer says for as long as its link is up. What it said before that
// stays until it says something else.
type answer struct {
	Report
	at     time.Time // when it said so
	link   link
	asked  bool      // it has said something, or failed to
	failed string    // why it says nothing any more; empty if it does
	since  time.Time // it does, or does not
	cancel context.CancelFunc
}

// run follows this peer, and the others as they come and go.
func (w *watch) run() {
	var follows sync.WaitGroup
	defer follows.Wait()
	follows.Go(func() {
		Follow(w.ctx, w.board.local, w.lock, func(Report) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.stir()
			return nil
		})
	})
	for {
		moved := w.board.local.PeersChanged()
		for _, f := range w.others() {
			follows.Go(f)
		}
		select {
		case <-moved:
		case <-w.ctx.Done():
			return
		}
	}
}

// others drops the peers that there are no more, and returns what follows those whose link
// has come up: what was asked before may have been asked over a connection that is dead
// without a word.
func (w *watch) others() (follow []func()) {
	peers := w.board.local.Peers()
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := maps.Clone(w.answers)
	for _, p := range peers {
		delete(gone, p.Name)
		before := w.answers[p.Name]
		a := &answer{since: time.Now(), cancel: func() {}}
		if p.Up {
			a.link = link{p.Incarnation, p.Since.UnixNano()}
		}
		if before != nil {
			if before.link == a.link {
				continue
			}
			before.cancel()
			a.Report, a.at = before.Report, before.at
		}
		w.answers[p.Name] = a
		if p.Up {
			var ctx context.Context
			ctx, a.cancel = context.WithCancel(w.ctx)
			follow = append(follow, func() { w.follow(ctx, p.Name, a) })
		}
	}
	for name, a := range gone {
		a.cancel()
		delete(w.answers, name)
	}
	w.stir()
	return follow
}

// follow asks one peer, again and again.
func (w *watch) follow(ctx context.Context, peer algo.PeerName, a *answer) {
	for {
		err := w.board.carrier.Watch(ctx, peer, w.lock, func(r Report) { w.heard(ctx, a, r) })
		if ctx.Err() != nil {
			return
		}
		reason := "it has ended its answer"
		if err != nil {
			reason = err.Error()
		}
		w.failed(a, reason)
		select {
		case <-time.After(retryTime):
		case <-ctx.Done():
			return
		}
	}
}

// heard takes note of what a peer says, unless it is not asked any more.
func (w *watch) heard(ctx context.Context, a *answer, r Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	a.Report, a.at = r, time.Now()
	if a.failed != "" {
		a.since = a.at
	}
	a.asked, a.failed = true, ""
	w.stir()
}

// failed takes note that a peer says nothing any more.
func (w *watch) failed(a *answer, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.failed == reason {
		return
	}
	if a.failed == "" {
		a.since = time.Now()
	}
	a.asked, a.failed = true, reason
	w.stir()
}

// stir tells those who look that something has changed. w.mu is held.
func (w *watch) stir() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// next returns a channel that is closed when there is something new.
func (w *watch) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// wait waits until something has changed or a time has come, unless somebody ends that.
func (w *watch) wait(ctx context.Context, changed <-chan struct{}, at <-chan time.Time) error {
	select {
	case <-changed:
	case <-at:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.ctx.Done():
		return node.ErrClosed
	}
	return nil
}

// first waits until every peer that is up has answered, but not for long.
func (w *watch) first(ctx context.Context) error {
	late := time.After(firstTime)
	for {
		changed := w.next()
		if w.complete() {
			return nil
		}
		select {
		case <-changed:
		case <-late:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.ctx.Done():
			return node.ErrClosed
		}
	}
}

// complete says that every peer that is up has answered, or failed to.
func (w *watch) complete() bool {
	peers := w.board.local.Peers()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range peers {
		if a := w.answers[p.Name]; p.Up && (a == nil || !a.asked) {
			return false
		}
	}
	return true
}

// view puts together what is known now.
func (w *watch) view() view.View {
	now, self := time.Now(), w.board.self
	peers, own := w.board.local.Peers(), w.board.local.Look(w.lock)
	v := view.View{Peer: string(self), At: now, Silent: []view.Silent{}}
	reports := []report{{Report: own, peer: self, at: now}}
	w.mu.Lock()
	for _, p := range peers {
		a := w.answers[p.Name]
		if a == nil {
			a = &answer{}
		}
		reason, since := a.failed, a.since
		switch {
		case !p.Up:
			reason, since = p.Reason, p.Since
		case !a.asked:
			reason, since = "it has not answered yet", now
		}
		if reason != "" {
			v.Silent = append(v.Silent, view.Silent{Peer: string(p.Name), Reason: reason, Since: since})
		}
		reports = append(reports, report{Report: a.Report, peer: p.Name, at: a.at, silent: reason != ""})
	}
	w.mu.Unlock()
	v.Locks, v.More = merge(reports, now)
	return v
}

// lapse fires when a view will not be true any more although nothing has happened: what a
// silent peer held, or may hold, has ended. It is nil if that is never.
func lapse(v *view.View) <-chan time.Time {
	var first time.Time
	early := func(at time.Time) {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for i := range v.Locks {
		switch l := &v.Locks[i]; {
		case l.Holder != nil && l.Holder.Silent && !l.Holder.Deadline.IsZero():
			early(l.Holder.Deadline)
		case l.Lent != nil:
			early(l.Lent.Until)
		}
	}
	if first.IsZero() {
		return nil
	}
	return time.After(time.Until(first))
}
