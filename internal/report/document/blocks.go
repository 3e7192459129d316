package document

import (
	"strconv"
	"strings"

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
	for _, b := range blocks {
		switch b := b.(type) {
		case Heading:
			c.heading(b)
		case Paragraph:
			c.paragraph(b)
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

// indent is by how much a list's items stand in. Lists in lists in lists stop
// moving to the right when they become too narrow.
const (
	indent    = 17
	narrowest = 200
)

func (c *composer) list(l List, depth int) {
	above := 0.0
	if depth > 0 {
		c.gap = min(c.gap, 3)
	}
	for i, item := range l.Items {
		inner := &composer{setter: c.setter, left: c.left, wide: c.wide, headings: c.headings}
		if c.wide > narrowest {
			inner.left, inner.wide = c.left+indent, c.wide-indent
		}
		label := Text{{Text: [3]string{"•", "◦", "–"}[depth%3]}}
		if l.Ordered {
			label = Words(strconv.Itoa(i+1) + ".")
		}
		c.item(inner, label, item, depth)
		c.put(above, 0, inner.strips...)
		c.gap, above = 3.5, 0
		c.headings = inner.headings
	}
	c.gap = 8
}

// item sets an item of a list, and its label beside the first line.
func (c *composer) item(inner *composer, label Text, item []Block, depth int) {
	mark := c.breaker(label, bodyStyle).lines(c.wide)[0]
	if c.wide <= narrowest && len(item) > 0 {
		// No room beside it: the label is on a line of its own.
		inner.strips = append(inner.strips, strip{high: bodyStyle.leading, keep: true})
	}
	inner.blocks(item, depth+1)
	if len(inner.strips) == 0 {
		inner.strips = []strip{{high: bodyStyle.leading}}
	}
	first := &inner.strips[0]
	room := inner.left - c.left
	if beside(first, c.left+room) {
		first.shift(bodyStyle.leading)
	}
	x := c.left + room - 5 - mark.wide
	if room == 0 || x < c.left {
		x = c.left
	}
	if x+mark.wide > inner.left && len(first.runs) > 0 {
		first.shift(bodyStyle.leading) // a very long number
	}
	first.line(mark, x, bodyStyle.base())
}

// beside says that there is something to the left of x already: the label of an
// inner list.
func beside(s *strip, x float64) bool {
	for _, r := range s.runs {
		if r.x < x {
			return true
		}
	}
	return false
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

// code sets lines as they are; those that are too long go on, after a mark.
func (c *composer) code(code Code) {
	const room = 8
	columns := columnsIn(c.wide-2*room, codeStyle)
	var strips []strip
	for _, text := range code.Lines {
		clean := c.fonts.clean(mono, expand(text))
		for i, part := range chunks(clean, columns, 2) {
			x := c.left + room
			s := strip{high: codeStyle.leading}
			if i > 0 {
				s.runs = append(s.runs, c.run("› ", x, codeStyle, mono, drawing.Light.Ink2))
				x += s.runs[0].wide
			}
			if part != "" {
				s.runs = append(s.runs, c.run(part, x, codeStyle, mono, codeStyle.ink))
			}
			strips = append(strips, s)
		}
	}
	c.put(5, 10, c.ground(unbroken(strips), 6, tint, rule)...)
}

// run places text that has been cleaned.
func (c *composer) run(text string, x float64, s style, fc face, ink drawing.RGB) run {
	return run{x: x, y: s.base(), wide: c.fonts.width(fc, s.size, text), size: s.size, face: fc, ink: ink, text: text}
}

// columnsIn returns how many signs of the font of one width there is room for.
func columnsIn(wide float64, s style) int {
	return max(int((wide+slack)/drawing.TextWidth("m", s.size)), 8)
}

// expand puts spaces for tabs, which stop at every fourth column.
func expand(text string) string {
	if !strings.ContainsRune(text, '\t') {
		return text
	}
	var b strings.Builder
	column := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '\t' {
			b.WriteByte(text[i])
			if text[i] < 0x80 || text[i] >= 0xc0 {
				column++
			}
			continue
		}
		for pad := 4 - column%4; pad > 0; pad-- {
			b.WriteByte(' ')
			column++
		}
	}
	return b.String()
}

// chunks cuts a text into parts of so many signs; all but the first are shorter
// by what hangs. It likes to cut after a space or a comma.
func chunks(text string, columns, hang int) []string {
	var parts []string
	room := columns
	for {
		n, good, signs := len(text), 0, 0
		for i, r := range text {
			if signs == room {
				n = i
				break
			}
			if signs++; (r == ' ' || r == ',') && signs > room*3/4 {
				good = i + 1
			}
		}
		if n < len(text) && good > 0 {
			n = good
		}
		parts = append(parts, text[:n])
		if text = text[n:]; text == "" {
			return parts
		}
		room = columns - hang
	}
}

// log sets numbered lines.
func (c *composer) log(l Log) {
	digits := 1
	for _, line := range l.Lines {
		digits = max(digits, len(strconv.Itoa(line.Number)))
	}
	sign := drawing.TextWidth("m", logStyle.size)
	gutter := float64(digits)*sign + 8
	columns := columnsIn(c.wide-gutter, logStyle)
	var strips []strip
	for _, line := range l.Lines {
		from := len(strips)
		fc, ink := mono, logStyle.ink
		if line.Strong {
			fc = monoBold
		}
		clean := c.fonts.clean(fc, expand(line.Text))
		for i, part := range chunks(clean, columns, 2) {
			s := strip{high: logStyle.leading, keep: true}
			x := c.left + gutter
			if i == 0 {
				number := strconv.Itoa(line.Number)
				s.runs = append(s.runs, c.run(number, x-8-float64(len(number))*sign, logStyle, mono, drawing.Light.Ink2))
			} else {
				x += 2 * sign
			}
			if part != "" {
				s.runs = append(s.runs, c.run(part, x, logStyle, fc, ink))
			}
			if line.Strong {
				s.boxes = []box{{c.left + gutter - 4, 0, c.wide - gutter + 4, s.high, keyTint}}
			}
			strips = append(strips, s)
		}
		strips[len(strips)-1].keep = false
		if l.ID != "" {
			c.name(&strips[from], LineID(l.ID, line.Number))
		}
	}
	if len(strips) == 0 {
		strips = make([]strip, 1)
	}
	c.name(&strips[0], l.ID)
	c.put(6, 10, strips...)
}
