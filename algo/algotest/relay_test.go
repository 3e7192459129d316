package algotest_test

import (
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/internal/sim"
)

// together checks what relay keeps over all peers; other algorithms know no
// leases.
func together(views []sim.View) error {
	if _, ok := views[0].Process.(*relay.Process); !ok {
		return nil
	}
	seen := make([]relay.Seen, len(views))
	for i, v := range views {
		seen[i] = relay.Seen{Process: v.Process, Now: v.Now}
	}
	return relay.CheckTogether(seen)
}

const ttl = algo.Duration(12 * time.Second)
