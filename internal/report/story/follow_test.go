package story

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// until is what is on disk when the peers' traces are read one after the other,
// in some order, from a moment on.
func until(run tracetest.Trace, moment time.Time, rng *rand.Rand) tracetest.Trace {
	read := tracetest.Trace{}
	for _, name := range run.Names() {
		at := moment.Add(time.Duration(rng.IntN(1000)) * time.Microsecond)
		n := 0
		for n < len(run[name]) && !run[name][n].At.After(at) {
			n++
		}
		if n > 0 {
			read[name] = run[name][:n]
		}
	}
	return read
}

// TestFollower reads runs while they grow, and each time some traces a little
// later than others: each entry is told once, in the order of tokens, and as it
// is told when the run is over.
func TestFollower(t *testing.T) {
	for _, algorithm := range roster.Names() {
		t.Run(algorithm, func(t *testing.T) {
			for seed := range uint64(4) {
				run := simulation{algorithm: algorithm, seed: seed, peers: 3, entries: 15}.play(t)
				var want []string
				s := collected(t, run, "")
				for k := range s.Entries() {
					story, _ := s.Tell(k + 1)
					want = append(want, strings.Join(story.Lines(), "\n"))
				}
				got := toldOf(run, NewFollower(1), rand.New(rand.NewPCG(seed, 1)))
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d: %s", seed, difference(got, want))
				}
				for from, n := range map[int]int{5: 11, 15: 1, 16: 0} {
					if got := toldOf(run, NewFollower(from), rand.New(rand.NewPCG(seed, 1))); len(got) != n {
						t.Errorf("from %d: %d told", from, len(got))
					}
				}
			}
		})
	}
}

// difference shows the first story that is not as it should be.
func difference(got, want []string) string {
	for i, story := range want {
		if i >= len(got) || got[i] != story {
			return fmt.Sprintf("story %d of %d, %d told:\n%s\nwant\n%s", i+1, len(want), len(got), strings.Join(got[min(i, len(got)):min(i+1, len(got))], ""), story)
		}
	}
	return fmt.Sprintf("%d told, and there are %d", len(got), len(want))
}

// toldOf returns what is told of the one lock of a run, read every 2 ms.
func toldOf(run tracetest.Trace, f *Follower, rng *rand.Rand) (told []string) {
	moment := run["a"][0].At
	more, end := true, moment
	for _, events := range run {
		if last := events[len(events)-1].At; last.After(end) {
			end = last
		}
	}
	for moment.Before(end) || more {
		moment = moment.Add(2 * time.Millisecond)
		var stories []*Story
		stories, more = f.Record(CollectAll(merge(until(run, moment, rng)).Events(), ""), nil)
		for _, s := range stories {
			told = append(told, strings.Join(s.Lines(), "\n"))
		}
	}
	return told
}

// TestFollowerBeginsLate has it begin with the last entry that there is.
func TestFollowerBeginsLate(t *testing.T) {
	run := simulation{algorithm: "relay", peers: 3, entries: 9}.play(t)
	f := NewFollower(0)
	var told []int
	for range 3 {
		stories, _ := f.Record([]*Stories{collected(t, run, "")}, nil)
		for _, s := range stories {
			told = append(told, s.Entry)
		}
	}
	if fmt.Sprint(told) != "[9]" {
		t.Errorf("told %v", told)
	}
}

// TestFollowerForgets loses the beginnings of the record: the numbers go on.
func TestFollowerForgets(t *testing.T) {
	run := simulation{algorithm: "ricart-agrawala", peers: 3, entries: 12}.play(t)
	s := collected(t, run, "")
	whole := s.entries
	f := NewFollower(1)
	var told []string
	for i := range whole {
		s.entries = whole[max(0, i-3) : i+1]
		for range 2 {
			stories, _ := f.Record([]*Stories{s}, map[string]int{"demo": 100})
			for _, x := range stories {
				told = append(told, fmt.Sprintf("%d:%d", x.Entry, x.Token))
			}
		}
	}
	var want []string
	for i, enter := range whole {
		want = append(want, fmt.Sprintf("%d:%d", i+101, enter.Token))
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
