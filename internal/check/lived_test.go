package check

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/conchlock/conch/internal/trace/tracetest"
)

// leases is many small runs with leases; not so many with -short.
func leases(n int) []tracetest.Leases {
	if testing.Short() {
		n /= 3
	}
	chance := rand.New(rand.NewPCG(9, 9))
	list := make([]tracetest.Leases, n)
	for i := range list {
		list[i] = tracetest.Leases{
			Seed: uint64(i), Peers: 1 + chance.IntN(4), Locks: 1 + chance.IntN(2), Steps: 20 + chance.IntN(80),
			Greet: []time.Duration{0, time.Millisecond, time.Millisecond, 300 * time.Millisecond}[chance.IntN(4)],
			Talk:  chance.IntN(3) > 0, Kill: chance.IntN(2) == 0,
			Rates: chance.IntN(5) == 0, Jump: chance.IntN(8) == 0,
			Faulty: []tracetest.Fault{tracetest.Sound, tracetest.Sound, tracetest.Intrude, tracetest.Linger, tracetest.Shrink}[chance.IntN(5)],
		}
	}
	return list
}

// TestLeasesAgreeWithOracle compares the checker with the oracle, and with what
// really happened.
func TestLeasesAgreeWithOracle(t *testing.T) {
	t.Parallel()
	verdicts := map[string]int{}
	for _, c := range leases(1500) {
		lived := tracetest.PlayLeases(c)
		what := fmt.Sprintf("%+v", c)
		r := agree(t, what, lived.Trace)
		agreeWithTruth(t, what, c, lived, r)
		agreeOnFates(t, what, lived.Trace, r)
		verdicts[string(r.Verdict)+" "+soundness(lived)]++
	}
	t.Log(verdicts)
	for _, kind := range []string{"true sound", "unknown sound", "unknown unsound", "false unsound"} {
		if verdicts[kind] < 30 {
			t.Errorf("too one-sided to be a test: %v", verdicts)
		}
	}
}

func soundness(lived *tracetest.Lived) string {
	if lived.Overlap() <= 0 && lived.Grow() {
		return "sound"
	}
	return "unsound"
}

// agreeWithTruth knows what no peer does: a run that was sound is never found
// to be broken, and one that was not is never found sound. What messages cannot
// show is unknown, either way. A clock that was set may make a run look sound,
// and so may clocks of different rates, for as long as they go apart meanwhile.
func agreeWithTruth(t *testing.T, what string, c tracetest.Leases, lived *tracetest.Lived, r *Report) {
	t.Helper()
	unsure := time.Duration(0)
	if c.Rates { // each message of a chain misleads by what two clocks go apart
		unsure = time.Duration(2 * tracetest.Drift * float64(c.Peers) * float64(lived.Span))
	}
	switch {
	case soundness(lived) == "sound" && r.Verdict == False:
		t.Fatalf("%s: it was sound, but %+v", what, r.Findings)
	case (lived.Overlap() > unsure || !lived.Grow()) && r.Verdict == True && !c.Jump:
		t.Fatalf("%s: two were inside for %s, and tokens grew: %v, but it is found sound", what, lived.Overlap(), lived.Grow())
	}
}

// agreeOnFates compares what is said of holds without an exit.
func agreeOnFates(t *testing.T, what string, run tracetest.Trace, r *Report) {
	t.Helper()
	if r.Rules[tokens].Verdict == False {
		return // who is next is not clear
	}
	want := newGraph(run).withHolds().fates()
	for _, x := range r.Broken {
		f := fate{lock: x.Lock, peer: string(x.Peer), token: uint64(x.Token), how: x.How, next: string(x.Next), after: x.After}
		if !want[f] {
			t.Fatalf("%s: %+v, but that is none of %+v", what, f, want)
		}
		delete(want, f)
	}
	if len(want) > 0 {
		t.Fatalf("%s: nothing is said of %+v", what, want)
	}
}

// TestLeasesAgreeOnMistakes breaks runs with leases in one event.
func TestLeasesAgreeOnMistakes(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(3, 9))
	verdicts := map[Verdict]int{}
	for _, c := range leases(1500) {
		run := tracetest.PlayLeases(c).Trace
		e := spoil(run, chance)
		what := fmt.Sprintf("%+v with %+v", c, *e)
		r := agree(t, what, run)
		agreeOnFates(t, what, run, r)
		verdicts[r.Verdict]++
	}
	t.Log(verdicts)
}
