package spacetime

import (
	"math"

	"github.com/conchlock/conch/internal/report/drawing"
)

const (
	stepClear = 6.5 // how far an arrow stays away from the steps of peers that it only passes
	bendsMost = 2   // with more of them an arrow is straight: among many peers it would wind
)

// around returns the points of an arrow. It is bent where it would run into a
// step of a peer on its way, since it would seem to end or to begin there. It
// goes downwards all the way.
func (p *page) around(a *arrow, from, to drawing.Point) []drawing.Point {
	straight := []drawing.Point{from, to}
	way := 1
	if a.to < a.from {
		way = -1
	}
	points := []drawing.Point{from}
	for who := a.from + way; who != a.to; who += way {
		last := points[len(points)-1]
		at := between(last, to, (p.x(who)-last.X)/(to.X-last.X))
		step, near := p.stepNear(a, who, at.Y)
		if !near {
			continue
		}
		at.Y = step + stepClear
		if above := step - stepClear; straightY(from, to, at.X) <= step && above > last.Y || at.Y >= to.Y {
			at.Y = above
		}
		if len(points) > bendsMost || at.Y <= last.Y || at.Y >= to.Y {
			return straight
		}
		points = append(points, at)
	}
	return append(points, to)
}

// straightY returns the height of the straight line between two points.
func straightY(from, to drawing.Point, x float64) float64 {
	return between(from, to, (x-from.X)/(to.X-from.X)).Y
}

// stepNear returns the step of a peer that a line would run into, of those from
// the sending of the arrow to its receipt.
func (p *page) stepNear(a *arrow, who int, y float64) (step float64, near bool) {
	for i := a.sent.row; i <= a.received.row; i++ {
		at := p.at(p.ys[i])
		if math.Abs(at-y) >= stepClear {
			continue
		}
		for _, st := range p.rows[i].steps {
			if st.who == who {
				return at, true
			}
		}
	}
	return 0, false
}
