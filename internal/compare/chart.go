package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/conchlock/conch/internal/report/drawing"
)

// The chart has a panel for each load, side by side. Messages are on a
// logarithmic scale, since some algorithms need as many for 31 peers as others
// for 3; what is less than chartLeast, nothing above all, lies on the axis.
const (
	chartLeast  = 0.5
	panelWidth  = 260.0
	panelHeight = 280.0
	chartLeft   = 48.0
	chartTop    = 56.0
	chartBottom = 52.0
	labelWidth  = 120.0 // for the names at the ends of the lines
	labelSize   = 8.0
	labelStep   = 10.5
)

// Chart draws messages per entry against the number of peers, a line for each
// algorithm. Lines differ by dash and marker as well as by colour, and have
// their names at their ends.
func (r *Result) Chart() *drawing.Drawing {
	d := &drawing.Drawing{Title: "Messages per entry against the number of peers"}
	var loads []Load
	for _, load := range Loads() {
		if len(r.under(load)) > 0 {
			loads = append(loads, load)
		}
	}
	names := r.names()
	d.Description = fmt.Sprintf("For %s: how many messages an entry takes, under %s load.", strings.Join(names, ", "), joinLoads(loads))
	d.Width = chartLeft + float64(len(loads))*(panelWidth+labelWidth)
	d.Height = chartTop + panelHeight + chartBottom
	d.Add(drawing.Text{X: chartLeft, Y: 20, Size: 12, Ink: drawing.Ink1, Bold: true, Text: d.Title})
	least, most, peak := r.extent()
	for i, load := range loads {
		p := &panel{d: d, left: chartLeft + float64(i)*(panelWidth+labelWidth), least: least, most: most, peak: peak}
		p.axes(load)
		p.series(names, r.under(load))
	}
	return d
}

func joinLoads(loads []Load) string {
	var words []string
	for _, l := range loads {
		words = append(words, string(l))
	}
	return strings.Join(words, ", ")
}

// names lists the algorithms in the order in which they were compared.
func (r *Result) names() []string {
	var names []string
	for _, x := range r.Rows {
		if !slices.Contains(names, x.Algorithm) {
			names = append(names, x.Algorithm)
		}
	}
	return names
}

// extent says between what the axes run: peers, and the most messages.
func (r *Result) extent() (least, most int, peak float64) {
	least, peak = math.MaxInt, 1
	for _, x := range r.Rows {
		least, most, peak = min(least, x.Peers), max(most, x.Peers), max(peak, x.Messages)
	}
	return least, most, peak * 1.2
}

// panel is one load's part of the chart.
type panel struct {
	d           *drawing.Drawing
	left        float64
	least, most int
	peak        float64
}

func (p *panel) x(peers int) float64 {
	if p.least == p.most {
		return p.left + panelWidth/2
	}
	return p.left + panelWidth*float64(peers-p.least)/float64(p.most-p.least)
}

func (p *panel) y(messages float64) float64 {
	share := math.Log(max(messages, chartLeast)/chartLeast) / math.Log(p.peak/chartLeast)
	return round(chartTop + panelHeight*(1-share))
}

// round keeps a picture free of digits that nobody sees.
func round(x float64) float64 { return math.Round(x*100) / 100 }

func (p *panel) axes(load Load) {
	bottom := chartTop + panelHeight
	p.d.Add(drawing.Text{X: p.left, Y: chartTop - 12, Size: 9, Ink: drawing.Ink1, Text: string(load) + " load"})
	for _, tick := range []float64{1, 2, 5, 10, 20, 50, 100} {
		if tick > p.peak {
			break
		}
		y := p.y(tick)
		p.d.Add(drawing.Line{Points: []drawing.Point{{X: p.left, Y: y}, {X: p.left + panelWidth, Y: y}}, Width: 0.5, Ink: drawing.Grid},
			drawing.Text{X: p.left - 6, Y: y + 3, Size: labelSize, Anchor: drawing.End, Ink: drawing.Ink2, Text: fmt.Sprintf("%g", tick)})
	}
	p.d.Add(drawing.Line{Points: []drawing.Point{{X: p.left, Y: bottom}, {X: p.left + panelWidth, Y: bottom}}, Width: 1, Ink: drawing.Ink2},
		drawing.Text{X: p.left - 6, Y: bottom + 3, Size: labelSize, Anchor: drawing.End, Ink: drawing.Ink2, Text: "<0.5"})
	for _, n := range p.ticks() {
		x := round(p.x(n))
		p.d.Add(drawing.Line{Points: []drawing.Point{{X: x, Y: bottom}, {X: x, Y: bottom + 4}}, Width: 1, Ink: drawing.Ink2},
			drawing.Text{X: x, Y: bottom + 15, Size: labelSize, Anchor: drawing.Middle, Ink: drawing.Ink2, Text: fmt.Sprint(n)})
	}
	p.d.Add(drawing.Text{X: p.left + panelWidth/2, Y: bottom + 32, Size: 9, Anchor: drawing.Middle, Ink: drawing.Ink1, Text: "peers"})
}

// ticks are at most eight numbers of peers, the first and the last among them.
func (p *panel) ticks() []int {
	step := max(1, (p.most-p.least+6)/7)
	var ticks []int
	for n := p.least; n < p.most; n += step {
		if n == p.least || p.most-n >= (step+1)/2 {
			ticks = append(ticks, n)
		}
	}
	return append(ticks, p.most)
}

// end is where a line ends, and where its name stands.
type end struct {
	series int
	name   string
	y, at  float64
}

// series draws the lines, and their names below each other where they would
// overlap.
func (p *panel) series(names []string, rows []Row) {
	var ends []end
	for i, name := range names {
		var line []drawing.Point
		var tips []string
		for _, x := range rows {
			if x.Algorithm == name {
				line = append(line, drawing.Point{X: round(p.x(x.Peers)), Y: p.y(x.Messages)})
				tips = append(tips, fmt.Sprintf("%s, %d peers: %.2f messages", name, x.Peers, x.Messages))
			}
		}
		if len(line) == 0 {
			continue
		}
		p.d.Add(drawing.Line{Points: line, Width: 1.2, Ink: drawing.Series(i), Dash: drawing.Dash((i + i/4) % 4), Tip: name})
		for j, at := range line {
			if (i+j)%(1+len(line)/10) == 0 { // of very many, every few, and of lines that coincide not the same
				p.d.Add(marker(i, at, tips[j]))
			}
		}
		last := line[len(line)-1].Y
		ends = append(ends, end{i, name, last, last})
	}
	place(ends, chartTop+panelHeight)
	for _, e := range ends {
		x := p.x(p.most)
		p.d.Add(drawing.Line{Points: []drawing.Point{{X: x + 4, Y: e.y}, {X: x + 12, Y: e.at}}, Width: 0.5, Ink: drawing.Series(e.series)},
			marker(e.series, drawing.Point{X: x + 16, Y: e.at}, ""),
			drawing.Text{X: x + 22, Y: round(e.at + 3), Size: labelSize, Ink: drawing.Ink1, Halo: true, Text: e.name})
	}
}

// place moves names apart, as little as may be from the top down, and back up
// where they would leave the panel.
func place(ends []end, bottom float64) {
	slices.SortStableFunc(ends, func(a, b end) int { return cmp.Compare(a.y, b.y) })
	for i := 1; i < len(ends); i++ {
		ends[i].at = max(ends[i].at, ends[i-1].at+labelStep)
	}
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i].at = min(ends[i].at, bottom)
		bottom = ends[i].at - labelStep
	}
}

// marker is a disc, a square, a diamond or a triangle; of the first four series
// it is filled, of the others hollow.
func marker(series int, at drawing.Point, tip string) drawing.Shape {
	const r = 2.6
	ink := drawing.Series(series)
	outline := func(corners ...drawing.Point) drawing.Shape {
		if series%8 < 4 {
			return drawing.Area{Points: corners, Fill: ink, Tip: tip}
		}
		return drawing.Line{Points: append(corners, corners[0]), Width: 1, Ink: ink, Tip: tip}
	}
	corner := func(dx, dy float64) drawing.Point { return drawing.Point{X: round(at.X + dx*r), Y: round(at.Y + dy*r)} }
	switch series % 4 {
	case 0, 1:
		b := drawing.Box{X: round(at.X - r), Y: round(at.Y - r), Width: 2 * r, Height: 2 * r, Fill: ink, Outline: ink, Tip: tip}
		if series%4 == 0 {
			b.Round = r
		}
		if series%8 >= 4 {
			b.Fill = drawing.Paper
		}
		return b
	case 2:
		return outline(corner(0, -1.3), corner(1.3, 0), corner(0, 1.3), corner(-1.3, 0))
	}
	return outline(corner(0, -1.2), corner(1.1, 0.9), corner(-1.1, 0.9))
}
