package spacetime

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/conchlock/conch/internal/report/drawing"
)

// drawn is what a page shows of a message, and what is to be written along it.
type drawn struct {
	points []drawing.Point
	label  string
	ink    drawing.Ink
	places []drawing.Text // where the label may be, if that is not along the arrow
}

// beside says that an arrow is drawn as what is beside the point.
func (s *sheet) beside(a *arrow) bool {
	if s.path != nil {
		return !a.told
	}
	return a.upkeep
}

func (s *sheet) ink(a *arrow) drawing.Ink {
	if s.beside(a) {
		return drawing.Ink2
	}
	return drawing.Message
}

// drawArrows draws what is beside the point first, so that the rest lies over
// it. What matters comes first in the list it returns, and finds the places for
// its labels first.
func (p *page) drawArrows() []drawn {
	var list []drawn
	for _, main := range []bool{false, true} {
		var these []drawn
		for i := 0; i < len(p.arrows); i++ {
			a := p.arrows[i]
			if p.beside(a) == main {
				continue
			}
			if shown(a.sent) && shown(a.received) {
				if x, ok := p.drawWhole(a); ok {
					these = append(these, x)
				}
				continue
			}
			if p.leads(i) && p.shows(p.ys[a.first().row]) {
				these = append(these, p.drawPart(a, p.alike(i)))
			}
		}
		list = append(these, list...)
	}
	return list
}

// drawWhole draws an arrow both ends of which are known, as far as it is on the
// page.
func (p *page) drawWhole(a *arrow) (drawn, bool) {
	y1, y2 := p.ys[a.sent.row], p.ys[a.received.row]
	if y2 < p.from || y1 >= p.to {
		return drawn{}, false
	}
	start, end := drawing.Point{X: p.x(a.from), Y: p.at(y1)}, drawing.Point{X: p.x(a.to), Y: p.at(y2)}
	length := math.Hypot(end.X-start.X, end.Y-start.Y)
	from, to := between(start, end, dotHalf/length), between(start, end, 1-5.5/length)
	l := drawing.Line{Width: 1.1, Ink: p.ink(a), Arrow: true, Tip: p.tip(a)}
	low, high := p.at(p.from)-stripe/2, p.at(p.to)+stripe/2
	if y1 < p.from {
		from = between(start, end, (low-start.Y)/(end.Y-start.Y))
		p.border(from.X, low-1, fmt.Sprintf("from %s, p. %d", p.peers[a.from], p.pageOf(y1)), l.Ink)
	}
	if y2 >= p.to {
		l.Arrow = false
		to = between(start, end, (high-start.Y)/(end.Y-start.Y))
		p.border(to.X, high+stripe/2-2, fmt.Sprintf("to %s, p. %d", p.peers[a.to], p.pageOf(y2)), l.Ink)
	}
	l.Points = p.around(a, from, to)
	p.d.Add(l)
	for i, end := range l.Points[1:] {
		p.lines.add(segment(l.Points[i], end))
	}
	return drawn{l.Points, label(a), l.Ink, nil}, true
}

// pageOf returns on which page a place of the sheet is, from 1.
func (p *page) pageOf(y float64) int {
	n, found := slices.BinarySearch(p.cuts, y)
	if found {
		n++
	}
	return min(n, len(p.cuts)-1)
}

// border writes at the border of the page where an arrow goes or comes from, if
// there is room.
func (p *page) border(x, y float64, text string, ink drawing.Ink) {
	t := drawing.Text{X: x, Y: y, Size: 7.5, Anchor: drawing.Middle, Ink: ink, Text: text}
	for _, anchor := range []drawing.Anchor{drawing.Middle, drawing.Start, drawing.End} {
		if t.Anchor = anchor; p.take(t) {
			p.d.Add(t)
			return
		}
	}
}

// alike returns the arrows from the i-th on that were sent in the same step, the
// same way, with the same fate, and have no other end: they are drawn as one.
func (p *page) alike(i int) []*arrow {
	a := p.arrows[i]
	list := []*arrow{a}
	if !shown(a.sent) {
		return list
	}
	for _, b := range p.arrows[i+1:] {
		if b.sent != a.sent {
			break
		}
		if p.same(a, b) {
			list = append(list, b)
		}
	}
	return list
}

func (p *page) same(a, b *arrow) bool {
	return b.sent == a.sent && !shown(b.received) && b.kind == a.kind && b.fate == a.fate && p.beside(a) == p.beside(b) && (b.to < b.from) == (a.to < a.from)
}

// leads says that the i-th arrow is the first of those alike.
func (p *page) leads(i int) bool {
	a := p.arrows[i]
	for j := i - 1; j >= 0 && shown(a.sent) && p.arrows[j].sent == a.sent; j-- {
		if !shown(p.arrows[j].received) && p.same(p.arrows[j], a) {
			return false
		}
	}
	return true
}

// drawPart draws a short piece of an arrow of which only one end is shown.
func (p *page) drawPart(a *arrow, list []*arrow) drawn {
	st := a.first()
	x, y := p.x(st.who), p.at(p.ys[st.row])
	other := a.to
	if st == a.received {
		other = a.from
	}
	way := 1.0
	if other < st.who {
		way = -1
	}
	near := drawing.Point{X: x + way*dotHalf, Y: y}
	far := drawing.Point{X: x + way*p.gap*0.45, Y: y + p.rowHeight*0.55}
	l := drawing.Line{Width: 1.1, Ink: p.ink(a), Dash: drawing.Dotted}
	text := label(a)
	if st == a.received {
		near = drawing.Point{X: x + way*5.5, Y: y}
		far.Y = y - p.rowHeight*0.55
		l.Points, l.Arrow = []drawing.Point{far, near}, true
		text += " from " + string(p.peers[a.from])
	} else {
		l.Points = []drawing.Point{near, far}
		if a.fate != received {
			l.Dash = drawing.Dashed
			if a.fate == dropped {
				l.Ink = drawing.Broken
			}
			p.cross(far.X, far.Y, 3, l.Ink)
		}
		var names, tips []string
		for _, b := range list {
			names = append(names, string(p.peers[b.to]))
			tips = append(tips, p.tip(b))
		}
		text += " to " + strings.Join(names, ", ")
		l.Tip = strings.Join(tips, "\n")
	}
	if l.Tip == "" {
		l.Tip = p.tip(a)
	}
	p.d.Add(l)
	p.lines.add(segment(l.Points[0], l.Points[1]))
	part := drawn{l.Points, text, l.Ink, nil}
	for _, dy := range []float64{0, p.size * 0.8, -p.size * 0.8, p.size * 1.6, -p.size * 1.6} {
		t := drawing.Text{X: far.X + way*5, Y: far.Y + 3 + dy, Size: p.size, Ink: l.Ink, Halo: true, Text: text}
		if way < 0 {
			t.Anchor = drawing.End
		}
		part.places = append(part.places, t)
	}
	return part
}

// label is what is written along an arrow.
func label(a *arrow) string { return fmt.Sprintf("%s %d", shorten(a.kind, 24), a.clock) }

// tip tells all about a message.
func (p *page) tip(a *arrow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s from %s to %s, sent at Lamport time %d", shorten(a.kind, 60), p.peers[a.from], p.peers[a.to], a.clock)
	if a.upkeep {
		b.WriteString(", upkeep")
	}
	switch {
	case a.fate == dropped:
		b.WriteString(", dropped")
	case a.fate == onItsWay:
		b.WriteString(", not received in the record")
	}
	if a.why != "" {
		b.WriteString(": " + shorten(a.why, 160))
	}
	return b.String()
}

// arrowSign is for the legend.
func (p *page) arrowSign(x, y float64, ink drawing.Ink, dash drawing.Dash, lost bool) {
	p.d.Add(drawing.Line{Points: []drawing.Point{{X: x, Y: y}, {X: x + 20, Y: y}}, Width: 1.1, Ink: ink, Dash: dash, Arrow: !lost})
	if lost {
		p.cross(x+19, y, 3, ink)
	}
}

func between(a, b drawing.Point, share float64) drawing.Point {
	return drawing.Point{X: a.X + (b.X-a.X)*share, Y: a.Y + (b.Y-a.Y)*share}
}
