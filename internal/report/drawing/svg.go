package drawing

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// fonts are of one width, of about textAspect.
const fonts = `ui-monospace,"DejaVu Sans Mono","Liberation Mono",Menlo,Consolas,"Courier New",monospace`

// SVG writes the picture as a file of its own, which may also stand within an
// HTML page, beside others. It looks right on light and on dark screens, its
// text can be searched, and equal pictures give equal bytes.
func (d *Drawing) SVG(w io.Writer) error {
	s := &svg{Writer: bufio.NewWriter(w), id: d.id(), classes: map[string]Ink{}}
	for _, shape := range d.Shapes {
		s.note(shape)
	}
	s.begin(d)
	for _, shape := range d.Shapes {
		switch x := shape.(type) {
		case Line:
			s.line(x)
		case Box:
			s.box(x)
		case Area:
			s.area(x)
		case Text:
			s.text(x)
		}
	}
	s.WriteString("</svg>\n")
	return s.Flush()
}

// id is what the names within the picture begin with: several pictures in one
// page share one space of names.
func (d *Drawing) id() string {
	h := fnv.New32a()
	fmt.Fprint(h, d.Title, "\x00", d.Description, "\x00", d.Width, d.Height, len(d.Shapes))
	return fmt.Sprintf("c%08x", h.Sum32())
}

// svg writes a picture. Errors stay in the Writer until Flush.
type svg struct {
	*bufio.Writer
	id      string
	classes map[string]Ink // f for fill, s for stroke, h for hatched, and the number of the ink
}

func class(use byte, ink Ink) string { return string(use) + strconv.Itoa(int(ink)) }

// note takes down which inks are used, and how.
func (s *svg) note(shape Shape) {
	use := func(kind byte, ink Ink) { s.classes[class(kind, ink)] = ink }
	switch x := shape.(type) {
	case Line:
		use('s', x.Ink)
		if x.Arrow {
			use('f', x.Ink)
		}
	case Box:
		use('f', x.Fill)
		use('s', x.Outline)
		if x.Hatched {
			use('h', x.Fill)
		}
	case Area:
		use('f', x.Fill)
	case Text:
		use('f', x.Ink)
	}
}

// begin writes what comes before the shapes.
func (s *svg) begin(d *Drawing) {
	width, height := number(d.Width), number(d.Height)
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" id="%s" width="%s" height="%s" viewBox="0 0 %[2]s %[3]s" role="img" aria-labelledby="%[1]s-title %[1]s-desc" xml:space="preserve">`+"\n", s.id, width, height)
	fmt.Fprintf(s, "<title id=\"%s-title\">%s</title>\n<desc id=\"%[1]s-desc\">%[3]s</desc>\n", s.id, Escape(d.Title), Escape(d.Description))
	names := make([]string, 0, len(s.classes))
	for name := range s.classes {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(s, "<style>\n#%s text{font-family:%s}\n#%[1]s .halo{paint-order:stroke;stroke-width:3;stroke-linejoin:round}\n#%[1]s .tip{stroke:transparent;stroke-width:7}\n", s.id, fonts)
	s.style(names, &Light)
	s.WriteString("@media (prefers-color-scheme:dark){\n")
	s.style(names, &Dark)
	s.WriteString("}\n</style>\n")
	s.hatches(names)
	fmt.Fprintf(s, "<rect class=\"paper\" width=\"%s\" height=\"%s\"/>\n", width, height)
}

// style writes the colours of a palette.
func (s *svg) style(names []string, p *Palette) {
	fmt.Fprintf(s, "#%s .paper{fill:%v}\n#%[1]s .halo{stroke:%[2]v}\n", s.id, p.Paper)
	for _, name := range names {
		property := "fill"
		if name[0] != 'f' {
			property = "stroke"
		}
		colour := p.RGB(s.classes[name]).String()
		if s.classes[name] == None {
			colour = "none"
		}
		fmt.Fprintf(s, "#%s .%s{%s:%s}\n", s.id, name, property, colour)
	}
}

// hatches writes a pattern of stripes for each ink that needs one.
func (s *svg) hatches(names []string) {
	for _, name := range names {
		if name[0] == 'h' {
			fmt.Fprintf(s, `<pattern id="%s-%s" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">`+
				`<line class="%[2]s" x1="1" y1="0" x2="1" y2="4" stroke-width="1.8"/></pattern>`+"\n", s.id, name)
		}
	}
}

func (s *svg) line(l Line) {
	if len(l.Points) < 2 {
		return
	}
	points := l.Points
	head, end, arrow := l.Head()
	if arrow {
		points = append(slices.Clone(points[:len(points)-1]), end)
	}
	if l.Tip != "" {
		// A wider line, not to be seen, is easier to point at.
		fmt.Fprintf(s, "<g><title>%s</title><polyline class=\"tip\" fill=\"none\" points=\"%s\"/>", Escape(l.Tip), list(points))
	}
	fmt.Fprintf(s, `<polyline class="%s" fill="none" stroke-width="%s"%s points="%s"/>`, class('s', l.Ink), number(l.Width), dashes(l.Dash), list(points))
	if arrow {
		fmt.Fprintf(s, `<polygon class="%s" points="%s"/>`, class('f', l.Ink), list(head))
	}
	if l.Tip != "" {
		s.WriteString("</g>")
	}
	s.WriteByte('\n')
}

func (s *svg) box(b Box) {
	classes := class('f', b.Fill) + " " + class('s', b.Outline)
	fill := ""
	if b.Hatched {
		// A style goes before a class.
		fill = fmt.Sprintf(` style="fill:url(#%s-%s)"`, s.id, class('h', b.Fill))
	}
	fmt.Fprintf(s, `<rect class="%s"%s x="%s" y="%s" width="%s" height="%s"`, classes, fill, number(b.X), number(b.Y), number(b.Width), number(b.Height))
	if b.Round > 0 {
		fmt.Fprintf(s, ` rx="%s"`, number(b.Round))
	}
	s.end("rect", b.Tip)
}

func (s *svg) area(a Area) {
	fmt.Fprintf(s, `<polygon class="%s" points="%s"`, class('f', a.Fill), list(a.Points))
	s.end("polygon", a.Tip)
}

// end ends an element that may have a tip.
func (s *svg) end(name, tip string) {
	if tip == "" {
		s.WriteString("/>\n")
		return
	}
	fmt.Fprintf(s, "><title>%s</title></%s>\n", Escape(tip), name)
}

func (s *svg) text(t Text) {
	classes := class('f', t.Ink)
	if t.Halo {
		classes += " halo"
	}
	fmt.Fprintf(s, `<text class="%s" x="%s" y="%s" font-size="%s"`, classes, number(t.X), number(t.Y), number(t.Size))
	switch t.Anchor {
	case Middle:
		s.WriteString(` text-anchor="middle"`)
	case End:
		s.WriteString(` text-anchor="end"`)
	}
	if t.Bold {
		s.WriteString(` font-weight="bold"`)
	}
	if t.Turn != 0 {
		fmt.Fprintf(s, ` transform="rotate(%s %s %s)"`, number(t.Turn), number(t.X), number(t.Y))
	}
	fmt.Fprintf(s, ">%s</text>\n", Escape(t.Text))
}

func dashes(d Dash) string {
	switch d {
	case Dashed:
		return ` stroke-dasharray="5 3"`
	case Dotted:
		return ` stroke-dasharray="1.5 3"`
	case DashDot:
		return ` stroke-dasharray="6 3 1.5 3"`
	}
	return ""
}

// list writes points as SVG has them.
func list(points []Point) string {
	var b strings.Builder
	for i, p := range points {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(number(p.X) + "," + number(p.Y))
	}
	return b.String()
}

// number writes a length, to a hundredth of a point. What is no number is 0.
func number(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "0"
	}
	if x = math.Round(x*100) / 100; x == 0 {
		return "0" // and not -0
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}
