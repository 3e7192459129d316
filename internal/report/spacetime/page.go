package spacetime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conchlock/conch/internal/report/drawing"
	"github.com/conchlock/conch/internal/trace"
)

// page draws one page of a sheet.
type page struct {
	*sheet
	number     int
	cuts       []float64
	from, to   float64 // what of the sheet it shows
	first, end int     // rows
	d          *drawing.Drawing
	labels     *field // places that are taken by texts and crosses
	lines      *field // what a text should not cross
	dots       *field // what a text had better not hide
	names      []drawing.Text
}

// Half the widths of what stands on a lifeline.
const (
	waitHalf = 2.5
	holdHalf = 5.0
	dotHalf  = 2.6
)

func (p *page) draw(l legend) *drawing.Drawing {
	p.from, p.to = p.cuts[p.number], p.cuts[p.number+1]
	p.first = len(p.rows)
	for i, y := range p.ys {
		if y > p.from && y < p.to {
			p.first, p.end = min(p.first, i), i+1
		}
	}
	bottom := headHeight + 2*stripe + p.to - p.from
	p.d = &drawing.Drawing{
		Title: p.title(), Description: p.describe(p.first, p.end),
		Width: p.width, Height: bottom + l.height + margin,
	}
	if pages := len(p.cuts) - 1; pages > 1 {
		p.d.Title += fmt.Sprintf(" (page %d of %d)", p.number+1, pages)
	}
	p.drawRuler()
	p.drawLifelines()
	p.drawBars()
	arrows := p.drawArrows()
	texts := append(p.names, p.markTexts()...)
	p.drawSteps()
	for _, t := range texts {
		p.d.Add(t)
	}
	p.drawLabels(arrows)
	p.drawHead()
	l.draw(p, bottom)
	return p.d
}

// at turns a place on the sheet into one on the page.
func (p *page) at(y float64) float64 { return headHeight + stripe + y - p.from }

// shows says that a place on the sheet is on the page.
func (p *page) shows(y float64) bool { return y >= p.from && y < p.to }

func (p *page) drawHead() {
	size := min(13, max(9, (p.width-2*margin)/drawing.TextWidth(p.d.Title, 1)))
	p.d.Add(drawing.Text{X: margin, Y: 26, Size: size, Bold: true, Ink: drawing.Ink1, Text: fit(p.d.Title, p.width-2*margin, size)})
	about := fmt.Sprintf("%s to %s ms", p.ms(p.rows[p.first].at), p.ms(p.rows[p.end-1].until))
	p.d.Add(drawing.Text{X: margin, Y: 41, Size: 9, Ink: drawing.Ink2, Text: fit(about, p.width-2*margin, 9)})
	for i, name := range p.peers {
		p.d.Add(drawing.Text{X: p.x(i), Y: headHeight - 6, Size: p.nameSize, Anchor: drawing.Middle, Bold: true, Ink: drawing.Ink1, Text: fitName(string(name), p.gap-4, p.nameSize)})
	}
	p.d.Add(drawing.Text{X: margin + rulerWidth - 12, Y: headHeight - 6, Size: rulerSize, Anchor: drawing.End, Ink: drawing.Ink2, Text: "ms"})
}

// drawRuler says when the rows were, and where nothing happened.
func (p *page) drawRuler() {
	said := ""
	for i := p.first; i < p.end; i++ {
		y := p.at(p.ys[i])
		if idle := p.rows[i].idle; idle > 0 {
			gap := y - p.rowHeight/2 - idleHeight/2
			p.d.Add(
				drawing.Line{Points: []drawing.Point{{X: p.left - 4, Y: gap}, {X: p.width - margin, Y: gap}}, Width: 0.7, Ink: drawing.Grid, Dash: drawing.Dotted},
				drawing.Text{X: p.left - 8, Y: gap + 3, Size: rulerSize, Anchor: drawing.End, Ink: drawing.Ink1, Text: "+" + duration(idle)},
			)
		}
		text := p.when(p.rows[i])
		if text == said {
			continue
		}
		said = text
		p.d.Add(
			drawing.Text{X: p.left - 8, Y: y + 2.8, Size: rulerSize, Anchor: drawing.End, Ink: drawing.Ink2, Text: text},
			drawing.Line{Points: []drawing.Point{{X: p.left - 5, Y: y}, {X: p.left, Y: y}}, Width: 0.5, Ink: drawing.Grid},
		)
	}
}

// drawLifelines draws a line for each peer while it runs, and dots between two
// incarnations.
func (p *page) drawLifelines() {
	for who := range p.peers {
		x := p.x(who)
		at := p.from
		line := func(from, to float64, dash drawing.Dash) {
			if to > from {
				p.d.Add(drawing.Line{Points: []drawing.Point{{X: x, Y: p.at(from)}, {X: x, Y: p.at(to)}}, Width: 1, Ink: drawing.Grid, Dash: dash})
			}
		}
		for _, b := range p.away(who) {
			from, to := p.edges(b)
			from, to = max(from, at), min(to, p.to)
			if to <= from {
				continue
			}
			line(at, from, drawing.Solid)
			if b.kind == down {
				line(from, to, drawing.Dotted)
			}
			at = to
		}
		dash := drawing.Solid
		if who >= p.traces {
			dash = drawing.Dotted
		}
		line(at, p.to, dash)
		p.lines.add(segment(drawing.Point{X: x, Y: p.at(p.from)}, drawing.Point{X: x, Y: p.at(p.to)}))
		for y := nameEvery; y < p.to-p.from-nameEvery/2; y += nameEvery {
			t := drawing.Text{X: x, Y: p.at(p.from + y), Size: p.nameSize, Anchor: drawing.Middle, Bold: true, Halo: true, Ink: drawing.Ink2}
			if t.Text = fitName(string(p.peers[who]), p.gap-4, t.Size); p.take(t) {
				p.names = append(p.names, t)
			}
		}
	}
}

// away returns when a peer was not running, in order.
func (p *page) away(who int) []*bar {
	var list []*bar
	for _, b := range p.bars {
		if b.who == who && (b.kind == down || b.kind == unborn) {
			list = append(list, b)
		}
	}
	slices.SortStableFunc(list, func(a, b *bar) int { return a.from.at.Compare(b.from.at) })
	return list
}

// drawBars draws who waits and who holds.
func (p *page) drawBars() {
	for _, b := range p.bars {
		from, to := p.edges(b)
		cutAbove, cutBelow := from < p.from, to > p.to
		from, to = max(from, p.from), min(to, p.to)
		if to <= from || b.kind != waiting && b.kind != holding {
			continue
		}
		if cutAbove && p.number > 0 {
			from -= stripe / 2
		}
		if cutBelow && p.number < len(p.cuts)-2 {
			to += stripe / 2
		}
		x, half := p.x(b.who), waitHalf
		box := drawing.Box{Fill: drawing.Waiting, Outline: drawing.Waiting, Hatched: true, Tip: string(p.peers[b.who]) + " waits"}
		if b.kind == holding {
			half = holdHalf
			box = drawing.Box{Fill: drawing.Holding, Round: 1.5, Tip: fmt.Sprintf("%s holds the lock with token %d", p.peers[b.who], b.token)}
		}
		if !b.from.at.IsZero() && !b.to.at.IsZero() {
			box.Tip += ", " + milliseconds(b.to.at.Sub(b.from.at))
		}
		box.X, box.Y, box.Width, box.Height = x-half, p.at(from), 2*half, to-from
		p.d.Add(box)
		if b.kind == holding {
			p.lines.add(rectangle(box.X, box.Y, box.Width, box.Height))
		}
		if b.broken && !cutBelow && p.shows(to-0.001) {
			p.cross(x, p.at(to), 4.5, drawing.Broken)
		}
	}
}

// drawSteps draws a dot for each step, and the marks.
func (p *page) drawSteps() {
	for i := p.first; i < p.end; i++ {
		for _, st := range p.rows[i].steps {
			x, y := p.x(st.who), p.at(p.ys[i])
			ink := drawing.Ink1
			if p.path != nil && !st.told {
				ink = drawing.Ink2
			}
			tip := fmt.Sprintf("%s at %s ms, Lamport time %d:\n%s", p.peers[st.who], p.ms(st.at), st.clock, strings.Join(st.tips, "\n"))
			p.d.Add(drawing.Box{X: x - dotHalf, Y: y - dotHalf, Width: 2 * dotHalf, Height: 2 * dotHalf, Round: dotHalf, Fill: ink, Outline: drawing.Paper, Tip: tip})
			p.dots.add(rectangle(x-dotHalf, y-dotHalf, 2*dotHalf, 2*dotHalf))
			for _, m := range st.marks {
				switch m.kind {
				case trace.Crash:
					p.cross(x, y, 5, drawing.Broken)
				case trace.Start, trace.Stop:
					p.d.Add(drawing.Line{Points: []drawing.Point{{X: x - 6, Y: y}, {X: x + 6, Y: y}}, Width: 1.5, Ink: ink})
				}
			}
		}
	}
}

// markTexts finds places for the words beside marks, and for the tokens of
// holds that began on an earlier page.
func (p *page) markTexts() []drawing.Text {
	var texts []drawing.Text
	beside := func(who int, y float64, word string, ink drawing.Ink, right bool) {
		if t, ok := p.freeBeside(who, y, word, ink, right); ok {
			texts = append(texts, t)
		}
	}
	for _, b := range p.bars {
		from, to := p.edges(b)
		if b.kind == holding && from < p.from && to > p.from {
			beside(b.who, p.from+5, p.token(b), drawing.Ink1, true)
		}
	}
	for i := p.first; i < p.end; i++ {
		for _, st := range p.rows[i].steps {
			right := len(st.arrivals) == 0 || st.arrivals[0].from < st.who
			for _, m := range st.marks {
				ink := drawing.Ink1
				if m.kind == trace.Crash || m.kind == trace.Lost {
					ink = drawing.Broken
				}
				word := m.word()
				if m.kind == trace.Enter {
					word = p.token(&bar{token: m.token})
				}
				if word != "" {
					beside(st.who, p.ys[i]+3, word, ink, right)
				}
			}
		}
	}
	return texts
}

// token is how a hold is labelled.
func (p *page) token(b *bar) string {
	text := fmt.Sprintf("token %d", b.token)
	if drawing.TextWidth(text, p.size)+holdHalf+8 > p.gap {
		text = fmt.Sprint(b.token)
	}
	return text
}

// freeBeside finds the place beside a lifeline that crosses the least.
func (p *page) freeBeside(who int, y float64, word string, ink drawing.Ink, right bool) (drawing.Text, bool) {
	var places []drawing.Text
	for _, dy := range []float64{0, p.rowHeight * 0.4, -p.rowHeight * 0.4, p.rowHeight * 0.8} {
		for _, r := range []bool{right, !right} {
			t := drawing.Text{X: p.x(who) + holdHalf + 3, Y: p.at(y + dy), Size: p.size, Ink: ink, Bold: ink == drawing.Ink1, Halo: true, Text: word}
			if !r {
				t.X, t.Anchor = p.x(who)-holdHalf-3, drawing.End
			}
			places = append(places, t)
		}
	}
	return p.best(places, 0.3)
}

// take takes a place for a text, if it is free and on the page. It is not drawn
// yet.
func (p *page) take(t drawing.Text) bool {
	patch := quad(t.Patch())
	if !p.inside(patch) || p.labels.count(patch) > 0 {
		return false
	}
	p.labels.add(patch)
	return true
}

// cross draws what says that something ended there. No text may hide it.
func (p *page) cross(x, y, half float64, ink drawing.Ink) {
	p.labels.add(rectangle(x-half, y-half, 2*half, 2*half))
	p.d.Add(
		drawing.Line{Points: []drawing.Point{{X: x - half, Y: y - half}, {X: x + half, Y: y + half}}, Width: 1.8, Ink: ink},
		drawing.Line{Points: []drawing.Point{{X: x - half, Y: y + half}, {X: x + half, Y: y - half}}, Width: 1.8, Ink: ink},
	)
}
