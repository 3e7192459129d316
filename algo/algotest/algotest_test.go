package algotest_test

import (
	"flag"
	"os"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/roster"
)

var deep = flag.Bool("deep", false, "explore for hours; add -timeout 0 -v")

// TestMain lets the heap grow: explorers keep what they reach, so that looking for
// garbage often costs a fifth of the time and frees little.
func TestMain(m *testing.M) {
	if flag.Parse(); !*deep {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}

// TestConformance runs the suite over every algorithm. For hours of it:
//
//	go test ./algo/algotest -run Conformance -deep -timeout 0 -v
func TestConformance(t *testing.T) {
	effort := algotest.Usual
	switch {
	case *deep:
		effort = algotest.Deep
	case testing.Short():
		effort = algotest.Brief
	}
	for _, name := range append(roster.Names(), roster.Variants()...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			effort := effort
			if slices.Contains(roster.Variants(), name) {
				effort = min(effort, algotest.Brief) // the same code in another shape
			}
			process, err := roster.New(name)
			if err != nil {
				t.Fatal(err)
			}
			s := algotest.Suite{Algorithm: name, New: process, Effort: effort}
			if name == "relay" {
				s.TTL, s.Invariant = ttl, together
			}
			s.Run(t)
		})
	}
}
