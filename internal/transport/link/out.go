package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
)

// outgoing is a stream that this peer dials, from the attempt to its end. One
// goroutine writes, one reads.
type outgoing struct {
	peer   *peer
	addr   string // where it is dialed
	began  time.Time
	asked  time.Time // when the Hello was sent; set before anything can be heard
	ctx    context.Context
	cancel context.CancelCauseFunc // the first cause is why it ended
	heard  atomic.Bool             // something, since run last looked
	useful atomic.Bool             // it has brought packets to the other side
	ready  chan struct{}           // closed when link is set
	done   chan struct{}           // closed when both goroutines have ended

	// Guarded by peer.mu.
	welcomed bool
	link     *Link            // that it carries, once the other side is ready
	claim    algo.Incarnation // of a Hello that came after this dial began, if new
}

// liveLocked says that o, which may be nil, has found the peer and not lost it.
func (o *outgoing) liveLocked() bool { return o != nil && o.welcomed && o.ctx.Err() == nil }

// errAgain ends a stream only so that another one is dialed.
var errAgain = errors.New("the handshake begins anew")

// run dials the peer until it is removed or the transport is closed.
func (p *peer) run() {
	defer close(p.done)
	for attempt := 0; !p.t.drains() && p.ctx.Err() == nil; attempt++ {
		if p.t.where(p.name) == "" {
			p.awaitAddress()
			attempt = -1
			continue
		}
		o := p.dial()
		p.watch(o)
		if p.outEnded(o) {
			attempt = 0
		}
		if p.pause(attempt, o.began) {
			attempt = -1
		}
	}
}

// awaitAddress waits for a reason to look whether there is an address now.
func (p *peer) awaitAddress() {
	p.mu.Lock()
	p.updateLocked(fmt.Sprintf("nobody has said yet where %s is", p.name))
	p.mu.Unlock()
	for {
		select {
		case <-p.redial:
			return
		case <-p.wake:
			p.sweep()
		case <-p.t.draining:
			return
		case <-p.ctx.Done():
			return
		}
	}
}

// pause waits before the next attempt. It returns true if it was cut short,
// because the peer has shown that it is there, or is said to be.
func (p *peer) pause(attempt int, began time.Time) bool {
	d := pauseMax
	if p.resting.Load() {
		d = pauseRest
	}
	if attempt < 10 {
		d = min(d, pauseMin<<attempt)
	}
	d = d/2 + time.Duration(p.rand.Int64N(int64(d/2)))
	timer := time.NewTimer(d)
	defer timer.Stop()
	redial := p.redial
	for {
		select {
		case <-timer.C:
			return redial == nil
		case <-redial:
			// At once, except that two peers must not drive each other round
			// in circles without a breath.
			redial = nil
			timer.Reset(max(0, pauseMin/2-time.Since(began)))
		case <-p.wake:
			p.sweep()
		case <-p.t.draining:
			return true
		case <-p.ctx.Done():
			return true
		}
	}
}

// dial begins an attempt.
func (p *peer) dial() *outgoing {
	ctx, cancel := context.WithCancelCause(p.ctx)
	o := &outgoing{peer: p, began: time.Now(), ctx: ctx, cancel: cancel, ready: make(chan struct{}), done: make(chan struct{})}
	hello := p.hello()
	p.mu.Lock()
	p.out = o
	o.addr = p.t.where(p.name) // under mu, so that Locate finds out and its address or comes before
	hello.Known, hello.KnownProcess = p.known, p.process
	p.mu.Unlock()
	go o.run(hello)
	return o
}

// watch returns when o has ended. Until then it looks after what must not wait
// for a stream that may be stuck.
func (p *peer) watch(o *outgoing) {
	ticker := time.NewTicker(p.t.beat)
	defer ticker.Stop()
	draining := p.t.draining
	var deadline <-chan time.Time
	silent := 0
	for {
		select {
		case <-o.done:
			return
		case <-p.wake:
			p.sweep()
		case <-ticker.C:
			// Beats are counted, not time: after a pause of this process
			// one tick has passed, and what came in meanwhile is still read.
			if silent++; o.heard.Swap(false) {
				silent = 0
			}
			if silent >= silentBeats {
				p.giveUp(o)
			}
			p.explain(o)
		case <-draining:
			draining = nil
			deadline = time.After(drainTime)
			select {
			case <-o.ready: // the writer takes leave, and the other side ends the stream
			default:
				o.cancel(&leftError{p.t.cfg.Self})
			}
		case <-deadline:
			o.cancel(&leftError{p.t.cfg.Self})
		}
	}
}

// giveUp ends a stream on which nothing was heard for too long.
func (p *peer) giveUp(o *outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.welcomed {
		o.cancel(fmt.Errorf("nothing was heard from %s for %v", p.name, silentBeats*p.t.beat))
	} else {
		o.cancel(fmt.Errorf("%s at %s does not answer", p.name, o.addr))
	}
}

// explain gives a reason when the peer answers and yet is not up for long.
func (p *peer) explain(o *outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up || !o.liveLocked() || time.Since(o.began) < silentBeats*p.t.beat {
		return
	}
	if o.link == nil {
		heard := "that its own list has"
		if p.t.cfg.Open {
			heard = "that it has heard of"
		}
		p.updateLocked(fmt.Sprintf("%s answers, but has not found %s at the address %s", p.name, p.t.cfg.Self, heard))
	} else {
		p.updateLocked(fmt.Sprintf("%s is reached, but has not connected", p.name))
	}
}

// outEnded takes notice of the end of o. It returns true if o was of use, so
// that the next attempts need not be rare. One that is made again and again
// only to break at the same packet is not.
func (p *peer) outEnded(o *outgoing) (useful bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = nil
	cause := context.Cause(o.ctx)
	if p.up || !errors.Is(cause, errAgain) {
		p.updateLocked(cause.Error())
	}
	return o.useful.Load() || o.link != nil && time.Since(o.began) > pauseMax
}

// run carries o from Dial to its end.
func (o *outgoing) run(hello *Hello) {
	defer close(o.done)
	stream, err := o.peer.t.carrier.Dial(o.ctx, o.peer.name, o.addr)
	if err != nil {
		o.cancel(fmt.Errorf("cannot reach %s at %s: %w", o.peer.name, o.addr, err))
		return
	}
	defer stream.Close()
	o.asked = time.Now()
	var reader sync.WaitGroup
	reader.Go(func() { o.cancel(o.receive(stream)) })
	err = o.send(stream, hello)
	if !errors.Is(err, io.EOF) { // on EOF the reader gets the reason
		o.cancel(err)
	}
	reader.Wait()
}

// send writes until the stream ends: the Hello, packets in batches as large as
// what has piled up, and a beat when there was nothing to send.
func (o *outgoing) send(stream Stream, hello *Hello) error {
	if err := stream.Send(&Frame{Kind: HelloFrame, Hello: hello}); err != nil {
		return err
	}
	ticker := time.NewTicker(o.peer.t.beat)
	defer ticker.Stop()
	w := &writer{out: o, stream: stream}
	ready, draining := o.ready, (chan struct{})(nil)
	for {
		var err error
		select {
		case <-o.ctx.Done():
			return context.Cause(o.ctx)
		case <-ready:
			ready, draining = nil, o.peer.t.draining
			err = w.sendQueued()
		case <-o.peer.queued:
			if ready == nil {
				err = w.sendQueued()
			}
		case <-ticker.C:
			if !w.busy {
				err = stream.Send(&Frame{Kind: BeatFrame})
			}
			w.busy = false
		case <-draining:
			draining = nil
			if err = w.sendQueued(); err == nil {
				err = stream.Send(&Frame{Kind: BeatFrame, Ask: true, Leaving: true})
			}
		}
		if err != nil {
			return err
		}
	}
}

// writer turns the link's queue into frames.
type writer struct {
	out    *outgoing
	stream Stream
	frame  Frame
	buffer []node.Packet
	busy   bool // something was sent since the last tick
}

// sendQueued sends until the queue has nothing that was not sent.
func (w *writer) sendQueued() error {
	p := w.out.peer
	for {
		p.sendMu.Lock()
		w.buffer = w.out.link.queue.take(w.buffer[:0])
		p.sendMu.Unlock()
		if len(w.buffer) == 0 {
			return nil
		}
		p.t.handler.BeforeSend()
		w.frame = Frame{Kind: PacketsFrame, Packets: w.buffer}
		err := w.stream.Send(&w.frame)
		clear(w.buffer)
		if err != nil {
			return err
		}
		w.busy = true
	}
}

// receive reads what the other side answers, until the stream ends.
func (o *outgoing) receive(stream Stream) error {
	p := o.peer
	var f Frame
	for {
		if err := stream.Recv(&f); err != nil {
			if errors.Is(err, io.EOF) {
				return fmt.Errorf("%s has ended the stream", p.name)
			}
			return fmt.Errorf("the connection to %s is lost: %w", p.name, err)
		}
		o.heard.Store(true)
		var err error
		switch f.Kind {
		case WelcomeFrame:
			err = p.welcome(o, f.Hello)
		case ReadyFrame:
			err = p.otherReady(o, f.Session, f.Number)
		case BeatFrame:
			err = p.acknowledged(o, f.Number)
		case RefusedFrame:
			err = f.Refusal
		default:
			err = protocolError("%s answers with a frame of kind %d, which only a dialer sends", p.name, f.Kind)
		}
		if err != nil {
			return err
		}
	}
}

// welcome takes notice of which incarnation is at the peer's address.
func (p *peer) welcome(o *outgoing, h *Hello) error {
	if h.From != p.name {
		return &Refusal{CauseName, fmt.Sprintf("at %s is %q, not %s: correct the address of %s", o.addr, short(h.From), p.name, p.name)}
	}
	if r := p.t.check(h); r != nil {
		return r
	}
	if h.Floor >= maxSession {
		return protocolError("%s has had %d sessions, more than there can be", p.name, h.Floor)
	}
	if p.t.outdated(h) {
		if p.t.cfg.Outdated != nil {
			p.t.cfg.Outdated(h.Known)
		}
		return olderRefusal(p.t.cfg.Self, p.t.cfg.Incarnation, h.Known)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case o.ctx.Err() != nil:
		return context.Cause(o.ctx)
	case o.welcomed:
		return protocolError("%s says welcome twice", p.name)
	case o.claim != 0 && o.claim != h.Incarnation:
		// The claim is younger than this dial: ask again.
		p.kick()
		return errAgain
	case h.Incarnation < p.known || h.Incarnation == p.known && h.Process != p.process:
		return olderRefusal(p.name, h.Incarnation, p.known)
	case h.Incarnation > p.known:
		if p.link != nil {
			why := fmt.Sprintf("%s has been started again, as incarnation %d", p.name, h.Incarnation)
			p.endLinkLocked(why)
			p.updateLocked(why)
		}
		p.largest = max(p.largest, p.session)
		p.known, p.process, p.session = h.Incarnation, h.Process, max(p.floor, h.Floor)+1
	}
	p.knewMe, p.clock = h.KnewEarlier, h.Clock
	p.stray = 0
	o.welcomed = true
	p.judgeLocked(time.Since(o.asked))
	if in := p.pending; in != nil {
		p.pending = nil
		p.settleLocked(in)
	}
	return nil
}

// slowTTL is how many round trips a TTL should have room for. Leases need four at
// the very least: they are renewed and tried again within half a TTL.
const slowTTL = 8

// judgeLocked warns when round trips are too slow for the TTL, once until they
// are faster. It is told how long a Welcome took, which peers send at once.
func (p *peer) judgeLocked(trip time.Duration) {
	p.trip = trip
	slow := p.t.cfg.Leases && trip > p.t.cfg.TTL/slowTTL
	if slow && !p.slow {
		p.t.cfg.Logger.Warn("the network is slow for the TTL: holds may be lost, and nobody may get in; give all peers a longer one",
			"peer", p.name, "round_trip", trip.Round(time.Microsecond), "ttl", p.t.cfg.TTL, "needed", slowTTL*trip.Round(time.Millisecond))
	}
	p.slow = slow
}

// olderRefusal is for an incarnation that comes after a later one, or after
// another process that had the same.
func olderRefusal(name algo.PeerName, got, known algo.Incarnation) *Refusal {
	if got == known {
		return &Refusal{CauseIncarnation, fmt.Sprintf("two processes were started as incarnation %d of %s: "+
			"is its directory a copy, or was an old one put back? Start it again with a later incarnation", got, name)}
	}
	return &Refusal{CauseIncarnation, fmt.Sprintf("%[2]s says that it is incarnation %[1]d, but its incarnation %[3]d is known already: "+
		"was its clock set back, or its directory emptied? Start it again with a later incarnation (two processes must not share a name)", got, name, known)}
}

// otherReady takes notice that the other side waits for packets of a session,
// and has those up to a number.
func (p *peer) otherReady(o *outgoing, session, received uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case o.ctx.Err() != nil:
		return context.Cause(o.ctx)
	case !o.welcomed || o.link != nil || session == 0 || session > maxSession:
		return protocolError("%s says ready out of turn", p.name)
	case session < p.session:
		// It has not heard yet: the Ready on its own stream says so.
		p.kick()
		return errAgain
	case session > p.session || p.link == nil:
		p.newLinkLocked(session)
	}
	p.sendMu.Lock()
	ended := p.link.ended != ""
	acked := p.link.queue.acked
	resumed := ended || p.link.queue.resume(received)
	p.sendMu.Unlock()
	if ended {
		return errAgain // run is about to begin a new session
	}
	if !resumed {
		why := fmt.Sprintf("%s does not know what it has acknowledged: the link begins anew", p.name)
		p.loseLinkLocked(why)
		return errors.New(why)
	}
	if received > acked {
		o.useful.Store(true)
	}
	o.link = p.link
	close(o.ready)
	p.updateLocked("")
	return nil
}

// acknowledged takes notice that the other side has packets up to a number.
func (p *peer) acknowledged(o *outgoing, number uint64) error {
	select {
	case <-o.ready:
	default:
		return nil // a beat before Ready says nothing
	}
	p.sendMu.Lock()
	acked := o.link.queue.acked
	ok := o.link.ended != "" || o.link.queue.ack(number)
	p.sendMu.Unlock()
	if ok {
		if number > acked {
			o.useful.Store(true)
		}
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	why := fmt.Sprintf("%s acknowledges what it was not sent: the link begins anew", p.name)
	if p.link == o.link {
		p.loseLinkLocked(why)
	}
	return errors.New(why)
}
