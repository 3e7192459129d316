package algotest_test

import (
	"flag"
	"testing"

	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/roster"
)

var deep = flag.Bool("deep", false, "explore for hours; add -timeout 0 -v")

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
	for _, name := range roster.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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
