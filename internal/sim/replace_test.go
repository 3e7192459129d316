package sim_test

import (
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/sim"
)

// careless is a process that says, when it stops in good order, that nothing
// binds its next incarnation.
type careless struct{ algo.Process }

func (c careless) Promises() ([]algo.Promise, bool) { return nil, true }

func (c careless) Clone() algo.Process { return careless{c.Process.Clone()} }

func newCareless(t *testing.T) sim.NewProcess {
	create, _ := mustProcess(t, "relay")
	return func(s algo.Setup) algo.Process { return careless{create(s)} }
}

// A promise that is not kept over a stop in good order is found in every way, and
// told as a scenario that can be played again.
func TestReplaceFinds(t *testing.T) {
	create := newCareless(t)
	told := func(how string, f *sim.Failure) {
		t.Helper()
		if f == nil {
			t.Errorf("%s: not found", how)
			return
		}
		text := f.Scenario()
		if !strings.Contains(text, "\nreplace ") || !strings.Contains(text, " stops in good order\n") ||
			!strings.Contains(text, ", bound by nothing\n") || !strings.Contains(text, "BROKEN: ") {
			t.Errorf("%s: not told:\n%s", how, tail(text))
		}
		replay(t, text, create)
	}

	config := sim.Config{Algorithm: "relay", New: create, Peers: sim.Names(3), TTL: ttl, Linger: ttl / 4, Tick: ttl / 4, Drift: 1000}
	told("explorer", sim.Explorer{Config: config, Requests: 1, Askers: 2, Met: true, Replaces: 1, MaxStates: 100_000}.Run().Failure)

	var f *sim.Failure
	for seed := uint64(0); f == nil && seed < 100; seed++ {
		_, f = sim.Timed{
			Algorithm: "relay", New: create, Seed: seed, Peers: 3, Leases: true, TTL: ttl, Length: 30 * ttl, Faults: sim.Stops,
		}.Run()
	}
	told("timed", f)
}

// Who keeps no promises is restarted instead, and a scenario says so.
func TestReplaceRefused(t *testing.T) {
	for head, want := range map[string]string{
		"algorithm token-ring\npeers a b\nreplace a":           "these peers know no time",
		"algorithm token-ring\nttl 10s\npeers a b\nreplace a":  "write restart",
		"algorithm relay\nttl 10s\npeers a b\nreplace c":       "no such peer: c",
		"algorithm relay\nttl 10s\npeers a b\nreplace a b":     "wrong number of words",
		"algorithm relay\nttl 10s\npeers a b\nreplace a\nload": "load", // the line before was played
	} {
		s := sim.Scenario{Algorithms: roster.New}
		if _, err := s.Play(head); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", head, err, want)
		}
	}
}

// A peer that is replaced leaves and gives up everything first, in every lock.
func TestReplaceGivesUp(t *testing.T) {
	s := sim.Scenario{Algorithms: roster.New}
	told, err := s.Play("algorithm relay\nttl 10s\nlocks x y\npeers a b\ncontact all\ndeliver all\n" +
		"request a\ndeliver all\nrequest b y\ndeliver all\nrequest a y\nreplace a\nstatus")
	if err != nil {
		t.Fatal(err)
	}
	_, told, _ = strings.Cut(told, "a leaves the section of x\n")
	for _, want := range []string{"a gives up its request for y\n", "a stops in good order\n", "a starts again, as incarnation 2, bound by ballot ", "x: a wants nothing\n", "y: a wants nothing\n"} {
		before, after, found := strings.Cut(told, want)
		if !found {
			t.Fatalf("not told: %q\n%s", want, before)
		}
		told = after
	}
}
