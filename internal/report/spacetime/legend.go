package spacetime

import (
	"fmt"

	"github.com/conchlock/conch/internal/report/drawing"
	"github.com/conchlock/conch/internal/trace"
)

// legend says what the signs mean that are used.
type legend struct {
	items  []legendItem
	lines  []string
	rows   int
	height float64
}

// legendItem is a sign and what it means.
type legendItem struct {
	text string
	sign func(p *page, x, y float64) // at the middle of its left
}

const (
	legendSize = 8.5
	legendLine = 15.0
	signWidth  = 26.0
)

func (s *sheet) legend() legend {
	l := legend{}
	add := func(text string, sign func(p *page, x, y float64)) { l.items = append(l.items, legendItem{text, sign}) }
	add("waits for the lock", func(p *page, x, y float64) {
		p.d.Add(drawing.Box{X: x, Y: y - 2.5, Width: 20, Height: 5, Fill: drawing.Waiting, Outline: drawing.Waiting, Hatched: true})
	})
	add("holds it, with this token", func(p *page, x, y float64) {
		p.d.Add(drawing.Box{X: x, Y: y - 4.5, Width: 20, Height: 9, Round: 1.5, Fill: drawing.Holding})
	})
	message := "message: its kind, and the Lamport time of sending"
	if s.path != nil {
		message = "message that led to the entry, and when it was sent by Lamport's clock"
	}
	add(message, func(p *page, x, y float64) { p.arrowSign(x, y, drawing.Message, drawing.Solid, false) })
	beside, lost, open, cut, broken, away := s.signs()
	if beside {
		text := "upkeep: no entry needs it"
		if s.path != nil {
			text = "another message"
		}
		add(text, func(p *page, x, y float64) { p.arrowSign(x, y, drawing.Ink2, drawing.Solid, false) })
	}
	if lost {
		add("dropped", func(p *page, x, y float64) { p.arrowSign(x, y, drawing.Broken, drawing.Dashed, true) })
	}
	if open {
		add("not received in the record", func(p *page, x, y float64) { p.arrowSign(x, y, drawing.Ink2, drawing.Dashed, true) })
	}
	if cut {
		add("from or to a time that is not shown", func(p *page, x, y float64) { p.arrowSign(x, y, drawing.Ink2, drawing.Dotted, false) })
	}
	if broken {
		add("killed, or lost the lock", func(p *page, x, y float64) { p.cross(x+10, y, 3.5, drawing.Broken) })
	}
	if away {
		add("is not running", func(p *page, x, y float64) {
			p.d.Add(drawing.Line{Points: []drawing.Point{{X: x, Y: y}, {X: x + 20, Y: y}}, Width: 1, Ink: drawing.Grid, Dash: drawing.Dotted})
		})
	}
	l.lines = append(l.lines, "Time runs downwards, step by step and not to scale; at the left, milliseconds since the beginning, by the peers' own clocks.")
	switch {
	case s.more > 0:
		l.lines = append(l.lines, fmt.Sprintf("These are the first %s; %d more follow.", count(len(s.arrows), "message", "messages"), s.more))
	case s.Cut():
		l.lines = append(l.lines, "These are the first entries; more follow.")
	}
	l.place(s)
	return l
}

// signs says which of the rarer signs are used.
func (s *sheet) signs() (beside, lost, open, cut, broken, away bool) {
	for _, a := range s.arrows {
		beside = beside || s.beside(a)
		whole := shown(a.sent) && shown(a.received)
		lost = lost || a.fate == dropped
		open = open || a.fate == onItsWay
		cut = cut || !whole && a.fate == received
	}
	for _, b := range s.bars {
		broken = broken || b.broken
		away = away || b.kind == down
	}
	for _, st := range s.steps {
		for _, m := range st.marks {
			broken = broken || m.kind == trace.Crash
		}
	}
	return
}

// place breaks the items and sentences into lines.
func (l *legend) place(s *sheet) {
	l.rows = 1
	x := margin
	for _, item := range l.items {
		w := signWidth + drawing.TextWidth(item.text, legendSize) + 14
		if x > margin && x+w > s.width-margin {
			l.rows++
			x = margin
		}
		x += w
	}
	var lines []string
	for _, line := range l.lines {
		lines = append(lines, wrap(line, int((s.width-2*margin)/drawing.TextWidth("x", legendSize)))...)
	}
	l.lines = lines
	l.height = float64(l.rows+len(l.lines))*legendLine + 6
}

// draw draws the legend below y.
func (l *legend) draw(p *page, y float64) {
	p.d.Add(drawing.Line{Points: []drawing.Point{{X: margin, Y: y}, {X: p.width - margin, Y: y}}, Width: 0.5, Ink: drawing.Grid})
	x := margin
	y += 6 + legendLine/2
	for _, item := range l.items {
		w := signWidth + drawing.TextWidth(item.text, legendSize) + 14
		if x > margin && x+w > p.width-margin {
			x = margin
			y += legendLine
		}
		item.sign(p, x, y)
		p.d.Add(drawing.Text{X: x + signWidth, Y: y + 3, Size: legendSize, Ink: drawing.Ink1, Text: fit(item.text, p.width-margin-x-signWidth, legendSize)})
		x += w
	}
	for _, line := range l.lines {
		y += legendLine
		p.d.Add(drawing.Text{X: margin, Y: y + 3, Size: legendSize, Ink: drawing.Ink2, Text: line})
	}
}

// wrap breaks a text into lines of so many characters, at spaces.
func wrap(text string, most int) []string {
	var lines []string
	for len(text) > most && most > 0 {
		cut := most
		for cut > 0 && text[cut] != ' ' {
			cut--
		}
		if cut == 0 {
			break
		}
		lines = append(lines, text[:cut])
		text = text[cut+1:]
	}
	return append(lines, text)
}

// fitName shortens a name to a width, in its middle: names of peers often differ
// in their ends.
func fitName(name string, width, size float64) string {
	most := int(width/drawing.TextWidth("x", size) + 1e-6)
	if len(name) <= most {
		return name
	}
	tail := min(max((most-1)*2/3, 1), max(most-1, 0))
	return name[:max(most-1-tail, 0)] + "…" + name[len(name)-tail:]
}

// fit shortens a text to a width.
func fit(text string, width, size float64) string {
	if drawing.TextWidth(text, size) <= width {
		return text
	}
	return shorten(text, int(width/drawing.TextWidth("x", size)))
}
