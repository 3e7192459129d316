package spacetime

import (
	"math"
	"time"

	"github.com/conchlock/conch/internal/report/drawing"
)

// sheet is the whole diagram before it is cut into pages. Its Y begins with 0
// at the top of the first row.
type sheet struct {
	*Timeline
	width     float64
	left      float64 // where the columns begin
	gap       float64 // between lifelines
	rowHeight float64
	size      float64 // of labels
	nameSize  float64 // of the names of peers
	ys        []float64
	end       float64
	decimals  int // of times
}

// What stands around the lifelines, in points.
const (
	margin      = 16.0
	rulerWidth  = 58.0
	rulerSize   = 8.0
	headHeight  = 72.0 // title and names
	stripe      = 14.0 // above and below the rows: where arrows of other pages come from and go
	idleHeight  = 20.0
	nameEvery   = 900.0 // on a high page, names are said again
	leastHeight = 400.0
	leastWidth  = 400.0
)

// Pages draws the timeline on pages of this size, in points, or less high: they
// are about equally long. With a height of 0 there is one page.
func (t *Timeline) Pages(width, height float64) []*drawing.Drawing {
	s := t.sheet(max(width, leastWidth))
	legend := s.legend()
	room := math.Inf(1)
	if height > 0 {
		room = max(height, leastHeight) - headHeight - 2*stripe - legend.height - margin
	}
	cuts := s.cuts(room)
	// The pages are about equally high, so that none has a mere remainder.
	if n := len(cuts); n > 2 {
		for even := (cuts[n-1] - cuts[0]) / float64(n-1); even < room; even += s.rowHeight {
			if c := s.cuts(even); len(c) == n {
				cuts = c
				break
			}
		}
	}
	var pages []*drawing.Drawing
	for i := range len(cuts) - 1 {
		p := &page{sheet: s, number: i, cuts: cuts, labels: newField(), lines: newField(), dots: newField()}
		pages = append(pages, p.draw(legend))
	}
	return pages
}

func (t *Timeline) sheet(width float64) *sheet {
	s := &sheet{Timeline: t, width: width, left: margin + rulerWidth}
	s.gap = (width - margin - s.left) / float64(len(t.peers))
	s.size = min(9, max(7, s.gap/8))
	longest := 1.0
	for _, name := range t.peers {
		longest = max(longest, drawing.TextWidth(string(name), 1))
	}
	s.nameSize = min(11, max(7, (s.gap-4)/longest))
	s.rowHeight = min(24, max(16, s.gap/5))
	s.decimals = 2
	if span := t.rows[len(t.rows)-1].until.Sub(t.begin); span >= 1000*time.Second {
		s.decimals = 0
	} else if span >= 10*time.Second {
		s.decimals = 1
	}
	y := 0.0
	for _, r := range t.rows {
		if r.idle > 0 {
			y += idleHeight
		}
		s.ys = append(s.ys, y+s.rowHeight/2)
		y += s.rowHeight
	}
	s.end = y
	return s
}

// x returns where a peer's lifeline is.
func (s *sheet) x(who int) float64 { return s.left + (float64(who)+0.5)*s.gap }

// top returns where a row begins, with the time before it in which nothing
// happened.
func (s *sheet) top(row int) float64 {
	top := s.ys[row] - s.rowHeight/2
	if s.rows[row].idle > 0 {
		top -= idleHeight
	}
	return top
}

// cuts returns where the pages begin, and the end. A page ends where few
// arrows cross its border, within its last quarter.
func (s *sheet) cuts(room float64) []float64 {
	crossing := make([]int, len(s.rows)+1) // arrows that go over the top of a row
	for _, a := range s.arrows {
		if shown(a.sent) && shown(a.received) {
			for i := a.sent.row + 1; i <= a.received.row; i++ {
				crossing[i]++
			}
		}
	}
	cuts := []float64{0}
	for first := 0; ; {
		start := cuts[len(cuts)-1]
		if s.end-start <= room {
			return append(cuts, s.end)
		}
		best := 0
		for i := first + 1; i < len(s.rows) && s.top(i)-start <= room; i++ {
			if best == 0 || s.top(i)-start < room*3/4 || crossing[i] <= crossing[best] {
				best = i
			}
		}
		if best == 0 {
			best = first + 1 // the page is too low for a row; it is given one
		}
		if best >= len(s.rows) {
			return append(cuts, s.end)
		}
		cuts = append(cuts, s.top(best))
		first = best
	}
}

// edges returns from where to where a bar goes.
func (s *sheet) edges(b *bar) (from, to float64) {
	from, to = 0, s.end
	if !b.from.at.IsZero() {
		from = s.y(b.from)
	}
	if !b.to.at.IsZero() {
		to = s.y(b.to)
	}
	return from, to
}

// y returns where an end of a bar is. If its step is not drawn, it is where it
// would be.
func (s *sheet) y(e edge) float64 {
	if shown(e.step) {
		return s.ys[e.step.row]
	}
	row := s.after(e.at)
	if row == len(s.rows) {
		return s.end
	}
	return s.top(row)
}
