package spacetime

import (
	"math"

	"github.com/conchlock/conch/internal/report/drawing"
)

// drawLabels writes along each arrow what it is, where nothing else is
// written. Of the places that are free it takes the one that crosses the least;
// an arrow without a free place has only its tip.
func (p *page) drawLabels(list []drawn) {
	for _, x := range list {
		places, worse := x.places, 1.2
		if places == nil {
			places, worse = p.along(x), 0.3
		}
		if t, ok := p.best(places, worse); ok {
			p.d.Add(t)
		}
	}
}

// hidden is how many crossings are as bad as a dot that is hidden.
const hidden = 3

// best takes the place that crosses the fewest lines, of those that are free; a
// later one is worse by so many crossings.
func (p *page) best(places []drawing.Text, worse float64) (best drawing.Text, found bool) {
	least := math.Inf(1)
	for i, t := range places {
		patch := quad(t.Patch())
		if !p.inside(patch) || p.labels.count(grown(patch)) > 0 {
			continue
		}
		if cost := float64(i)*worse + float64(p.lines.count(patch)+hidden*p.dots.count(patch)); cost < least {
			best, least = t, cost
		}
	}
	if found = !math.IsInf(least, 1); found {
		p.labels.add(quad(best.Patch()))
	}
	return best, found
}

// along returns where a label could stand, the better ones first: along the
// line, in the middle between two lifelines, near the sender, near the
// receiver, or elsewhere. Of an arrow that is bent it takes the pieces in turns.
func (p *page) along(x drawn) []drawing.Text {
	var pieces [][]drawing.Text
	most := 0
	for i, end := range x.points[1:] {
		texts := p.alongPiece(x, x.points[i], end)
		pieces, most = append(pieces, texts), max(most, len(texts))
	}
	var all []drawing.Text
	for i := range most {
		for _, texts := range pieces {
			if i < len(texts) {
				all = append(all, texts[i])
			}
		}
	}
	return all
}

func (p *page) alongPiece(x drawn, from, to drawing.Point) []drawing.Text {
	dx, dy := to.X-from.X, to.Y-from.Y
	length := math.Hypot(dx, dy)
	width := drawing.TextWidth(x.label, p.size)
	if length == 0 || width > 2.2*length {
		return nil
	}
	angle := math.Atan2(dy, dx)
	if angle > math.Pi/2 {
		angle -= math.Pi // so that nothing stands on its head
	}
	sin, cos := math.Sincos(angle)
	var texts []drawing.Text
	for _, share := range p.shares(math.Abs(dx), length, width) {
		c := between(from, to, share)
		for _, off := range []float64{-2.6, p.size*0.78 + 1.6} { // above the line, below it
			texts = append(texts, drawing.Text{
				X: c.X - sin*off, Y: c.Y + cos*off, Size: p.size, Anchor: drawing.Middle, Ink: x.ink, Halo: true,
				Turn: angle * 180 / math.Pi, Text: x.label,
			})
		}
	}
	return texts
}

// shares returns the places along a line at which the middle of a label could
// be, as shares of its length.
func (p *page) shares(across, length, width float64) []float64 {
	near, far := (width/2+8)/length, 1-(width/2+10)/length
	if near > far {
		return []float64{0.5}
	}
	var shares []float64
	columns := int(math.Round(across / p.gap))
	for i := range columns {
		share := (float64(i/2) + 0.5) / float64(columns) // from the sender
		if i%2 == 1 {
			share = 1 - share // from the receiver
		}
		if share >= near-0.05 && share <= far+0.05 {
			shares = append(shares, share)
		}
	}
	shares = append(shares, near, far)
	for _, share := range []float64{0.5, 0.33, 0.67, 0.25, 0.75} {
		if share > near && share < far {
			shares = append(shares, share)
		}
	}
	return shares
}

// inside says that a place is on the page, between ruler and border.
func (p *page) inside(patch quad) bool {
	low, high := patch.along(drawing.Point{X: 1})
	top, bottom := patch.along(drawing.Point{Y: 1})
	return low >= p.left-2 && high <= p.width-margin/2 && top >= headHeight-3 && bottom <= p.at(p.to)+stripe
}

// grown is an area with a little room around it.
func grown(a quad) quad {
	c := between(a[0], a[2], 0.5)
	for i, corner := range a {
		d := math.Hypot(corner.X-c.X, corner.Y-c.Y)
		a[i] = between(c, corner, 1+1/d)
	}
	return a
}
