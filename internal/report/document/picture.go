package document

import (
	"math"

	"codeberg.org/go-pdf/fpdf"

	"github.com/conchlock/conch/internal/report/drawing"
)

// finite says that x is a number that can be written.
func finite(x float64) bool { return !math.IsNaN(x) && math.Abs(x) < 1e6 }

// drawable says that a drawing has a size.
func drawable(d *drawing.Drawing) bool {
	return d.Width > 0 && d.Height > 0 && finite(d.Width) && finite(d.Height)
}

// picture paints a drawing, and nothing outside of it.
func (p *painter) picture(pic picture) {
	d := pic.drawing
	p.pdf.ClipRect(pic.x-0.5, pic.y-0.5, d.Width*pic.scale+1, d.Height*pic.scale+1, false)
	for _, shape := range d.Shapes {
		switch s := shape.(type) {
		case drawing.Line:
			p.polyline(pic, s)
		case drawing.Box:
			p.rectangle(pic, s)
		case drawing.Area:
			if s.Fill != drawing.None {
				p.polygon(pic, s.Points, s.Fill)
			}
		case drawing.Text:
			p.label(pic, s)
		}
	}
	p.pdf.ClipEnd()
	// The page has its font and its colour from before again. The library does
	// not know that, and leaves out a colour that it believes to be there.
	p.size = 0
	p.fill(drawing.Light.Paper)
}

// at returns where a point of a picture is on the page.
func (pic picture) at(p drawing.Point) (x, y float64, ok bool) {
	x, y = pic.x+p.X*pic.scale, pic.y+p.Y*pic.scale
	return x, y, finite(x) && finite(y)
}

// points returns where points are on the page; nothing if one has no place.
func (pic picture) points(points []drawing.Point) []fpdf.PointType {
	out := make([]fpdf.PointType, len(points))
	for i, point := range points {
		x, y, ok := pic.at(point)
		if !ok {
			return nil
		}
		out[i] = fpdf.PointType{X: x, Y: y}
	}
	return out
}

func (p *painter) polyline(pic picture, l drawing.Line) {
	points := pic.points(l.Points)
	if len(points) < 2 || !finite(l.Width) {
		return
	}
	head, end, arrow := l.Head()
	if arrow {
		if x, y, ok := pic.at(end); ok {
			points[len(points)-1] = fpdf.PointType{X: x, Y: y}
		}
	}
	if l.Ink != drawing.None {
		p.ink(drawing.Light.RGB(l.Ink))
		p.pdf.SetLineWidth(l.Width * pic.scale)
		dashes := dashes(l.Dash)
		for i := range dashes {
			dashes[i] *= pic.scale
		}
		p.pdf.SetDashPattern(dashes, 0)
		p.pdf.MoveTo(points[0].X, points[0].Y)
		for _, point := range points[1:] {
			p.pdf.LineTo(point.X, point.Y)
		}
		p.pdf.DrawPath("D")
		p.pdf.SetDashPattern(nil, 0)
	}
	if arrow && l.Ink != drawing.None {
		p.polygon(pic, head, l.Ink)
	}
}

// dashes returns the lengths of what is painted and of what is left out.
func dashes(d drawing.Dash) []float64 {
	switch d {
	case drawing.Dashed:
		return []float64{5, 3}
	case drawing.Dotted:
		return []float64{1.5, 3}
	case drawing.DashDot:
		return []float64{6, 3, 1.5, 3}
	}
	return nil
}

func (p *painter) polygon(pic picture, corners []drawing.Point, ink drawing.Ink) {
	if points := pic.points(corners); len(points) > 2 {
		p.fill(drawing.Light.RGB(ink))
		p.pdf.Polygon(points, "F")
	}
}

func (p *painter) rectangle(pic picture, b drawing.Box) {
	x, y, ok := pic.at(drawing.Point{X: b.X, Y: b.Y})
	wide, high := b.Width*pic.scale, b.Height*pic.scale
	if !ok || !finite(wide) || !finite(high) || wide < 0 || high < 0 {
		return
	}
	round := min(max(b.Round*pic.scale, 0), wide/2, high/2)
	if b.Fill != drawing.None && b.Hatched {
		p.hatch(pic, b, x, y, wide, high, round)
	}
	how := ""
	if b.Fill != drawing.None && !b.Hatched {
		p.fill(drawing.Light.RGB(b.Fill))
		how = "F"
	}
	if b.Outline != drawing.None {
		p.ink(drawing.Light.RGB(b.Outline))
		p.pdf.SetLineWidth(pic.scale)
		how += "D"
	}
	switch {
	case how == "":
	case round > 0:
		p.pdf.RoundedRect(x, y, wide, high, round, "1234", how)
	default:
		p.pdf.Rect(x, y, wide, high, how)
	}
}

// hatch fills a box with stripes from top right to bottom left, as SVG has them.
func (p *painter) hatch(pic picture, b drawing.Box, x, y, wide, high, round float64) {
	p.pdf.ClipRoundedRect(x, y, wide, high, round, false)
	p.ink(drawing.Light.RGB(b.Fill))
	p.pdf.SetLineWidth(1.8 * pic.scale)
	step := 4 * math.Sqrt2 * pic.scale
	for at := x; at < x+wide+high; at += step {
		p.pdf.Line(at, y, at-high, y+high)
	}
	p.pdf.ClipEnd()
}

// label paints a text. What the font lacks becomes one sign each, since pictures
// have no room for more.
func (p *painter) label(pic picture, t drawing.Text) {
	x, y, ok := pic.at(drawing.Point{X: t.X, Y: t.Y})
	size := t.Size * pic.scale
	if !ok || t.Text == "" || !finite(size) || size <= 0 || !finite(t.Turn) {
		return
	}
	if t.Halo {
		corners := t.Patch()
		p.polygon(pic, corners[:], drawing.Paper)
	}
	if t.Ink == drawing.None {
		return
	}
	fc := mono
	if t.Bold {
		fc = monoBold
	}
	text := p.fonts.replace(fc, t.Text)
	at := x
	switch wide := p.fonts.width(fc, size, text); t.Anchor {
	case drawing.Middle:
		at -= wide / 2
	case drawing.End:
		at -= wide
	}
	p.set(fc, size)
	c := drawing.Light.RGB(t.Ink)
	p.pdf.SetTextColor(int(c.R), int(c.G), int(c.B))
	if t.Turn != 0 {
		p.pdf.TransformBegin()
		p.pdf.TransformRotate(-t.Turn, x, y)
	}
	p.pdf.Text(at, y, text)
	if t.Turn != 0 {
		p.pdf.TransformEnd()
	}
}
