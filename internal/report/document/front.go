package document

import (
	"strconv"
	"strings"

	"github.com/conchlock/conch/internal/report/drawing"
)

// title sets the title page: as strips, so that no title is too long for it.
func (s *setter) title() []strip {
	c := &composer{setter: s, wide: bodyWidth}
	size := 30.0
	for size > 16 && len(c.text(Words(s.Title), style{size: size, bold: true}, c.wide)) > 3 {
		size -= 2
	}
	look := style{size: size, leading: size * 1.24, ink: drawing.Light.Ink1, bold: true}
	strips := []strip{{high: 150, keep: true}}
	strips[0].boxes = []box{{0, 132, 56, 4, drawing.Light.Message}}
	strips = append(strips, c.text(Words(s.Title), look, c.wide)...)
	gap := 16.0
	for _, text := range s.Subtitle {
		lines := c.text(Words(text), style{size: 12.5, leading: 18, ink: drawing.Light.Ink2}, c.wide-40)
		if len(lines) > 0 {
			lines[0].above, gap = gap, 3
		}
		strips = append(strips, lines...)
	}
	gap = 40
	for _, text := range []string{s.Author, s.day()} {
		lines := c.text(Words(text), style{size: 10.5, leading: 15.5, ink: drawing.Light.Ink1}, c.wide)
		if len(lines) > 0 {
			lines[0].above, gap = gap, 0
		}
		strips = append(strips, lines...)
	}
	return strips
}

// day is the date, in words; nothing if there is none.
func (d *Document) day() string {
	if d.Date.IsZero() {
		return ""
	}
	return d.Date.UTC().Format("2 January 2006")
}

// contentsTitle stands over the contents.
const contentsTitle = "Contents"

// contents lists the headings of level 1 and 2 with their pages.
func (c *composer) contents() {
	look := headingStyles[1]
	strips := c.text(Words(contentsTitle), look.style, c.wide)
	for i := range strips {
		strips[i].keep = true
	}
	c.put(look.above, 8, strips...)
	const number = 34 // room for the page at the right
	for _, h := range c.Document.headings() {
		if h.Level > 2 {
			continue
		}
		s, in, above := bodyStyle, 0.0, 7.0
		if h.Level == 2 {
			in, above = 16, 0
		} else {
			s.bold = true
		}
		inner := *c
		inner.left = c.left + in
		lines := together(inner.text(linked(h.Text, "#"+h.mark), s, c.wide-in-number))
		for i := range lines {
			for k := range lines[i].runs {
				lines[i].runs[k].ink = s.ink
			}
		}
		if len(lines) > 0 {
			c.leader(&lines[len(lines)-1], s, h.mark)
		}
		c.put(above, 1.5, lines...)
	}
	c.gap = 16
}

// linked makes all of a text a link.
func linked(t Text, link string) Text {
	out := make(Text, len(t))
	for i, s := range t {
		s.Link, s.Page = link, false
		out[i] = s
	}
	return out
}

// leader leads with dots to the number of the page, at the right.
func (c *composer) leader(s *strip, look style, mark string) {
	end := c.left
	for _, r := range s.runs {
		end = max(end, r.x+r.wide)
	}
	fc := regular
	if look.bold {
		fc = bold
	}
	page := c.run(strconv.Itoa(c.places[mark].page), 0, look, fc, look.ink)
	page.x = c.left + c.wide - page.wide
	page.link = "#" + mark
	right := c.left + c.wide - 24
	if n := int((right - end - 6) / c.fonts.width(regular, look.size, ". ")); n > 0 {
		dots := c.run(strings.Repeat(". ", n), 0, look, regular, drawing.Light.Grid)
		dots.x = right - dots.wide
		s.runs = append(s.runs, dots)
	}
	s.runs = append(s.runs, page)
}
