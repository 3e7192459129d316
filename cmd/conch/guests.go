package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/state"
)

// guests are peers without a vote that come while the others work, make their
// entries, and leave.
type guests struct {
	o       *demoOptions
	c       *cluster
	f       *faults // says what happens
	waiting []*guest
	inside  []*guest // come, and not left yet
	leaving []*process
}

// guest is one of them.
type guest struct {
	p   *process
	due int // how many exits there are before it comes
}

func newGuests(o *demoOptions, c *cluster, f *faults) (*guests, error) {
	g := &guests{o: o, c: c, f: f}
	for i := range o.guests {
		name := peerName(o.peers + i)
		if err := state.Create(filepath.Join(o.dir, "state", name), algo.PeerName(name)); err != nil {
			return nil, err
		}
		p := &process{name: name, number: o.peers + i, log: filepath.Join(o.dir, name+".log")}
		// The first ones come early, the last ones when half of the work is done.
		g.waiting = append(g.waiting, &guest{p: p, due: 1 + i*o.peers*o.entries/(2*o.guests)})
	}
	return g, nil
}

// look lets those come and leave whose time it is.
func (g *guests) look(s *stays) error {
	for len(g.waiting) > 0 && s.exits >= g.waiting[0].due {
		next := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.c.peers = append(g.c.peers, next.p)
		if err := g.c.start(next.p, g.o.entries); err != nil {
			return err
		}
		g.f.say("%s comes, without a vote, with %s to make", next.p.name, count(g.o.entries, "entry"))
		g.inside = append(g.inside, next)
	}
	stay := g.inside[:0]
	for _, x := range g.inside {
		if s.left[x.p.name] < g.o.entries || g.f.busy(x.p) {
			stay = append(stay, x)
			continue
		}
		x.p.expected.Store(true)
		if err := x.p.cmd.Process.Signal(os.Interrupt); err != nil {
			return fmt.Errorf("peer %s: %w", x.p.name, err)
		}
		g.f.say("%s has made them, and leaves", x.p.name)
		g.leaving = append(g.leaving, x.p)
	}
	g.inside = stay
	return nil
}

// done says that all have come and are about to be gone.
func (g *guests) done() bool { return len(g.waiting)+len(g.inside) == 0 }

// wait waits until those who leave have left.
func (g *guests) wait() error {
	deadline := time.After(10 * time.Second)
	for _, p := range g.leaving {
		select {
		case <-p.done:
		case <-deadline:
			p.cmd.Process.Kill()
			<-p.done
			return fmt.Errorf("peer %s did not end when interrupted, and was killed", p.name)
		}
		if p.err != nil {
			return fmt.Errorf("peer %s: %w: %s", p.name, p.err, lastLine(p.log))
		}
	}
	return nil
}
