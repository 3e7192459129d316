package sim_test

import (
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/sim"
)

// central is a lock with a server, the first peer, that lends leases. It is what
// the simulator is tested on: it knows time, and is simple enough to be right.
// Flaw breaks it on purpose.
type central struct {
	flaw  flaw
	setup algo.Setup

	known []algo.PeerName // with whom there has been contact

	// As a client.
	own      id // its open request or its hold; zero if there is none
	inside   bool
	deadline algo.Instant
	refresh  algo.Instant // when it asks again

	// As the server.
	silent  algo.Instant // it grants nothing before
	granted id
	token   algo.Token
	expiry  algo.Instant
	queue   []ask
}

// flaw is what is wrong with a central.
type flaw int

const (
	sound      flaw = iota
	longLease       // the holder counts its lease from the grant's arrival
	slowClocks      // the holder takes its clock for as good as the server's
	hasty           // a restarted server grants at once
	lifo            // the server serves the youngest request
	deafToAsks      // clients ask only once
	early           // the server forgets a grant when its holder's link is down
	busy            // it wants to wake all the time
)

// id names a request: who, and when it asked by its own clock.
type id struct {
	peer algo.PeerName
	life algo.Incarnation
	at   algo.Instant
}

type ask struct {
	ID  id
	Now algo.Instant
	got algo.Instant // by the server's clock
}

type grant struct {
	ID     id
	Token  algo.Token
	Asked  algo.Instant
	Length algo.Duration
}

type done struct{ ID id }

func (ask) Kind() string   { return "ask" }
func (grant) Kind() string { return "grant" }
func (done) Kind() string  { return "done" }

func (m ask) AppendFields(f []algo.Field) []algo.Field {
	return append(f, algo.Field{Key: "id", Value: fmt.Sprint(m.ID)})
}
func (m grant) AppendFields(f []algo.Field) []algo.Field {
	return append(f, algo.Field{Key: "id", Value: fmt.Sprint(m.ID)}, algo.Field{Key: "token", Value: fmt.Sprint(m.Token)})
}
func (m done) AppendFields(f []algo.Field) []algo.Field {
	return append(f, algo.Field{Key: "id", Value: fmt.Sprint(m.ID)})
}

func newCentral(f flaw) sim.NewProcess {
	return func(s algo.Setup) algo.Process {
		c := &central{flaw: f, setup: s, token: s.Floor, refresh: algo.Never, deadline: algo.Never, silent: s.Now.Add(leaseAnywhere(s))}
		if f == hasty {
			c.silent = s.Now
		}
		return c
	}
}

// leaseAnywhere is longer than a lease by anybody's clock.
func leaseAnywhere(s algo.Setup) algo.Duration { return s.TTL + s.TTL/500_000*algo.Duration(s.Drift) }

func (c *central) server() algo.PeerName {
	if len(c.setup.Others) == 0 || c.setup.Self < c.setup.Others[0] {
		return c.setup.Self
	}
	return c.setup.Others[0]
}

func (c *central) Step(in algo.Input, out []algo.Output) []algo.Output {
	switch in.Kind {
	case algo.Acquire:
		c.own = id{c.setup.Self, c.setup.Incarnation, in.Now}
		c.refresh = in.Now
	case algo.Cancel:
		out = c.end(in, out)
	case algo.Release:
		if c.deadline <= in.Now {
			out = append(out, algo.Output{Kind: algo.Lost, Lock: in.Lock})
		}
		out = c.end(in, out)
	case algo.Receive:
		out = c.receive(in.From, in.Message, in.Now, out)
	case algo.Contact:
		c.known = append(slices.Clone(c.known), in.From)
		if c.own != (id{}) && !c.inside {
			c.refresh = in.Now
		}
	case algo.Down:
		if c.flaw == early && c.granted.peer == in.From {
			c.expiry = in.Now
		}
	}
	if c.inside && c.deadline <= in.Now {
		out = append(out, algo.Output{Kind: algo.Lost, Lock: "x"})
		out = c.end(in, out)
	}
	if c.refresh <= in.Now {
		c.refresh = in.Now.Add(c.setup.TTL / 4)
		if c.flaw == deafToAsks {
			c.refresh = algo.Never
		}
		out = c.send(c.server(), ask{ID: c.own, Now: in.Now}, in.Now, out)
	}
	return c.serve(in.Now, out)
}

// end ends the request or the hold.
func (c *central) end(in algo.Input, out []algo.Output) []algo.Output {
	ended := c.own
	c.own, c.inside, c.deadline, c.refresh = id{}, false, algo.Never, algo.Never
	return c.send(c.server(), done{ended}, in.Now, out)
}

func (c *central) send(to algo.PeerName, m algo.Message, now algo.Instant, out []algo.Output) []algo.Output {
	if to == c.setup.Self {
		return c.receive(to, m, now, out)
	}
	if !slices.Contains(c.known, to) {
		return out
	}
	return append(out, algo.Output{Kind: algo.Send, Lock: "x", To: to, Message: m})
}

func (c *central) receive(from algo.PeerName, m algo.Message, now algo.Instant, out []algo.Output) []algo.Output {
	switch m := m.(type) {
	case ask:
		m.got = now
		if i := c.place(m.ID); i >= 0 {
			c.queue[i] = m
		} else {
			c.queue = append(c.queue, m)
		}
	case done:
		if i := c.place(m.ID); i >= 0 {
			c.queue = slices.Delete(c.queue, i, i+1)
		}
		if m.ID == c.granted {
			c.granted = id{}
		}
	case grant:
		if m.ID != c.own || c.inside {
			break
		}
		deadline := m.Asked.Add(m.Length - m.Length/500_000*algo.Duration(c.setup.Drift))
		switch c.flaw {
		case longLease:
			deadline = now.Add(m.Length)
		case slowClocks:
			deadline = m.Asked.Add(m.Length)
		}
		if deadline > now {
			c.inside, c.deadline, c.refresh = true, deadline, algo.Never
			out = append(out, algo.Output{Kind: algo.Enter, Lock: "x", Token: m.Token, Deadline: deadline})
		}
	}
	return out
}

// place is the place of a request in the queue, or -1.
func (c *central) place(x id) int {
	return slices.IndexFunc(c.queue, func(a ask) bool { return a.ID == x })
}

// serve grants what there is to grant: to the holder of a grant again, if it has
// not heard, or to the next.
func (c *central) serve(now algo.Instant, out []algo.Output) []algo.Output {
	c.queue = slices.DeleteFunc(slices.Clone(c.queue), func(a ask) bool { return now.Sub(a.got) > c.setup.TTL && c.flaw != deafToAsks })
	next := 0
	switch {
	case len(c.queue) == 0 || now < c.silent:
		return out
	case c.granted != (id{}) && now < c.expiry:
		if next = c.place(c.granted); next < 0 {
			return out
		}
	default:
		if c.flaw == lifo {
			next = len(c.queue) - 1
		}
		c.granted = c.queue[next].ID
		c.token++
	}
	a := c.queue[next]
	c.queue = slices.Delete(c.queue, next, next+1)
	c.expiry = now.Add(c.setup.TTL)
	out = append(out, algo.Output{Kind: algo.Floor, Token: c.token})
	return c.send(a.ID.peer, grant{a.ID, c.token, a.Now, c.expiry.Sub(a.got)}, now, out)
}

func (c *central) WaitsFor(string) []algo.PeerName {
	if c.own == (id{}) || c.inside || c.server() == c.setup.Self {
		return nil
	}
	return []algo.PeerName{c.server()}
}

func (c *central) Wake() algo.Instant {
	wake := min(c.refresh, c.deadline)
	if len(c.queue) > 0 {
		wake = min(wake, max(c.silent, c.expiry))
	}
	if c.own != (id{}) && c.flaw == busy {
		wake = c.own.at
	}
	return wake
}

func (c *central) Check() error { return nil }

func (c *central) Clone() algo.Process {
	d := *c
	d.queue = slices.Clone(c.queue)
	return &d
}

func (c *central) AppendState(dst []byte) []byte { return fmt.Appendf(dst, "%v", *c) }
