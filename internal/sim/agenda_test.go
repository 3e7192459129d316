package sim

import (
	"math/rand/v2"
	"testing"

	"github.com/conchlock/conch/algo"
)

// An agenda does what looking through a list would do.
func TestAgenda(t *testing.T) {
	const size = 40
	rng := rand.New(rand.NewPCG(1, 2))
	a := newAgenda(size)
	plain := make(map[int]algo.Duration)
	for range 20_000 {
		switch id := rng.IntN(size); rng.IntN(4) {
		case 0:
			a.drop(id)
			delete(plain, id)
		case 1, 2:
			at := algo.Duration(rng.IntN(30)) // many at the same moment
			a.set(id, at)
			plain[id] = at
		default:
			if _, has := plain[id]; has != a.has(id) {
				t.Fatalf("%d is on the agenda: %v, want %v", id, a.has(id), has)
			}
		}
		first := -1
		for id := range size {
			if at, has := plain[id]; has && (first < 0 || at < plain[first]) {
				first = id
			}
		}
		id, at, ok := a.first()
		if ok != (first >= 0) || ok && (id != first || at != plain[first]) {
			t.Fatalf("%d at %d comes first, want %d", id, at, first)
		}
	}
}

// A moment is the first at which a clock reads what was asked for, or next to
// it, whatever its rate.
func TestMoment(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		n := &Network{passed: algo.Duration(rng.Int64N(1e15))}
		n.Rates = []int64{rng.Int64N(60_000) - 30_000}
		n.Offset = []algo.Duration{algo.Duration(rng.Int64N(1e15))}
		at := n.now(0).Add(algo.Duration(rng.Int64N(1e13) - 1e10))
		got := n.moment(0, at)
		switch late := n.reading(0, got).Sub(at); {
		case got < n.passed || late < 0:
			t.Fatalf("too early by %d", -late)
		case got > n.passed && late > 100_000: // of hours
			t.Fatalf("too late by %d, rate %d", late, n.Rates[0])
		}
	}
}

// bucketOf keeps order, and the middle of a bucket is in it and near what was
// put there.
func TestBuckets(t *testing.T) {
	for last, v := 0, uint64(0); v < 1<<62; v += 1 + v/50 {
		b := bucketOf(v)
		if b < last {
			t.Fatalf("%d is in bucket %d, after %d", v, b, last)
		}
		last = b
		middle := bucketMiddle(b)
		if bucketOf(middle) != b {
			t.Fatalf("%d, the middle of bucket %d, is in %d", middle, b, bucketOf(middle))
		}
		if off := float64(middle)/float64(max(1, v)) - 1; v > 0 && (off > 0.04 || off < -0.04) {
			t.Fatalf("%d counts as %d", v, middle)
		}
	}
}
