package document

import (
	"strconv"

	"github.com/conchlock/conch/internal/report/drawing"
)

// tint is the ground of what is set off.
var (
	tint    = drawing.RGB{R: 0xf3, G: 0xf5, B: 0xf7}
	keyTint = drawing.RGB{R: 0xea, G: 0xf3, B: 0xf9}
	rule    = drawing.RGB{R: 0xdc, G: 0xdf, B: 0xe3}
)

// The styles of text.
var (
	bodyStyle    = style{size: 9.8, leading: 14, ink: drawing.Light.Ink1}
	remarkStyle  = style{size: 8.4, leading: 11.8, ink: drawing.Light.Ink2}
	captionStyle = style{size: 8.4, leading: 11.6, ink: drawing.Light.Ink2}
	codeStyle    = style{size: 8, leading: 11.4, ink: drawing.Light.Ink1}
	logStyle     = style{size: 6.5, leading: 8.6, ink: drawing.Light.Ink1}
)

// headingStyles are those of the levels, with the room above and below.
var headingStyles = [4]struct {
	style
	above, below float64
}{
	{style{size: 21, leading: 27, ink: drawing.Light.Ink1, bold: true}, 26, 16},
	{style{size: 14, leading: 19, ink: drawing.Light.Ink1, bold: true}, 24, 7},
	{style{size: 11, leading: 15.5, ink: drawing.Light.Ink1, bold: true}, 17, 4},
	{style{size: 9.8, leading: 14, ink: drawing.Light.Ink2, bold: true}, 12, 3},
}

// composer turns blocks into strips.
type composer struct {
	*setter
	strips     []strip
	left, wide float64 // where its blocks stand, within the text
	gap        float64 // room wanted before the next block
	fresh      bool    // the next block begins a page
	headings   int     // how many there have been
}

// base is how far below its upper edge the first line of a strip stands.
func (s style) base() float64 {
	return (s.leading-(ascent+descent)*s.size)/2 + ascent*s.size
}

// breaker returns one for a text.
func (c *composer) breaker(t Text, s style) *breaker {
	return &breaker{fonts: c.fonts, style: s, spans: t, number: c.reference}
}

// begin says how much room a block wants above it, and returns what it gets.
func (c *composer) begin(above float64) float64 {
	above = max(above, c.gap)
	c.gap = 0
	return above
}

// put adds the strips of a block.
func (c *composer) put(above, below float64, strips ...strip) {
	if len(strips) == 0 {
		return
	}
	strips[0].above = c.begin(above)
	strips[0].fresh = strips[0].fresh || c.fresh
	c.fresh = false
	c.strips = append(c.strips, strips...)
	c.gap = below
}

// name makes a strip the target of links to an ID, if there are any.
func (c *composer) name(s *strip, id string) {
	if c.linked[id] {
		s.names = append(s.names, id)
	}
}

// blocks adds blocks; depth says within how many lists they are.
func (c *composer) blocks(blocks []Block, depth int) {
	for i, b := range blocks {
		switch b := b.(type) {
		case Heading:
			c.heading(b)
		case Paragraph:
			c.paragraph(b)
			c.introduce(blocks[i+1:])
		case List:
			c.list(b, depth)
		case Table:
			c.table(b)
		case Figure:
			c.figure(b)
		case Code:
			c.code(b)
		case Log:
			c.log(b)
		case Contents:
			c.contents()
		case Break:
			c.fresh = true
		}
	}
}

// introduce keeps the end of a paragraph with the beginning of what follows, if
// that is a list, a table, code or what is set off. (A figure has a caption, and is
// so high that this would leave much of a page empty.)
func (c *composer) introduce(next []Block) {
	if len(next) == 0 || len(c.strips) == 0 {
		return
	}
	switch b := next[0].(type) {
	case Paragraph:
		if b.Kind != Key {
			return
		}
	case List, Table, Code:
	default:
		return
	}
	c.strips[len(c.strips)-1].keep = true
}

// text returns a strip for each line of a text.
func (c *composer) text(t Text, s style, wide float64) []strip {
	lines := c.breaker(t, s).lines(wide)
	strips := make([]strip, len(lines))
	for i, l := range lines {
		strips[i].high = s.leading
		strips[i].line(l, c.left, s.base())
	}
	return strips
}

// together keeps the strips on one page, except for the last, which is free.
func together(strips []strip) []strip {
	for i := range strips {
		strips[i].keep = i < len(strips)-1
	}
	return strips
}

// unbroken keeps the first two lines and the last two together.
func unbroken(strips []strip) []strip {
	if n := len(strips); n > 1 {
		strips[0].keep, strips[n-2].keep = true, true
	}
	return strips
}

func (c *composer) heading(h Heading) {
	look := headingStyles[min(max(h.Level, 1), 4)-1]
	strips := c.text(h.Text, look.style, c.wide)
	if len(strips) == 0 {
		strips = make([]strip, 1)
	}
	for i := range strips {
		strips[i].keep = true
	}
	strips[0].heading, strips[0].mark = &h, mark(c.headings)
	strips[0].fresh = h.Level <= 1
	c.headings++
	c.name(&strips[0], h.ID)
	c.put(look.above, look.below, strips...)
}

func (c *composer) paragraph(p Paragraph) {
	switch p.Kind {
	case Remark:
		c.put(5, 7, unbroken(c.text(p.Text, remarkStyle, c.wide))...)
	case Key:
		inner := *c
		inner.left, inner.wide = c.left+14, c.wide-26
		strips := unbroken(inner.text(p.Text, bodyStyle, inner.wide))
		whole(strips) // half a box looks like all of one
		c.put(10, 12, c.ground(strips, 8, keyTint, drawing.Light.Message)...)
	default:
		c.put(0, 7, unbroken(c.text(p.Text, bodyStyle, c.wide))...)
	}
}

// ground puts a tint behind strips, with some room above and below, and a bar
// at its left.
func (c *composer) ground(strips []strip, room float64, ink, bar drawing.RGB) []strip {
	for i := range strips {
		s := &strips[i]
		if i == 0 {
			s.shift(room)
		}
		if i == len(strips)-1 {
			s.high += room
		}
		s.boxes = append([]box{{c.left, 0, c.wide, s.high, ink}, {c.left, 0, 2.5, s.high, bar}}, s.boxes...)
	}
	return strips
}

// shift moves what is on a strip down.
func (s *strip) shift(by float64) {
	var moved sheet
	moved.add(s.sheet, 0, by)
	s.sheet = moved
	s.high += by
}

// indent is by how much a list's items stand in at least. Lists in lists in lists stop
// moving to the right when they become too narrow.
const (
	indent    = 17
	narrowest = 200
)

func (c *composer) list(l List, depth int) {
	if depth > 0 {
		c.gap = min(c.gap, 3)
	}
	labels, widest := make([]line, len(l.Items)), 0.0
	for i := range labels {
		label := [3]string{"•", "◦", "–"}[depth%3]
		if l.Ordered {
			label = strconv.Itoa(i+max(l.Start, 1)) + "."
		}
		labels[i] = c.breaker(Words(label), bodyStyle).lines(c.wide)[0]
		widest = max(widest, labels[i].wide)
	}
	in := 0.0
	if c.wide > narrowest {
		in = max(indent, widest+9)
	}
	for i, item := range l.Items {
		inner := &composer{setter: c.setter, left: c.left + in, wide: c.wide - in, headings: c.headings}
		if in == 0 && len(item) > 0 {
			// No room beside it: the label is on a line of its own.
			inner.strips = []strip{{high: bodyStyle.leading, keep: true}}
		}
		inner.blocks(item, depth+1)
		inner.label(labels[i], max(inner.left-5-labels[i].wide, c.left))
		c.put(0, 0, inner.strips...)
		c.gap, c.headings = 3.5, inner.headings
	}
	c.gap = 8
}

// label puts the label of an item beside its first line. It comes before the
// text, as they are read.
func (c *composer) label(label line, x float64) {
	if len(c.strips) == 0 {
		c.strips = make([]strip, 1)
	}
	first := &c.strips[0]
	first.high = max(first.high, bodyStyle.leading) // there may be nothing in it
	text := first.runs
	first.runs = nil
	first.line(label, x, bodyStyle.base())
	first.runs = append(first.runs, text...)
}

// figure sets a picture, in the middle, and its caption below.
func (c *composer) figure(f Figure) {
	caption := c.text(f.Caption, captionStyle, c.wide)
	var strips []strip
	if d := f.Drawing; d != nil && drawable(d) {
		high := max(bodyHeight-150-float64(len(caption))*captionStyle.leading, bodyHeight/2)
		scale := min(1, c.wide/d.Width, high/d.Height)
		s := strip{high: d.Height*scale + 6}
		s.pictures = []picture{{c.left + (c.wide-d.Width*scale)/2, 0, scale, d}}
		strips = append(strips, s)
	}
	strips = together(append(strips, caption...))
	if len(strips) == 0 {
		strips = make([]strip, 1)
	}
	c.name(&strips[0], f.ID)
	c.put(9, 14, strips...)
}
