package drawing

import "math"

// How high a text stands over its baseline, and how far it goes below it, as
// shares of its size.
const (
	textAscent  = 0.78
	textDescent = 0.22
)

// Patch returns the corners of the place that a text takes, turned as it is.
func (t Text) Patch() [4]Point {
	width := TextWidth(t.Text, t.Size)
	left := 0.0
	switch t.Anchor {
	case Middle:
		left = -width / 2
	case End:
		left = -width
	}
	top, bottom := -textAscent*t.Size, textDescent*t.Size
	corners := [4]Point{{left, top}, {left + width, top}, {left + width, bottom}, {left, bottom}}
	sin, cos := math.Sincos(t.Turn * math.Pi / 180)
	for i, c := range corners {
		corners[i] = Point{t.X + c.X*cos - c.Y*sin, t.Y + c.X*sin + c.Y*cos}
	}
	return corners
}

// Head returns the head of an arrow, a triangle whose first corner is its last
// point, and where the line should end so that it does not stick out. A line
// without a length has no head.
func (l Line) Head() (head []Point, end Point, ok bool) {
	n := len(l.Points)
	if !l.Arrow || n < 2 {
		return nil, Point{}, false
	}
	from, tip := l.Points[n-2], l.Points[n-1]
	dx, dy := tip.X-from.X, tip.Y-from.Y
	length := math.Hypot(dx, dy)
	if length == 0 {
		return nil, Point{}, false
	}
	dx, dy = dx/length, dy/length
	long := min(4.5+1.5*l.Width, length)
	half := long * 0.38
	back := Point{tip.X - dx*long, tip.Y - dy*long}
	head = []Point{tip, {back.X - dy*half, back.Y + dx*half}, {back.X + dy*half, back.Y - dx*half}}
	return head, Point{tip.X - dx*long*0.8, tip.Y - dy*long*0.8}, true
}
