package algotest_test

import (
	"flag"
	"testing"

	"github.com/conchlock/conch/algo"
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
			process, err := algorithm(name)
			if err != nil {
				t.Fatal(err)
			}
			algotest.Suite{Algorithm: name, New: process, Effort: effort}.Run(t)
		})
	}
}

// algorithm returns how to start a peer of the algorithm of that name.
func algorithm(name string) (algotest.NewProcess, error) {
	if _, err := roster.Machine(name); err != nil {
		return nil, err
	}
	return func(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) algo.Process {
		p, err := roster.Process(name, self, incarnation, others)
		if err != nil {
			panic(err) // it was there a moment ago
		}
		return p
	}, nil
}
