package tracetest

import (
	"math/rand/v2"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Leases says what to play with leases.
type Leases struct {
	Seed   uint64
	Peers  int
	Locks  int
	Steps  int
	Greet  time.Duration // the peers' first messages take up to this; 0: there are none
	Talk   bool          // messages go on after those
	Kill   bool          // peers are killed now and then, and some come back
	Rates  bool          // clocks run at rates that differ by up to Drift
	Jump   bool          // one clock is set while the run lasts
	Faulty Fault
}

// Fault is what a run does wrong, now and then.
type Fault int

const (
	Sound   Fault = iota
	Intrude       // somebody enters while another is inside
	Linger        // a holder leaves as if its lease were not over, though others have entered
	Shrink        // a token does not grow
)

// Drift is by how much a clock's rate may be off.
const Drift = 1e-3

// Lived is a run with leases, and what really happened in it.
type Lived struct {
	Trace   Trace
	Stays   []Stay        // in the order in which they began
	Writing []Written     // what the holders wrote to a file that all share, in order
	Span    time.Duration // how long the run lasted
}

// Stay is a hold as it really was, by a clock that no peer has.
type Stay struct {
	Peer     algo.PeerName
	Lock     string
	Token    algo.Token
	From, To time.Duration
}

// Overlap is the longest time for which two were inside a lock at once.
func (l *Lived) Overlap() (longest time.Duration) {
	for i, a := range l.Stays {
		for _, b := range l.Stays[i+1:] {
			if a.Lock == b.Lock {
				longest = max(longest, min(a.To, b.To)-max(a.From, b.From))
			}
		}
	}
	return longest
}

// Grow says that the tokens of each lock grew.
func (l *Lived) Grow() bool {
	last := make(map[string]algo.Token)
	for _, s := range l.Stays {
		if s.Token <= last[s.Lock] {
			return false
		}
		last[s.Lock] = s.Token
	}
	return true
}

// Written is a line of the shared file.
type Written struct {
	Enter bool
	Peer  algo.PeerName
	Lock  string
	Token algo.Token
}

// PlayLeases plays a run in which nobody needs messages to enter: somebody who
// sees all lets one in when the lock is free, so messages tell as much of it, or
// as little, as chance wants.
func PlayLeases(c Leases) *Lived {
	v := &village{Leases: c, chance: rand.New(rand.NewPCG(c.Seed, 2)), tokens: make([]algo.Token, c.Locks)}
	for i := range c.Peers {
		p := &dweller{name: algo.PeerName(rune('a' + i)), rate: 1, stays: make([]*holding, c.Locks), asks: make([]bool, c.Locks)}
		if v.chance.IntN(2) == 0 {
			p.offset = time.Duration(v.chance.Int64N(int64(2*time.Hour))) - time.Hour
		}
		if c.Rates {
			p.rate += Drift * (2*v.chance.Float64() - 1)
		}
		v.peers = append(v.peers, p)
	}
	v.links = make([][]trace.Message, c.Peers*c.Peers)
	for _, p := range v.peers {
		v.start(p)
	}
	v.greet()
	jumpAt := -1
	if c.Jump {
		jumpAt = v.chance.IntN(c.Steps)
	}
	for step := range c.Steps {
		if step == jumpAt {
			v.peers[v.chance.IntN(c.Peers)].offset += time.Duration(v.chance.Int64N(int64(4*time.Second))) - 2*time.Second
		}
		v.pass()
		v.step()
	}
	v.end()
	return v.lived()
}

type village struct {
	Leases
	chance  *rand.Rand
	now     time.Duration // since the run began
	peers   []*dweller
	links   [][]trace.Message // from*Peers + to
	tokens  []algo.Token      // the largest yet, by lock
	all     []*holding
	writing []Written
}

type dweller struct {
	name   algo.PeerName
	inc    algo.Incarnation
	clock  algo.Time
	offset time.Duration
	rate   float64
	number uint64
	dead   bool
	asks   []bool
	stays  []*holding
	events []trace.Event
}

// holding is a hold that lasts, or did.
type holding struct {
	Stay
	deadline  time.Duration // when its lease is over
	overtaken bool          // its lease was over, and another has entered
	over      bool
	killed    bool
	back      bool // killed, and its peer has started again
}

// free says that others may enter while h is there, or was.
func (v *village) free(h *holding) bool {
	return h.over && (!h.killed || h.back) || v.now >= h.deadline
}

// pass lets time go by: a moment, or a good part of a lease.
func (v *village) pass() {
	scale := [...]time.Duration{time.Millisecond, 50 * time.Millisecond, 400 * time.Millisecond}[v.chance.IntN(3)]
	v.now += 1 + time.Duration(v.chance.Int64N(int64(scale)))
}

// local is what p's clock counts when d passes.
func (p *dweller) local(d time.Duration) time.Duration { return time.Duration(float64(d) * p.rate) }

func (v *village) record(p *dweller, e trace.Event) {
	p.clock++
	if v.chance.IntN(40) == 0 {
		p.clock += algo.Time(v.chance.IntN(500)) // it has heard of others in ways that no trace shows
	}
	begin := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	e.At, e.Peer, e.Incarnation, e.Clock = begin.Add(p.offset+p.local(v.now)), p.name, p.inc, p.clock
	if e.Message != nil && e.Kind == trace.Send {
		e.Message.Clock = p.clock
	}
	p.events = append(p.events, e)
}

func (v *village) start(p *dweller) {
	p.inc++
	p.number, p.dead = 0, false
	v.record(p, trace.Event{Kind: trace.Start})
}

func (v *village) send(i, j int) {
	p := v.peers[i]
	p.number++
	m := trace.Message{
		ID:   trace.MessageID{From: p.name, Incarnation: p.inc, Number: p.number},
		Kind: "word", From: p.name, To: v.peers[j].name,
	}
	v.record(p, trace.Event{Kind: trace.Send, Message: &m})
	v.links[i*v.Peers+j] = append(v.links[i*v.Peers+j], m)
}

// deliver hands over the first message from i to j, if there is one.
func (v *village) deliver(i, j int) {
	k := &v.links[i*v.Peers+j]
	if len(*k) == 0 || v.peers[j].dead {
		return
	}
	m := (*k)[0]
	*k = (*k)[1:]
	v.peers[j].clock = max(v.peers[j].clock, m.Clock)
	v.record(v.peers[j], trace.Event{Kind: trace.Receive, Message: &m})
}

// greet has most of the peers send each other a message. Where one is missing,
// two clocks can be compared by way of a third only.
func (v *village) greet() {
	for i := range v.peers {
		for j := range v.peers {
			if v.Greet == 0 || i == j || v.chance.IntN(4) == 0 {
				continue
			}
			v.send(i, j)
			v.now += 1 + time.Duration(v.chance.Int64N(int64(v.Greet)))
			v.deliver(i, j)
		}
	}
}

// step has one peer do something, if it can.
func (v *village) step() {
	i, l := v.chance.IntN(v.Peers), v.chance.IntN(v.Locks)
	p := v.peers[i]
	if p.dead {
		if v.chance.IntN(6) == 0 {
			v.comeBack(i)
		}
		return
	}
	switch x := v.chance.IntN(20); {
	case v.Kill && x == 0:
		v.kill(i)
	case x < 7:
		v.talk(i)
	case p.stays[l] != nil:
		v.inside(i, l)
	case !p.asks[l]:
		p.asks[l] = true
		v.record(p, trace.Event{Kind: trace.Request, Lock: lockName(l)})
	case v.chance.IntN(10) == 0:
		p.asks[l] = false
		v.record(p, trace.Event{Kind: trace.Cancel, Lock: lockName(l)})
	default:
		v.maybeEnter(i, l)
	}
}

func (v *village) talk(i int) {
	j := v.chance.IntN(v.Peers)
	switch {
	case i == j || !v.Talk:
	case v.chance.IntN(2) == 0 && !v.peers[j].dead:
		v.send(i, j)
	default:
		v.deliver(j, i)
	}
}

func (v *village) maybeEnter(i, l int) {
	intrudes := false
	for _, h := range v.all {
		if h.Lock == lockName(l) && !v.free(h) {
			intrudes = true
		}
	}
	if intrudes && (v.Faulty != Intrude || v.chance.IntN(3) > 0) {
		return
	}
	if v.Talk && v.chance.IntN(2) == 0 {
		for j := range v.peers { // it hears how the last hold ended
			for len(v.links[j*v.Peers+i]) > 0 {
				v.deliver(j, i)
			}
		}
	}
	v.enter(i, l)
}

func (v *village) enter(i, l int) {
	for _, h := range v.all {
		if h.Lock == lockName(l) && !h.over {
			h.overtaken = true
		}
	}
	token := v.tokens[l] + 1 + algo.Token(v.chance.IntN(3))
	if v.Faulty == Shrink && v.tokens[l] > 0 && v.chance.IntN(8) == 0 {
		token = 1 + algo.Token(v.chance.Int64N(int64(v.tokens[l])))
	}
	v.tokens[l] = max(v.tokens[l], token)
	p := v.peers[i]
	h := &holding{Stay: Stay{Peer: p.name, Lock: lockName(l), Token: token, From: v.now}}
	v.all = append(v.all, h)
	p.stays[l], p.asks[l] = h, false
	v.record(p, trace.Event{Kind: trace.Enter, Lock: lockName(l), Token: token, Lease: v.lease(p, h)})
	if v.chance.IntN(12) == 0 { // its caller had given up
		v.leave(i, l, trace.Event{Kind: trace.Exit, Reason: trace.GivenBack})
		return
	}
	v.writing = append(v.writing, Written{true, p.name, h.Lock, token})
}

// lease gives h a lease from now on; one that it has already stays good.
func (v *village) lease(p *dweller, h *holding) time.Duration {
	d := 100*time.Millisecond + time.Duration(v.chance.Int64N(int64(900*time.Millisecond)))
	h.deadline = max(h.deadline, v.now+time.Duration(float64(d)/p.rate))
	return d
}

// inside is what a holder may do.
func (v *village) inside(i, l int) {
	p := v.peers[i]
	h := p.stays[l]
	switch x := v.chance.IntN(6); {
	case h.overtaken && v.now >= h.deadline && v.Faulty != Linger,
		x == 0, h.overtaken && v.Faulty == Sound:
		v.leave(i, l, trace.Event{Kind: trace.Lost})
	case x < 3 && v.now < h.deadline:
		v.record(p, trace.Event{Kind: trace.Extend, Lock: h.Lock, Token: h.Token, Lease: v.lease(p, h)})
	default:
		v.leave(i, l, trace.Event{Kind: trace.Exit})
		if v.Talk && v.chance.IntN(2) == 0 {
			for j := range v.peers {
				if j != i && !v.peers[j].dead {
					v.send(i, j)
				}
			}
		}
	}
}

// leave ends a hold. Whoever has lost it may have noticed that late.
func (v *village) leave(i, l int, e trace.Event) {
	p := v.peers[i]
	h := p.stays[l]
	h.over, h.To = true, v.now
	e.Lock, e.Token = h.Lock, h.Token
	if e.Kind == trace.Lost {
		h.To = min(v.now, h.deadline)
	}
	if e.Reason != trace.GivenBack && (e.Kind == trace.Exit || v.chance.IntN(2) == 0) {
		v.writing = append(v.writing, Written{false, p.name, h.Lock, h.Token})
	}
	p.stays[l] = nil
	v.record(p, e)
}

// kill ends a peer at once. What it had sent still arrives; what is on its way
// to it is dropped.
func (v *village) kill(i int) {
	p := v.peers[i]
	p.dead = true
	for l, h := range p.stays {
		if h != nil {
			h.over, h.killed, h.To = true, true, min(v.now, h.deadline)
		}
		p.stays[l], p.asks[l] = nil, false
	}
	if v.chance.IntN(2) == 0 {
		p.clock--
		v.record(p, trace.Event{Kind: trace.Crash, Reason: "kill -9"})
	}
	for j, other := range v.peers {
		if !other.dead {
			v.drop(other, j*v.Peers+i)
		}
	}
}

func (v *village) drop(by *dweller, link int) {
	for _, m := range v.links[link] {
		v.record(by, trace.Event{Kind: trace.Drop, Message: &m})
	}
	v.links[link] = nil
}

// comeBack starts a killed peer. Everybody knows then that what it held is
// free, and what it had sent is not taken any more.
func (v *village) comeBack(i int) {
	p := v.peers[i]
	for _, h := range v.all {
		h.back = h.back || h.killed && h.Peer == p.name
	}
	for j, other := range v.peers {
		if other.dead {
			v.links[i*v.Peers+j] = nil
		} else {
			v.drop(other, i*v.Peers+j)
		}
		v.links[j*v.Peers+i] = nil
	}
	v.start(p)
}

// end has most of the peers stop; the records of the others end before that.
func (v *village) end() {
	for i, p := range v.peers {
		if p.dead || v.chance.IntN(5) == 0 {
			continue
		}
		for l := range p.stays {
			for p.stays[l] != nil {
				v.pass()
				v.inside(i, l)
			}
			if p.asks[l] {
				v.record(p, trace.Event{Kind: trace.Cancel, Lock: lockName(l)})
			}
		}
		v.record(p, trace.Event{Kind: trace.Stop})
	}
}

func (v *village) lived() *Lived {
	run := &Lived{Trace: make(Trace), Writing: v.writing, Span: v.now}
	for _, p := range v.peers {
		run.Trace[p.name] = p.events
	}
	for _, h := range v.all {
		if !h.over {
			h.To = min(v.now, h.deadline)
		}
		run.Stays = append(run.Stays, h.Stay)
	}
	return run
}
