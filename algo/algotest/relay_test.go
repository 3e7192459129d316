package algotest_test

import (
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/internal/sim"
)

func together(views []sim.View) error {
	seen := make([]relay.Seen, len(views))
	for i, v := range views {
		seen[i] = relay.Seen{Process: v.Process, Now: v.Now}
	}
	return relay.CheckTogether(seen)
}

const ttl = algo.Duration(12 * time.Second)

func TestRelayQuickRandom(t *testing.T) {
	for seed := range uint64(3000) {
		if f := (sim.Random{Algorithm: "relay", New: relay.New, Seed: seed, TTL: ttl, Invariant: together}).Run(); f != nil {
			t.Fatalf("random, seed %d: %v\n\n%s", seed, f, f.Scenario())
		}
	}
}
