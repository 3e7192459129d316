package node_test

import (
	"context"
	"github.com/conchlock/conch/internal/node"
	"testing"
	"time"
)

// Voters are restarted one after the other while somebody is inside and others
// wait: the hold goes on. In good order they may follow each other at once,
// because each takes its votes along; after crashes, as long as no second one
// goes before the first grants leases again.
func TestRollingRestarts(t *testing.T) {
	for _, way := range []struct {
		name  string
		crash bool
		pause time.Duration // between two restarts
	}{
		{"in good order", false, 100 * time.Millisecond},
		{"after crashes", true, 10 * time.Second},
	} {
		bubble(t, way.name, func(t *testing.T) {
			c := newCluster(t, "relay", 3)
			defer c.close()
			wait(time.Second)
			hold, err := c.nodes["a"].Acquire(t.Context(), "x", node.About{})
			if err != nil {
				t.Fatal(err)
			}
			for range 4 {
				for _, name := range c.names[1:] {
					if way.crash {
						c.crash(name)
					} else if err := c.nodes[name].Close(); err != nil {
						t.Fatal(err)
					}
					c.start(name)
					wait(way.pause)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				if h, err := c.nodes["b"].Acquire(ctx, "x", node.About{}); err == nil {
					t.Errorf("b is inside with token %d, and so is a", h.Token())
				}
				cancel()
			}
			if err := hold.Release(); err != nil {
				t.Errorf("the hold did not last: %v", err)
			}
		})
	}
}

// A voter that stops in good order while it still abstains does not know all that
// binds it: a holder may live by what it promised before it crashed. So it does
// not vote at once when it is started again.
func TestStopWhileAbstaining(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := newCluster(t, "relay", 3)
		defer c.close()
		wait(time.Second)
		c.crash("b")
		c.start("b")
		wait(time.Second)
		if err := c.nodes["b"].Close(); err != nil {
			t.Fatal(err)
		}
		c.start("b")
		wait(100 * time.Millisecond)
		if left := c.nodes["b"].Status().Abstains; left < 4*time.Second {
			t.Errorf("b abstains for %v", left)
		}
	})
}
