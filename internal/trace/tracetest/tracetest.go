// Package tracetest makes traces for tests: it plays a small, sound lock
// protocol with seeded chance. It knows the protocol; what reads its traces
// must not.
package tracetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Config says what to play.
type Config struct {
	Seed    uint64
	Peers   int
	Entries int // wanted by each peer for each lock
	Locks   int // 0 stands for 1
	Cancel  bool
	Kill    bool // one peer is killed at some moment, others then give up
	Restart bool // and comes back
	Cheat   bool // now and then a peer enters although a reply is missing
}

// Trace is the events of each peer, in the order of its file.
type Trace map[algo.PeerName][]trace.Event

// Text returns a peer's events as they stand in its file.
func (t Trace) Text(peer algo.PeerName) []byte {
	var b []byte
	for i := range t[peer] {
		b = trace.AppendEvent(b, &t[peer][i])
	}
	return b
}

// Names returns the peers, sorted.
func (t Trace) Names() []algo.PeerName {
	var names []algo.PeerName
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Play plays a run: permissions of all, granted by age of the request.
func Play(c Config) Trace {
	g := &game{Config: c, chance: rand.New(rand.NewPCG(c.Seed, 1)), wall: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	g.Locks = max(g.Locks, 1)
	for i := range c.Peers {
		p := &player{name: algo.PeerName(rune('a' + i)), seats: make([]seat, g.Locks)}
		if i >= 26 {
			p.name = algo.PeerName(fmt.Sprintf("p%d", i))
		}
		for l := range p.seats {
			p.seats[l].left = c.Entries
		}
		g.players = append(g.players, p)
	}
	g.links = make([][]mail, c.Peers*c.Peers)
	for _, p := range g.players {
		g.start(p)
	}
	if c.Kill {
		g.killAt = 1 + g.chance.IntN(c.Peers*c.Entries*4)
	}
	g.run()
	if g.dead != nil && c.Restart {
		g.restart()
		g.run()
	}
	t := make(Trace)
	for _, p := range g.players {
		if p != g.dead {
			g.giveUp(p)
			g.record(p, trace.Event{Kind: trace.Stop}, true)
		}
		t[p.name] = p.events
	}
	return t
}

type game struct {
	Config
	chance  *rand.Rand
	wall    time.Time
	players []*player
	links   [][]mail // from*Peers + to
	killAt  int
	steps   int
	dead    *player
}

type player struct {
	name   algo.PeerName
	inc    algo.Incarnation
	clock  algo.Time
	number uint64
	seats  []seat
	events []trace.Event
}

// seat is a player's part in one lock.
type seat struct {
	left     int
	asking   bool
	inside   bool
	token    algo.Token
	stamp    algo.Stamp
	missing  map[int]bool
	deferred []debt
}

type debt struct {
	to    int
	stamp algo.Stamp
}

type mail struct {
	trace.Message
	lock  int
	reply bool
	stamp algo.Stamp
}

func lockName(l int) string { return []string{"demo", "other", "third"}[l] }

// record adds an event; step says that it begins a new step.
func (g *game) record(p *player, e trace.Event, step bool) {
	g.wall = g.wall.Add(time.Duration(1+g.chance.IntN(100000)) * time.Nanosecond)
	if step {
		p.clock++
	}
	e.At, e.Peer, e.Incarnation, e.Clock = g.wall, p.name, p.inc, p.clock
	p.events = append(p.events, e)
}

func (g *game) start(p *player) {
	p.inc++
	p.number = 0
	g.record(p, trace.Event{Kind: trace.Start}, true)
	for _, other := range g.players {
		if other != p {
			g.record(p, trace.Event{Kind: trace.LinkUp, Other: other.name}, false)
		}
	}
}

// run plays until nothing can happen any more.
func (g *game) run() {
	for {
		var moves []func()
		for i, p := range g.players {
			if p == g.dead {
				continue
			}
			for j := range g.players {
				if len(g.links[j*g.Peers+i]) > 0 {
					moves = append(moves, func() { g.deliver(j, i) })
				}
			}
			for l := range p.seats {
				moves = g.seatMoves(moves, i, l)
			}
		}
		if len(moves) == 0 {
			return
		}
		moves[g.chance.IntN(len(moves))]()
		if g.steps++; g.steps == g.killAt {
			g.kill(g.chance.IntN(g.Peers))
		}
	}
}

func (g *game) seatMoves(moves []func(), i, l int) []func() {
	s := &g.players[i].seats[l]
	switch {
	case s.inside:
		moves = append(moves, func() { g.exit(i, l) })
	case s.asking:
		if g.Cancel && g.chance.IntN(20) == 0 {
			moves = append(moves, func() { g.cancel(i, l) })
		}
		if g.Cheat && g.chance.IntN(30) == 0 {
			moves = append(moves, func() { g.enter(i, l, true) })
		}
	case s.left > 0:
		moves = append(moves, func() { g.request(i, l) })
	}
	return moves
}

func (g *game) request(i, l int) {
	p := g.players[i]
	s := &p.seats[l]
	g.record(p, trace.Event{Kind: trace.Request, Lock: lockName(l)}, true)
	s.asking, s.left = true, s.left-1
	s.stamp = algo.Stamp{Time: p.clock, Peer: p.name, Incarnation: p.inc}
	s.missing = make(map[int]bool)
	for j := range g.players {
		if j != i {
			s.missing[j] = true
			g.send(i, j, l, false, s.stamp, "")
		}
	}
	if len(s.missing) == 0 {
		g.enter(i, l, false)
	}
}

func (g *game) send(i, j, l int, reply bool, stamp algo.Stamp, why string) {
	p := g.players[i]
	p.number++
	m := mail{lock: l, reply: reply, stamp: stamp, Message: trace.Message{
		ID: trace.MessageID{From: p.name, Incarnation: p.inc, Number: p.number}, Kind: "request", From: p.name, To: g.players[j].name,
		Clock: p.clock, Fields: []algo.Field{{Key: "request", Value: stamp.String()}},
	}}
	if reply {
		m.Kind = "reply"
	}
	g.record(p, trace.Event{Kind: trace.Send, Lock: lockName(l), Reason: why, Message: &m.Message}, false)
	g.links[i*g.Peers+j] = append(g.links[i*g.Peers+j], m)
}

func (g *game) deliver(i, j int) {
	k := &g.links[i*g.Peers+j]
	m := (*k)[0]
	*k = (*k)[1:]
	p := g.players[j]
	p.clock = max(p.clock, m.Clock)
	g.record(p, trace.Event{Kind: trace.Receive, Lock: lockName(m.lock), Message: &m.Message}, true)
	s := &p.seats[m.lock]
	switch {
	case m.reply:
		if s.asking && m.stamp == s.stamp {
			delete(s.missing, i)
			if len(s.missing) == 0 {
				g.enter(j, m.lock, false)
			}
		}
	case s.inside:
		s.deferred = append(s.deferred, debt{i, m.stamp})
		g.record(p, trace.Event{Kind: trace.Note, Lock: lockName(m.lock), Other: m.From, Reason: "holds back its reply: it is inside"}, false)
	case s.asking && s.stamp.Compare(m.stamp) < 0:
		s.deferred = append(s.deferred, debt{i, m.stamp})
		g.record(p, trace.Event{Kind: trace.Note, Lock: lockName(m.lock), Other: m.From, Reason: "holds back its reply: its own request " + s.stamp.String() + " is older"}, false)
	case s.asking:
		g.send(j, i, m.lock, true, m.stamp, "its own request "+s.stamp.String()+" is younger")
	default:
		g.send(j, i, m.lock, true, m.stamp, "it wants nothing")
	}
}

func (g *game) enter(i, l int, cheat bool) {
	p := g.players[i]
	s := &p.seats[l]
	if cheat {
		p.clock++
	}
	s.asking, s.inside, s.token = false, true, algo.Token(p.clock)
	g.record(p, trace.Event{Kind: trace.Enter, Lock: lockName(l), Token: s.token, Reason: "every peer has replied"}, false)
}

func (g *game) exit(i, l int) {
	s := &g.players[i].seats[l]
	g.record(g.players[i], trace.Event{Kind: trace.Exit, Lock: lockName(l), Token: s.token}, true)
	s.inside = false
	g.settle(i, l, "it has left")
}

func (g *game) cancel(i, l int) {
	g.record(g.players[i], trace.Event{Kind: trace.Cancel, Lock: lockName(l)}, true)
	g.players[i].seats[l].asking = false
	g.settle(i, l, "it has given up")
}

func (g *game) settle(i, l int, why string) {
	s := &g.players[i].seats[l]
	for _, d := range s.deferred {
		if g.players[d.to] != g.dead {
			g.send(i, d.to, l, true, d.stamp, why)
		}
	}
	s.deferred = nil
}

// kill ends a player at once. What it had sent is still delivered; what is on
// its way to it is dropped.
func (g *game) kill(i int) {
	g.dead = g.players[i]
	for j := range g.players {
		for _, m := range g.links[j*g.Peers+i] {
			g.record(g.players[j], trace.Event{Kind: trace.Drop, Lock: lockName(m.lock), Message: &m.Message}, false)
		}
		g.links[j*g.Peers+i] = nil
	}
}

// restart brings the dead player back. Who waited for it asks again.
func (g *game) restart() {
	back := g.dead
	at := slices.Index(g.players, back)
	for j, p := range g.players {
		for _, m := range g.links[j*g.Peers+at] {
			g.record(p, trace.Event{Kind: trace.Drop, Lock: lockName(m.lock), Message: &m.Message}, false)
		}
		g.links[j*g.Peers+at] = nil
	}
	g.dead = nil
	for l := range back.seats {
		back.seats[l] = seat{left: back.seats[l].left}
	}
	g.start(back)
	for _, p := range g.players {
		for l := range p.seats {
			if s := &p.seats[l]; s.asking {
				s.left++
			}
		}
		g.giveUp(p)
	}
}

// giveUp cancels what a player waits for.
func (g *game) giveUp(p *player) {
	for l := range p.seats {
		if p.seats[l].asking {
			g.cancel(slices.Index(g.players, p), l)
		}
	}
}
