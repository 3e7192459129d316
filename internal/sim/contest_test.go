package sim_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	judge "github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/sim"
	"github.com/conchlock/conch/internal/trace"
)

const contestT = ttl / 100

// contests are small ones of every kind.
func contests(t *testing.T, name string) map[string]sim.Contest {
	create, leases := mustProcess(t, name)
	base := sim.Contest{Algorithm: name, New: create, Seed: 3, Peers: 5, Leases: leases, TTL: ttl, Delay: contestT, Entries: 60,
		Load: sim.Load{Work: sim.Span{Least: contestT / 10, Most: contestT / 10}}}
	light, medium, heavy := base, base, base
	light.OneByOne = true
	medium.Load.Think.Most = 30 * contestT
	heavy.Load.Hot = 100
	long := light // leases have to be renewed
	long.Load.Work, long.Entries = sim.Span{Least: 3 * ttl / 2, Most: 3 * ttl / 2}, 3
	return map[string]sim.Contest{"light": light, "medium": medium, "heavy": heavy, "long": long}
}

// written encodes a trace and returns what reads it, as from a file.
func written(t *testing.T, s trace.Source) *trace.Reader {
	var text []byte
	for {
		var l trace.Line
		if err := s.Next(&l); errors.Is(err, io.EOF) {
			return trace.NewReader(s.Peer(), bytes.NewReader(text), false)
		} else if err != nil {
			t.Fatal(err)
		}
		text = trace.AppendEvent(text, &l.Event)
	}
}

// What a contest records is a trace as peers write it: it is read without a
// complaint, judged sound, and shows what the simulator has counted by itself.
func TestContestRecords(t *testing.T) {
	for _, name := range roster.Names() {
		for load, c := range contests(t, name) {
			record, stats, err := c.Run()
			if err != nil {
				t.Fatalf("%s, %s load: %v", name, load, err)
			}
			again, _, err := c.Run()
			if err != nil {
				t.Fatal(err)
			}
			r := judge.Run(trace.Merge(record.Sources()...))
			var readers []*trace.Reader
			for _, s := range again.Sources() {
				readers = append(readers, written(t, s))
			}
			if read := judge.Run(trace.Merge(readers...)); !reflect.DeepEqual(r, read) {
				t.Errorf("%s, %s load: as it is\n%+v\nread again\n%+v", name, load, r, read)
			}
			if r.Verdict != judge.True || len(r.Locks) != 1 {
				t.Fatalf("%s, %s load: %s, %+v", name, load, r.Verdict, r.Findings)
			}
			l, in := r.Locks[0], func(ns int64) float64 { return float64(ns) / float64(contestT) }
			near := func(what string, got, want float64) {
				if math.Abs(got-want) > 1e-6*max(1, want) {
					t.Errorf("%s, %s load: %s %v, the simulator says %v", name, load, what, got, want)
				}
			}
			if l.Entries != stats.Entries || l.Messages != stats.Messages || l.Upkeep+r.Totals.NoLock != stats.Upkeep || l.Handoff.Count != stats.Handoff.Count {
				t.Errorf("%s, %s load: %+v, the simulator says %+v", name, load, l, stats)
			}
			near("handoff", in(l.Handoff.Mean), math.Floor(stats.Handoff.Mean()*float64(contestT))/float64(contestT))
			near("longest handoff", in(l.Handoff.Max), stats.Handoff.Max())
			near("longest wait", in(l.Wait.Max), stats.Wait.Max())
			for i, p := range r.Peers {
				if p.Entries != stats.ByPeer[i] || p.End != "stopped" {
					t.Errorf("%s, %s load: %+v, the simulator says %d", name, load, p, stats.ByPeer[i])
				}
			}
		}
	}
}

// Under light load nobody waits for anybody; under heavy load everybody does.
func TestContestLoads(t *testing.T) {
	for _, name := range roster.Names() {
		for load, c := range contests(t, name) {
			_, stats, err := c.Run()
			if err != nil {
				t.Fatal(err)
			}
			switch load {
			case "light":
				if stats.Handoff.Count > 0 || stats.Entries != c.Entries {
					t.Errorf("%s: %d entries, %d with somebody who waited", name, stats.Entries, stats.Handoff.Count)
				}
			case "heavy":
				if stats.Handoff.Count < stats.Entries-2 || stats.Entries < c.Entries || stats.Entries >= c.Entries+c.Peers {
					t.Errorf("%s: %d entries, %d with somebody who waited", name, stats.Entries, stats.Handoff.Count)
				}
			}
		}
	}
}

// An algorithm that lets nobody in any more ends a contest with an error; what no
// contest can be made of does not begin.
func TestContestErrors(t *testing.T) {
	c := contests(t, "lamport")["heavy"]
	sound := c.New
	c.New = func(s algo.Setup) algo.Process { return deaf{sound(s)} }
	if _, _, err := c.Run(); err == nil || !strings.Contains(err.Error(), "nobody gets in any more") {
		t.Errorf("%v", err)
	}
	c = contests(t, "relay")["heavy"]
	c.Delay = ttl
	if _, _, err := c.Run(); err == nil || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("%v", err)
	}
}

// deaf is a process that loses what it is told by others.
type deaf struct{ algo.Process }

func (d deaf) Step(in algo.Input, out []algo.Output) []algo.Output {
	if in.Kind == algo.Receive {
		return out
	}
	return d.Process.Step(in, out)
}

// The death of a peer, as guarantees.md and the chapters have it.
func TestOutage(t *testing.T) {
	for _, x := range []struct {
		name         string
		inside, goOn bool
		after        float64 // in leases, at most; in any case the others are in
	}{
		{"relay", false, true, 0.2},
		{"relay", true, true, 1.1},
		{"ricart-agrawala", false, false, 0.2},
		{"lamport", true, false, 0.2},
		{"suzuki-kasami", false, true, 0.2},
		{"suzuki-kasami", true, false, 0.2},
	} {
		c := contests(t, x.name)["heavy"]
		o, err := c.Outage(3, x.inside)
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		if o.GoOn != x.goOn || o.Peer != "d" || float64(o.After) > x.after*float64(ttl) || o.After <= 0 || (o.Others == 4) != x.goOn {
			t.Errorf("%s, inside %t: %+v", x.name, x.inside, o)
		}
		if x.name == "relay" && x.inside && float64(o.After) < 0.9*float64(ttl) {
			t.Errorf("%s: the others go on before the lease has ended: %+v", x.name, o)
		}
	}
}
