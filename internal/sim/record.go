package sim

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Record is what happens in a network, as the peers' own traces would have it:
// what judges real runs judges it as well. It leaves out what no judge needs:
// reasons, notes, and what algorithms say in their messages. A recorded peer
// neither stops and starts again (Replace) nor loses its disk (Wipe).
type Record struct {
	net    *Network
	peers  []*recorded
	flight map[*packet]trace.Message // sent, and not received yet

	// Size, if not nil, says how many bytes a message is on the wire. Bytes is
	// their sum over all messages about locks that are not upkeep.
	Size  func(m *trace.Message, lock string, content algo.Message) int
	Bytes int
}

// recorded is one peer's trace. It is a trace.Source.
type recorded struct {
	name   algo.PeerName
	events []trace.Event
	number uint64 // of the last message sent
	tokens [maxLocks]algo.Token
	killed bool
	read   int
}

// recordBegins is when virtual time begins, for clocks in traces.
var recordBegins = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// newRecord records a network that has just started.
func newRecord(n *Network) *Record {
	r := &Record{net: n, flight: make(map[*packet]trace.Message)}
	for i, name := range n.names {
		r.peers = append(r.peers, &recorded{name: name})
		r.add(i, trace.Event{Kind: trace.Start, Algorithm: r.net.Algorithm})
	}
	return r
}

// Sources returns the traces, one for each peer. They can be read once.
func (r *Record) Sources() []trace.Source {
	var sources []trace.Source
	for _, p := range r.peers {
		sources = append(sources, p)
	}
	return sources
}

// Peer implements trace.Source.
func (p *recorded) Peer() algo.PeerName { return p.name }

// Next implements trace.Source.
func (p *recorded) Next(l *trace.Line) error {
	if p.read == len(p.events) {
		return io.EOF
	}
	l.Event, l.Gap = p.events[p.read], ""
	p.read++
	l.Pos = trace.Pos{File: string(p.name) + trace.Suffix, Line: p.read}
	return nil
}

// add adds an event of a peer that happens now.
func (r *Record) add(i int, e trace.Event) {
	p := r.net.peers[i]
	e.At, e.Peer, e.Incarnation = recordBegins.Add(time.Duration(r.net.passed)), p.name, p.incarnation
	if e.Clock == 0 {
		e.Clock = p.clock.Now()
	}
	r.peers[i].events = append(r.peers[i].events, e)
}

// see takes note of a step that was taken.
func (r *Record) see(e Event) {
	s := e.Step
	i := int(s.Peer)
	switch s.Op {
	case Pass, Lose:
		return
	case Restart:
		r.kill(i)
		r.peers[i].number, r.peers[i].killed = 0, false
		r.add(i, trace.Event{Kind: trace.Start, Algorithm: r.net.Algorithm})
		return
	case Wipe, Replace:
		panic("sim: a recorded peer does no " + s.Op.String())
	case Deliver:
		i = int(s.Other)
		m := r.flight[e.received]
		delete(r.flight, e.received)
		r.add(i, trace.Event{Kind: trace.Receive, Lock: e.received.lock, Message: &m})
	case Contact, Up:
		r.add(i, trace.Event{Kind: trace.LinkUp, Other: r.net.names[s.Other]})
	case Down:
		r.add(i, trace.Event{Kind: trace.LinkDown, Other: r.net.names[s.Other]})
	case Leave:
		r.add(i, trace.Event{Kind: trace.Leave, Other: r.net.names[s.Other]})
	case Request:
		r.add(i, trace.Event{Kind: trace.Request, Lock: r.net.locks[s.Lock]})
	case Cancel:
		r.add(i, trace.Event{Kind: trace.Cancel, Lock: r.net.locks[s.Lock]})
	case Release:
		r.release(i, int(s.Lock), e)
	}
	r.follow(i, e)
}

// release records the end of a hold: that it was lost, if it was found out now.
func (r *Record) release(i, lock int, e Event) {
	kind, name := trace.Exit, r.net.locks[lock]
	if slices.ContainsFunc(e.Outputs, func(o algo.Output) bool { return o.Kind == algo.Lost && o.Lock == name }) {
		kind = trace.Lost
	}
	r.add(i, trace.Event{Kind: kind, Lock: name, Token: r.peers[i].tokens[lock]})
}

// follow records what followed from a step.
func (r *Record) follow(i int, e Event) {
	packets := e.sent
	for _, o := range e.Outputs {
		lock := slices.Index(r.net.locks, o.Lock)
		if lock < 0 && o.Kind != algo.Send || len(packets) == 0 && o.Kind == algo.Send {
			continue // nothing to record, or a rule is broken: the network says so
		}
		switch o.Kind {
		case algo.Send:
			r.send(i, o, packets[0])
			packets = packets[1:]
		case algo.Enter, algo.Extend:
			kind := trace.Enter
			if o.Kind == algo.Extend {
				kind = trace.Extend
			} else {
				r.peers[i].tokens[lock] = o.Token
			}
			lease := time.Duration(0)
			if o.Deadline != algo.Never {
				lease = time.Duration(o.Deadline.Sub(e.Input.Now))
			}
			r.add(i, trace.Event{Kind: kind, Lock: o.Lock, Token: r.peers[i].tokens[lock], Lease: lease})
		case algo.Lost:
			if e.Step.Op != Release || int(e.Step.Lock) != lock { // else release has
				r.add(i, trace.Event{Kind: trace.Lost, Lock: o.Lock, Token: r.peers[i].tokens[lock]})
			}
		}
	}
}

func (r *Record) send(i int, o algo.Output, k *packet) {
	p := r.peers[i]
	p.number++
	m := trace.Message{
		ID:   trace.MessageID{From: p.name, Incarnation: r.net.peers[i].incarnation, Number: p.number},
		Kind: o.Message.Kind(), From: p.name, To: o.To, Clock: k.time, Upkeep: o.Upkeep,
	}
	r.flight[k] = m
	if r.Size != nil && o.Lock != "" && !o.Upkeep {
		r.Bytes += r.Size(&m, o.Lock, o.Message)
	}
	r.add(i, trace.Event{Kind: trace.Send, Lock: o.Lock, Message: &m})
}

// kill records that a peer was killed, if that is not said yet.
func (r *Record) kill(i int) {
	p := r.peers[i]
	if p.killed {
		return
	}
	p.killed = true
	last := p.events[len(p.events)-1]
	p.events = append(p.events, trace.Event{
		At: recordBegins.Add(time.Duration(r.net.passed)), Peer: p.name, Incarnation: last.Incarnation, Clock: last.Clock,
		Kind: trace.Crash, Reason: "by the simulation",
	})
}

// stop ends every trace in good order. The error says who wants something yet.
func (r *Record) stop() error {
	for i, p := range r.net.peers {
		for l, name := range r.net.locks {
			if p.phase[l] != idle {
				return fmt.Errorf("%s is not done with lock %s", p.name, name)
			}
		}
		r.add(i, trace.Event{Kind: trace.Stop})
	}
	return nil
}
