package spacetime

import (
	"math"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/report/drawing"
	"github.com/conchlock/conch/internal/trace"
)

// crossing is a run in which messages from a to d, or back, would run straight
// into steps of the peers in between.
func crossing(from, to algo.PeerName, between ...algo.PeerName) *script {
	s := newScript()
	for _, peer := range []algo.PeerName{"a", "b", "c", "d"} {
		s.event(peer, 1, trace.Event{Kind: trace.Start})
	}
	s.event(from, 2, trace.Event{Kind: trace.Request})
	far := s.send(from, to, 2, "far")
	for _, peer := range between {
		s.now = s.now.Add(time.Millisecond)
		s.event(peer, 3, trace.Event{Kind: trace.Request})
	}
	s.now = s.now.Add(time.Millisecond)
	s.receive(far, 4)
	return s
}

// An arrow stays away from the steps of peers that it only passes, at whichever
// side they are, and is straight where there are none.
func TestArrowsGoAround(t *testing.T) {
	for _, c := range []struct {
		from, to algo.PeerName
		between  []algo.PeerName
		points   int
	}{
		{"a", "d", []algo.PeerName{"b", "c"}, 4},
		{"d", "a", []algo.PeerName{"c", "b"}, 4},
		{"a", "d", []algo.PeerName{"c", "b"}, 2}, // it passes between them
		{"a", "c", []algo.PeerName{"b"}, 3},
		{"a", "c", []algo.PeerName{"d"}, 2},
		{"a", "b", nil, 2},
	} {
		tl := collect(t, merge(crossing(c.from, c.to, c.between...).run), Options{})
		d := tl.Pages(600, 0)[0]
		var arrow []drawing.Point
		var steps []drawing.Box
		for _, s := range d.Shapes {
			switch x := s.(type) {
			case drawing.Line:
				if x.Arrow && x.Tip != "" {
					arrow = x.Points
				}
			case drawing.Box:
				if x.Width == 2*dotHalf && x.Tip != "" {
					steps = append(steps, x)
				}
			}
		}
		if len(arrow) != c.points {
			t.Errorf("from %s to %s past %v: %v", c.from, c.to, c.between, arrow)
			continue
		}
		for i, end := range arrow[1:] {
			for _, dot := range steps {
				x := dot.X + dotHalf
				if low, high := min(arrow[i].X, end.X), max(arrow[i].X, end.X); x <= low-1 || x >= high+1 || i == 0 && near(x, arrow[0].X) || i == len(arrow)-2 && near(x, end.X) {
					continue
				}
				if y := straightY(arrow[i], end, x); math.Abs(y-dot.Y-dotHalf) < stepClear-0.01 {
					t.Errorf("from %s to %s past %v: %v runs into %q", c.from, c.to, c.between, arrow, dot.Tip)
				}
			}
		}
	}
}

// near says that a place is at the lifeline at which an arrow begins or ends.
func near(a, b float64) bool { return math.Abs(a-b) < 8 }
