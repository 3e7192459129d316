package node_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
)

// openCluster is a, b and c, who vote, and d and e, who come and go. All have been
// told of all, and may vote.
func openCluster(t *testing.T) *cluster {
	c := newCluster(t, "relay", 5, "a", "b", "c")
	for _, name := range c.names {
		c.meet(name)
	}
	wait(6 * time.Second)
	return c
}

// meet tells a peer of all others, and them of it.
func (c *cluster) meet(name algo.PeerName) {
	for _, other := range c.names {
		if other != name {
			c.nodes[name].Join(other, "told")
			c.nodes[other].Join(name, "told")
		}
	}
}

// Whoever is inside is taken for gone, and found again: its hold goes on. Taken for
// gone for good, it loses its hold before anybody else gets in.
func TestTakenForGone(t *testing.T) {
	for _, back := range []bool{true, false} {
		bubble(t, "", func(t *testing.T) {
			c := openCluster(t)
			defer c.close()
			hold, err := c.nodes["d"].Acquire(t.Context(), "x", node.About{})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []algo.PeerName{"a", "b", "c", "e"} {
				c.nodes[name].Leave("d", "a lie")
			}
			if back {
				wait(2 * time.Second)
				c.meet("d")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			h, err := c.nodes["e"].Acquire(ctx, "x", node.About{})
			switch {
			case back && err == nil:
				t.Errorf("e is inside with token %d, and so is d", h.Token())
			case !back && err != nil:
				t.Errorf("a lie keeps e out: %v", err)
			case !back && hold.Context().Err() == nil:
				t.Error("e is inside, and d believes to be")
			}
			if err := hold.Release(); back != (err == nil) || !back && !errors.Is(err, node.ErrLost) {
				t.Errorf("d leaves: %v", err)
			}
		})
	}
}

// Who comes and goes leaves nothing behind, and the record tells of it.
func TestComingAndGoing(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := openCluster(t)
		defer c.close()
		for range 3 {
			hold, err := c.nodes["d"].Acquire(t.Context(), "x", node.About{})
			if err != nil {
				t.Fatal(err)
			}
			if err := hold.Release(); err != nil {
				t.Error(err)
			}
			if err := c.nodes["d"].Close(); err != nil {
				t.Error(err)
			}
			for _, name := range []algo.PeerName{"a", "b", "c", "e"} {
				c.nodes[name].Leave("d", "gone")
			}
			names := func() (list []algo.PeerName) {
				for _, p := range c.nodes["a"].Status().Peers {
					list = append(list, p.Name)
				}
				return list
			}
			if got := names(); !slices.Equal(got, []algo.PeerName{"b", "c", "e"}) {
				t.Errorf("a knows %v", got)
			}
			c.start("d")
			c.meet("d")
			wait(time.Second)
		}
		joins, leaves := c.events["a"].count(" join: told"), c.events["a"].count(" leave: gone")
		if joins != 2*4+3 || leaves != 3 {
			t.Errorf("a's record has %d joins and %d leaves", joins, leaves)
		}
	})
}

// Voters stay, whatever is said of them; and in a closed cluster everybody does.
func TestVotersStay(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := openCluster(t)
		defer c.close()
		c.nodes["a"].Suspect("b", "a lie")
		c.nodes["a"].Leave("c", "a lie")
		c.nodes["a"].Join("a", "itself")
		wait(time.Second)
		status := c.nodes["a"].Status().Peers
		if len(status) != 4 || !status[0].Up || status[0].Suspected != "a lie" || !status[1].Up || status[1].Suspected != "a lie" || status[2].Suspected != "" {
			t.Errorf("a says: %+v", status)
		}
		changed := c.nodes["a"].PeersChanged()
		c.nodes["a"].Join("b", "back")
		select {
		case <-changed:
		default:
			t.Error("nobody is told that b is no longer suspected")
		}
	})
	bubble(t, "closed", func(t *testing.T) {
		c := newCluster(t, "relay", 3)
		defer c.close()
		wait(time.Second)
		c.nodes["a"].Leave("c", "a lie")
		c.nodes["a"].Join("x", "a stranger")
		if n := len(c.nodes["a"].Status().Peers); n != 2 {
			t.Errorf("a knows %d peers", n)
		}
	})
}
