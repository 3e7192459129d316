package sim_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/sim"
)

const ttl = algo.Duration(10 * time.Second)

var seeds = flag.Int("seeds", 20, "how many timed runs of each kind")

// timed is a run of an algorithm with everything that can go wrong.
func timed(seed uint64, name string, create sim.NewProcess, leases bool) sim.Timed {
	r := sim.Timed{
		Algorithm: name, New: create, Seed: seed, Peers: 1 + int(seed%5), Leases: leases,
		TTL: ttl, Length: 30 * ttl, Faults: sim.AllFaults,
	}
	if name == "central" {
		r.Voters = 1 // the server, whom nobody can do without
	}
	return r
}

// What is sound stays so, whatever goes wrong.
func TestTimedSound(t *testing.T) {
	for _, name := range append([]string{"central", "open"}, roster.Names()...) {
		t.Run(name, func(t *testing.T) {
			create, leases := newCentral(sound), true
			switch name {
			case "central":
			case "open": // relay, where peers without a vote come and go
				create, leases = mustProcess(t, "relay")
			default:
				create, leases = mustProcess(t, name)
			}
			var total sim.Stats
			for seed := range uint64(*seeds) {
				r := timed(seed, name, create, leases)
				if name != "central" { // it has one lock
					r.Locks, r.Voters = 1+int(seed%3), int(seed/5)%(r.Peers+1)
				}
				if r.Open = name == "open"; r.Open {
					r.Voters = 1 + int(seed/5)%r.Peers
				}
				stats, f := r.Run()
				if f != nil {
					t.Fatalf("seed %d: %v\n%s", seed, f, tail(f.Scenario()))
				}
				total.Add(stats)
			}
			if total.Entries < 50**seeds {
				t.Errorf("only %d entries", total.Entries)
			}
			for i, n := range total.Faults {
				if n == 0 && i != sim.Clocks.Kind() && *seeds >= 20 && (leases || i != sim.Wipes.Kind()) && (name == "relay" || name == "open" || i != sim.Stops.Kind()) && (name == "open" || i != sim.Leaves.Kind()) {
					t.Errorf("no %s ever", sim.FaultNames()[i])
				}
			}
			t.Logf("%+v", summary(total))
		})
	}
}

func mustProcess(t testing.TB, name string) (sim.NewProcess, bool) {
	t.Helper()
	create, err := roster.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return create, roster.Leases(name)
}

func summary(s sim.Stats) string {
	return fmt.Sprintf("%d entries, %.2f messages and %.2f of upkeep each, handoff %.2f T, waits %.2f T, %d lost, %d cancels, faults %v, second act %v of %v, %d steps",
		s.Entries, float64(s.Messages)/float64(s.Entries), float64(s.Upkeep)/float64(s.Entries), s.Handoff.Mean(), s.Wait.Mean(), s.Lost, s.Cancels, s.Faults,
		time.Duration(s.CalmWait), time.Duration(s.CalmBound), s.Steps)
}

func tail(s string) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-80):], "\n")
}

// What is broken is found, and told in few steps.
func TestTimedFinds(t *testing.T) {
	for _, c := range []struct {
		flaw  flaw
		what  string
		seeds uint64 // one of so many shows it
		told  string
	}{
		{longLease, "a lease counted from its arrival", 100, " enters "},
		{slowClocks, "a lease by another clock", 400, " enters "},
		{hasty, "a restarted server that knows of no grant", 100, " enters "},
		{early, "a grant that ends with the link", 100, " enters "},
		{lifo, "the youngest first", 100, "has waited"},
		{deafToAsks, "a request that was lost is not made again", 100, "waits for a"},
		{sound, "a server that nobody can do without", 100, "has waited"},
		{busy, "a peer that never looks away from its clock", 10, "has looked at its clock"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			found := 0
			for seed := range c.seeds {
				r := timed(seed, "central", newCentral(c.flaw), true)
				if c.flaw == sound {
					r.Voters = 0 // so that it can be away in the second act
				}
				_, f := r.Run()
				if f == nil {
					continue
				}
				if found++; !strings.Contains(f.Reason.Error(), c.told) {
					t.Errorf("seed %d: %v, want %q", seed, f, c.told)
				}
				if found > 1 {
					return
				}
				text := f.Scenario()
				t.Logf("seed %d: %v\n%s", seed, f, tail(text))
				if !strings.Contains(text, "BROKEN: ") {
					t.Errorf("not told:\n%s", text)
				}
				if len(f.Steps) > 60 {
					t.Errorf("%d steps", len(f.Steps))
				}
				if _, again := r.Run(); again == nil || again.Scenario() != text {
					t.Errorf("the second time it told another story")
				}
				if c.flaw != busy { // of which scenarios know nothing
					replay(t, text, newCentral(c.flaw))
				}
			}
			if found == 0 {
				t.Errorf("none of %d seeds shows it", c.seeds)
			}
		})
	}
}

// replay plays a scenario that was written down, and wants every word of it.
func replay(t *testing.T, text string, create sim.NewProcess) {
	t.Helper()
	s := sim.Scenario{Algorithms: func(string) (sim.NewProcess, error) { return create, nil }}
	var told strings.Builder
	for _, block := range strings.Split(text, "\n\n") {
		commands, _, _ := strings.Cut(block, "----")
		for line := range strings.Lines(strings.TrimSpace(commands)) {
			out, err := s.Exec(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			told.WriteString(out)
		}
	}
	if _, want, _ := strings.Cut(text, "\n\n"); !strings.HasSuffix(want, told.String()[strings.LastIndexByte(told.String()[:told.Len()-1], '\n')+1:]) {
		t.Errorf("told\n%s\nand again\n%s", tail(text), tail(told.String()))
	}
}

// The words of a scenario that are about time are read as they are written, and
// what makes no sense is an error that says so.
func TestScenarioLoad(t *testing.T) {
	play := func(line string) (string, error) {
		s := sim.Scenario{Algorithms: roster.New}
		return s.Play("algorithm token-ring\nttl 10s\ndrift 20000\noffsets 0s 7m\nrates 300 -300\npeers a b\n" + line)
	}
	told, err := play("load seed=3 delay=10ms..20ms work=5ms hot=100")
	if err != nil || !strings.HasPrefix(told, "1.") && !strings.Contains(told, "pass under load; entries: a ") {
		t.Errorf("%v\n%s", err, told)
	}
	if told, err := play("load seed=3 delay=1ns..20ms hot=100"); err != nil || strings.Contains(told, "BROKEN") {
		t.Errorf("without work: %v\n%s", err, told) // time hardly passes, and that ends
	}
	for line, want := range map[string]string{
		"load":                        "a message takes some time",
		"load delay=10s":              "less than 1/8 of the ttl",
		"load delay=2ms..1ms":         "no range",
		"load delay=soon":             "delay",
		"load seed=x":                 "seed",
		"load luck=1":                 "no such thing: luck",
		"offsets 1s":                  "started already",
		"load delay=1ms hot=1 hot=no": "hot",
	} {
		if told, err := play(line); err == nil || !strings.Contains(err.Error(), want) || told != "" {
			t.Errorf("%s: %v, want %q\n%s", line, err, want, told)
		}
	}
	for _, line := range []string{"drift -1", "drift fast", "offsets -1s", "offsets soon"} {
		s := sim.Scenario{Algorithms: roster.New}
		if _, err := s.Exec(line); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for _, s := range []string{"none", "all", "delay", "cut,one-way,clocks"} {
		if f, err := sim.ParseFaults(s); err != nil || f.String() != s {
			t.Errorf("%s is read as %v, %v", s, f, err)
		}
	}
	if all, _ := sim.ParseFaults(strings.Join(sim.FaultNames(), ",")); all != sim.AllFaults {
		t.Errorf("all together are %v", all)
	}
	if _, err := sim.ParseFaults("cut,luck"); err == nil {
		t.Error("luck is a fault")
	}
}
