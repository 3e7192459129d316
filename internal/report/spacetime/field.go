package spacetime

import (
	"math"

	"github.com/conchlock/conch/internal/report/drawing"
)

// quad is a convex area with four corners, which may fall together.
type quad [4]drawing.Point

// meets says that two areas have a point in common, by the axis that would
// stand between them otherwise.
func (a quad) meets(b quad) bool {
	for _, q := range [2]quad{a, b} {
		for i := range q {
			next := q[(i+1)%len(q)]
			axis := drawing.Point{X: q[i].Y - next.Y, Y: next.X - q[i].X}
			if axis.X == 0 && axis.Y == 0 {
				continue
			}
			aLow, aHigh := a.along(axis)
			bLow, bHigh := b.along(axis)
			if aHigh <= bLow || bHigh <= aLow {
				return false
			}
		}
	}
	return true
}

// along returns how far an area reaches in a direction.
func (a quad) along(axis drawing.Point) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range a {
		d := p.X*axis.X + p.Y*axis.Y
		low, high = min(low, d), max(high, d)
	}
	return low, high
}

func rectangle(x, y, width, height float64) quad {
	return quad{{X: x, Y: y}, {X: x + width, Y: y}, {X: x + width, Y: y + height}, {X: x, Y: y + height}}
}

func segment(from, to drawing.Point) quad { return quad{from, to, to, from} }

// field finds areas that meet another, by the strips of the sheet they are in.
type field struct {
	strips map[int][]int
	areas  []quad
}

const stripHeight = 40

func newField() *field { return &field{strips: map[int][]int{}} }

func (f *field) add(a quad) {
	low, high := a.along(drawing.Point{Y: 1})
	for i := int(math.Floor(low / stripHeight)); i <= int(math.Floor(high/stripHeight)); i++ {
		f.strips[i] = append(f.strips[i], len(f.areas))
	}
	f.areas = append(f.areas, a)
}

// count returns how many areas meet a. One that is in several strips may count
// more than once.
func (f *field) count(a quad) int {
	n := 0
	low, high := a.along(drawing.Point{Y: 1})
	for i := int(math.Floor(low / stripHeight)); i <= int(math.Floor(high/stripHeight)); i++ {
		for _, j := range f.strips[i] {
			if a.meets(f.areas[j]) {
				n++
			}
		}
	}
	return n
}
