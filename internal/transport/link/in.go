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

// incoming is a stream that another peer has dialed. One goroutine reads;
// Serve's own answers.
type incoming struct {
	t        *Transport
	ctx      context.Context
	cancel   context.CancelCauseFunc // the first cause is why it ended
	heard    atomic.Bool             // something, since Serve last looked
	received atomic.Uint64           // number of the last packet, for acknowledgements
	ackDue   atomic.Bool
	wake     chan struct{} // tells Serve that ackDue or outbox is set

	mu     sync.Mutex
	outbox []Frame // of the handshake

	// As the Hello says; set by the reader before the peer sees the stream.
	peer        *peer
	incarnation algo.Incarnation
	process     uint64

	// Reader only.
	sinceAck int
	bytes    int
}

// Serve carries a stream that another peer has dialed, and returns why it has
// ended. The carrier breaks the stream when Serve returns.
func (t *Transport) Serve(stream Stream) error {
	if !t.enter() {
		return &leftError{t.cfg.Self}
	}
	defer t.streams.Done()
	ctx, cancel := context.WithCancelCause(t.ctx)
	in := &incoming{t: t, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1)}
	t.streams.Go(func() {
		in.cancel(in.receive(stream))
		if in.peer != nil {
			in.peer.inEnded(in)
		}
	})
	err := in.answer(stream)
	in.cancel(err)
	return err
}

// answer writes until the stream ends.
func (in *incoming) answer(stream Stream) error {
	ticker := time.NewTicker(in.t.beat)
	defer ticker.Stop()
	silent, busy := 0, false
	for {
		select {
		case <-in.ctx.Done():
			return in.takeLeave(stream)
		case <-in.wake:
			if err := in.sendOutbox(stream); err != nil {
				return err
			}
			if in.ackDue.Swap(false) {
				busy = true
				if err := in.sendBeat(stream); err != nil {
					return err
				}
			}
		case <-ticker.C:
			if !busy {
				if err := in.sendBeat(stream); err != nil {
					return err
				}
			}
			busy = false
			if silent++; in.heard.Swap(false) {
				silent = 0
			}
			if silent >= silentBeats {
				in.cancel(fmt.Errorf("nothing was heard for %v", silentBeats*in.t.beat))
			}
		}
	}
}

// takeLeave sends what is still to be said when the stream ends: a refusal, or
// to who leaves in good order that all has come.
func (in *incoming) takeLeave(stream Stream) error {
	if err := in.sendOutbox(stream); err != nil {
		return err
	}
	cause := context.Cause(in.ctx)
	var left *leftError
	if errors.As(cause, &left) && left.peer != in.t.cfg.Self {
		return in.sendBeat(stream)
	}
	return cause
}

func (in *incoming) sendBeat(stream Stream) error {
	return stream.Send(&Frame{Kind: BeatFrame, Number: in.received.Load()})
}

func (in *incoming) sendOutbox(stream Stream) error {
	in.mu.Lock()
	frames := in.outbox
	in.outbox = nil
	in.mu.Unlock()
	for i := range frames {
		if err := stream.Send(&frames[i]); err != nil {
			return err
		}
	}
	return nil
}

// push queues a frame of the handshake. It does not block.
func (in *incoming) push(f Frame) {
	in.mu.Lock()
	in.outbox = append(in.outbox, f)
	in.mu.Unlock()
	signal(in.wake)
}

// refuse ends the stream and tells the other side why.
func (in *incoming) refuse(r *Refusal) error {
	in.t.logRefusal(r)
	in.push(Frame{Kind: RefusedFrame, Refusal: r})
	in.cancel(r)
	return r
}

// receive reads until the stream ends.
func (in *incoming) receive(stream Stream) error {
	var f Frame
	for {
		if err := stream.Recv(&f); err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the stream has ended")
			}
			return err
		}
		in.heard.Store(true)
		var err error
		switch {
		case f.Kind == HelloFrame && in.peer == nil:
			err = in.hello(f.Hello)
		case in.peer == nil || f.Kind == HelloFrame:
			err = protocolError("a stream begins with one hello, this one has a frame of kind %d out of turn", f.Kind)
		case f.Kind == PacketsFrame:
			err = in.deliver(f.Packets)
		case f.Kind == BeatFrame && f.Leaving:
			err = &leftError{in.peer.name}
		case f.Kind == BeatFrame:
			if f.Ask {
				in.ackSoon()
			}
		default:
			err = protocolError("%s sends a frame of kind %d, which only answers may be", in.peer.name, f.Kind)
		}
		if err != nil {
			return err
		}
	}
}

// hello decides about the first frame.
func (in *incoming) hello(h *Hello) error {
	t := in.t
	if r := t.check(h); r != nil {
		return in.refuse(r)
	}
	p := t.peer(h.From)
	if p == nil {
		return in.refuse(t.unknown(h.From))
	}
	if t.outdated(h) {
		p.kick() // to hear it at that peer's address: anybody can say hello
		return in.refuse(olderRefusal(t.cfg.Self, t.cfg.Incarnation, h.Known))
	}
	in.peer, in.incarnation, in.process = p, h.Incarnation, h.Process
	return p.greet(in)
}

// unknown refuses somebody who is none of the peers. Who has not been added will
// be, once word of it has come here: then it is dialed, and not before.
func (t *Transport) unknown(name algo.PeerName) *Refusal {
	if t.cfg.Open {
		return &Refusal{CauseUnknown, fmt.Sprintf("%s has not found %s yet: it is looked for", t.cfg.Self, name)}
	}
	return &Refusal{CauseName, fmt.Sprintf("%s is in nobody's list of peers: add it to all of them", name)}
}

// outdated says that the other side knows a later incarnation of this peer, or
// another process of the same.
func (t *Transport) outdated(h *Hello) bool {
	return h.Known > t.cfg.Incarnation || h.Known == t.cfg.Incarnation && h.KnownProcess != t.process
}

// greet answers a Hello, and lets its stream carry packets once an own dial
// has found its incarnation.
func (p *peer) greet(in *incoming) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone { // since hello has looked
		return in.refuse(p.t.unknown(p.name))
	}
	live := p.out.liveLocked()
	if live && in.incarnation == p.stray {
		return in.refuse(p.twinsRefusal(in.incarnation))
	}
	welcome := p.hello()
	welcome.Known, welcome.KnownProcess = p.known, p.process
	welcome.KnewEarlier = p.met != 0 && p.met < in.incarnation
	in.push(Frame{Kind: WelcomeFrame, Hello: welcome}) // an older one learns from it that it is
	if in.incarnation < p.known || in.incarnation == p.known && in.process != p.process {
		return in.refuse(olderRefusal(p.name, in.incarnation, p.known))
	}

	if live && in.incarnation == p.known {
		p.activateLocked(in)
		return nil
	}
	if p.pending != nil {
		p.pending.cancel(errReplaced)
	}
	p.pending = in
	if in.incarnation != p.known && p.out != nil {
		p.out.claim = in.incarnation
		if live {
			p.out.cancel(errAgain)
		}
	}
	p.arouse()
	return nil
}

var errReplaced = errors.New("another stream has taken its place")

func (p *peer) twinsRefusal(claimed algo.Incarnation) *Refusal {
	return &Refusal{CauseTwins, fmt.Sprintf("the peer at %s is incarnation %d of %s, another one says that it is incarnation %d: are two processes running under the name %s?",
		p.t.where(p.name), p.known, p.name, claimed, p.name)}
}

// settleLocked decides about a stream that was pending.
func (p *peer) settleLocked(in *incoming) {
	switch {
	case in.ctx.Err() != nil:
	case in.incarnation == p.known && in.process == p.process:
		p.activateLocked(in)
	case in.incarnation <= p.known:
		in.refuse(olderRefusal(p.name, in.incarnation, p.known))
	default:
		p.stray = in.incarnation
		in.refuse(p.twinsRefusal(in.incarnation))
	}
}

// activateLocked lets in carry packets from now on.
func (p *peer) activateLocked(in *incoming) {
	if p.link == nil {
		p.newLinkLocked(p.session)
	}
	if p.in != nil {
		p.in.cancel(errReplaced)
	}
	p.in = in
	in.received.Store(p.received)
	in.push(Frame{Kind: ReadyFrame, Session: p.session, Number: p.received})
	p.updateLocked("")
}

// deliver hands packets over, except those that came before.
func (in *incoming) deliver(packets []node.Packet) error {
	p := in.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in != in {
		if in.ctx.Err() != nil {
			return context.Cause(in.ctx)
		}
		return protocolError("%s sends packets out of turn", p.name)
	}
	fresh := packets[:0]
	for _, packet := range packets {
		in.bytes += p.t.cfg.PacketSize(&packet)
		if packet.Number > p.received {
			p.received = packet.Number
			fresh = append(fresh, packet)
		}
	}
	if len(fresh) > 0 {
		p.t.handler.Receive(p.name, p.link, fresh)
	}
	in.received.Store(p.received)
	in.sinceAck += len(packets)
	if in.sinceAck >= ackPackets || in.bytes >= ackBytes {
		in.ackSoon()
	}
	return nil
}

func (in *incoming) ackSoon() {
	in.sinceAck, in.bytes = 0, 0
	in.ackDue.Store(true)
	signal(in.wake)
}

// inEnded takes notice of the end of in.
func (p *peer) inEnded(in *incoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == in {
		p.pending = nil
	}
	if p.in != in {
		return
	}
	p.in = nil
	cause := context.Cause(in.ctx)
	var left *leftError
	reason := fmt.Sprintf("the connection from %s is lost: %v", p.name, cause)
	if errors.As(cause, &left) {
		reason = cause.Error()
	}
	p.updateLocked(reason)
}
