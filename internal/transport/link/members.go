package link

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/conchlock/conch/algo"
)

// newPeer begins to know another peer. Nothing of what was known of it before is
// left, but that no session was above floor.
func (t *Transport) newPeer(name algo.PeerName) *peer {
	p := &peer{
		t:       t,
		name:    name,
		rand:    rand.New(rand.NewPCG(t.cfg.Seed, t.made)),
		floor:   t.floor,
		session: t.floor + 1,
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		redial:  make(chan struct{}, 1),
		queued:  make(chan struct{}, 1),
	}
	p.ctx, p.stop = context.WithCancelCause(t.ctx)
	t.made++
	return p
}

// comes says that a peer is one that may come and go.
func (t *Transport) comes(name algo.PeerName) bool {
	_, always := t.cfg.Votes[name]
	return t.cfg.Open && !always
}

// Add implements node.Transport.
func (t *Transport) Add(name algo.PeerName) {
	if !t.comes(name) {
		return
	}
	if err := name.Check(); err != nil {
		panic(fmt.Sprintf("link: %v", err))
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.peers[name] != nil || t.closing {
		return
	}
	p := t.newPeer(name)
	t.peers[name] = p
	if t.started {
		t.runs.Go(p.run)
	}
}

// Remove implements node.Transport. It also forgets what Locate said.
func (t *Transport) Remove(name algo.PeerName) {
	if !t.comes(name) {
		return
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	t.mu.Lock()
	p, runs := t.peers[name], t.started
	delete(t.peers, name)
	delete(t.addrs, name)
	t.mu.Unlock()
	if p == nil {
		return
	}
	p.end(fmt.Errorf("%s takes %s for gone", t.cfg.Self, name)) // which it may read, if it is not
	if runs {
		<-p.done
	}
	t.floor = max(t.floor, p.largestSession())
}

// end ends the link, tells what it held, and lets nothing more be told of the
// peer. It waits for what is being told.
func (p *peer) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.stop(why)
	if p.pending != nil {
		p.pending.cancel(why)
		p.pending = nil
	}
	p.endLinkLocked(why.Error())
	p.sendMu.Lock()
	p.closed = true
	p.sendMu.Unlock()
	p.reportDroppedLocked()
}

// largestSession is taken after end: then it grows no more.
func (p *peer) largestSession() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.largest, p.session)
}

// Locate says where a peer is dialed from now on. A link that is up stays as it
// is, since what is said here may be wrong; if it is down, the peer is dialed at
// once. What is said of a peer before it is added, counts once it is; Remove
// forgets it.
func (t *Transport) Locate(name algo.PeerName, addr string) {
	t.mu.Lock()
	p := t.peers[name]
	if p == nil && !t.comes(name) {
		t.mu.Unlock()
		return // itself, or nobody
	}
	t.addrs[name] = addr
	t.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up {
		return
	}
	if p.out != nil && p.out.addr != addr {
		p.out.cancel(errAgain)
	}
	p.arouse()
}

// RoundTrip is how long it took to get an answer from a peer when the stream to it was
// last set up; 0 if there was none.
func (t *Transport) RoundTrip(name algo.PeerName) time.Duration {
	p := t.peer(name)
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trip
}

// Located says where a peer is dialed; empty if nobody has said, or there is no such
// peer.
func (t *Transport) Located(name algo.PeerName) string { return t.where(name) }

// where says where a peer is dialed, empty if nobody has said. It may be called
// with or without the peer's mu.
func (t *Transport) where(name algo.PeerName) string {
	t.mu.Lock()
	addr := t.addrs[name]
	t.mu.Unlock()
	if addr == "" {
		addr = t.carrier.Where(name)
	}
	return addr
}

// Retry is a hint that a peer is there again: if it is not being dialed, it is at
// once.
func (t *Transport) Retry(name algo.PeerName) {
	if p := t.peer(name); p != nil {
		p.arouse()
	}
}

// Rest is a hint that a peer is not there (or, after all, is): attempts to reach
// it become rare, until Retry, Locate or a stream from it says otherwise.
func (t *Transport) Rest(name algo.PeerName, rests bool) {
	p := t.peer(name)
	switch {
	case p == nil:
	case rests:
		p.resting.Store(true)
	case p.resting.Load():
		p.arouse()
	}
}

// arouse ends the peer's rest and the pause before the next attempt. It may be
// called with or without mu.
func (p *peer) arouse() {
	p.resting.Store(false)
	p.kick()
}
