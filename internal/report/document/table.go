package document

import (
	"math"
	"slices"

	"github.com/conchlock/conch/internal/report/drawing"
)

// grid is how a table is set.
type grid struct {
	style style
	pad   float64 // at the left and at the right of each cell
	row   float64 // above and below each cell
	wide  []float64
}

// tableSizes are the sizes of type for a table, from the wanted one down.
var tableSizes = []float64{9, 8.4, 7.8, 7.2, 6.6}

// grid finds the size of type and the widths of the columns.
func (c *composer) grid(t Table, columns int) grid {
	sizes := tableSizes
	if t.Small {
		sizes = sizes[2:]
	}
	var g grid
	for _, size := range sizes {
		g = grid{style: style{size: size, leading: size * 1.36, ink: drawing.Light.Ink1}, pad: size * 0.55, row: size * 0.3}
		whole, part := c.measure(t, columns, g.style)
		g.wide = widths(whole, part, c.wide-2*g.pad*float64(columns))
		if fine(g.wide, part, c.wide) {
			return g
		}
	}
	// So many columns that each has room for a sign or two.
	if least := c.wide / float64(columns); least < 5*g.style.size {
		g.style.size = least / 5
		g.style.leading, g.pad, g.row = g.style.size*1.36, g.style.size*0.4, g.style.size*0.3
		whole, part := c.measure(t, columns, g.style)
		g.wide = widths(whole, part, c.wide-2*g.pad*float64(columns))
	}
	return g
}

// fine says that no word has to be broken, except for very long ones.
func fine(wide, part []float64, room float64) bool {
	for i, w := range wide {
		if w+slack < part[i] && part[i] < room/3 {
			return false
		}
	}
	return true
}

// measure returns for each column how wide it would be without broken lines,
// and how wide its widest word is.
func (c *composer) measure(t Table, columns int, s style) (whole, part []float64) {
	whole, part = make([]float64, columns), make([]float64, columns)
	note := func(row []Text, s style) {
		for i, cell := range row {
			w, p := c.breaker(cell, s).widest()
			whole[i], part[i] = max(whole[i], w), max(part[i], p)
		}
	}
	for _, row := range t.Rows {
		note(row, s)
	}
	s.bold = true
	note(t.Head, s)
	return whole, part
}

// widths shares room among columns. Columns that need no more than their share
// get what they need. The others get the rest, by how much they have to say, but
// if possible no less than their widest word.
func widths(whole, part []float64, room float64) []float64 {
	s := &sharing{wide: make([]float64, len(whole)), room: room}
	for i := range whole {
		s.open = append(s.open, i)
	}
	s.settle(func(i int, share float64) (float64, bool) { return whole[i], whole[i] <= share })
	// Twice as much text gets less than twice the room: the others wrap too.
	bid := func(i int) float64 {
		sum := 0.0
		for _, k := range s.open {
			sum += math.Sqrt(whole[k])
		}
		return s.room * math.Sqrt(whole[i]) / sum
	}
	s.settle(func(i int, share float64) (float64, bool) {
		least := min(part[i], share)
		return least, bid(i) < least-slack
	})
	for _, i := range s.open {
		s.wide[i] = bid(i)
	}
	return s.wide
}

// sharing is how far room has been shared out: some columns have their widths,
// and room is left for those that are open.
type sharing struct {
	wide []float64
	open []int
	room float64
}

// settle gives columns the widths that they want, one after the other, as long as
// there is one that wants one. A share is the same for all that are open.
func (s *sharing) settle(want func(i int, share float64) (float64, bool)) {
	for k := 0; k < len(s.open); k++ {
		i := s.open[k]
		if w, ok := want(i, s.room/float64(len(s.open))); ok {
			s.wide[i] = w
			s.room -= w
			s.open = slices.Delete(s.open, k, k+1)
			k = -1 // what is left for the others has changed
		}
	}
}

// table sets a table: a strip for each line of each row, and the caption.
func (c *composer) table(t Table) {
	columns := len(t.Head)
	for _, row := range t.Rows {
		columns = max(columns, len(row))
	}
	var strips []strip
	if columns > 0 {
		g := c.grid(t, columns)
		strips = c.rows(g, t)
	}
	caption := together(c.text(t.Caption, captionStyle, c.wide))
	if n := len(strips); n > 0 && len(caption) > 0 {
		strips[n-1].keep = true
		caption[0].above = 5
	} else if n > 0 {
		strips[n-1].keep = false
	}
	strips = append(strips, caption...)
	whole(strips)
	if len(strips) == 0 {
		strips = make([]strip, 1)
	}
	c.name(&strips[0], t.ID)
	c.put(6, 13, strips...)
}

// whole keeps what is not long on one page: a table with its caption, a frame.
func whole(strips []strip) {
	if high := repeated(strips); high < bodyHeight*0.4 {
		together(strips)
	}
}

// rows sets the head and the rows, with thin rules.
func (c *composer) rows(g grid, t Table) []strip {
	under := func(lines []strip, thick float64, ink drawing.RGB) {
		last := &lines[len(lines)-1]
		last.boxes = append(last.boxes, box{c.left, last.high - thick, g.sum(), thick, ink})
	}
	var head []strip
	if len(t.Head) > 0 {
		look := g.style
		look.bold = true
		head = c.row(g, t.Head, t.Columns, look)
		under(head, 0.8, drawing.Light.Ink2)
		for i := range head {
			head[i].keep = true
		}
	}
	strips := slices.Clone(head)
	for i, row := range t.Rows {
		lines := together(c.row(g, row, t.Columns, g.style))
		ink, thick := rule, 0.4
		if i == len(t.Rows)-1 {
			ink, thick = drawing.Light.Grid, 0.8
		}
		under(lines, thick, ink)
		for k := range lines {
			lines[k].repeat = head
		}
		// Neither the first row nor the last is alone on a page.
		lines[len(lines)-1].keep = i == 0 || i == len(t.Rows)-2
		strips = append(strips, lines...)
	}
	return strips
}

func (g grid) sum() float64 {
	sum := 0.0
	for _, w := range g.wide {
		sum += w + 2*g.pad
	}
	return sum
}

// row sets a row, a strip for each line.
func (c *composer) row(g grid, cells []Text, columns []Column, s style) []strip {
	strips := make([]strip, 1)
	x := c.left
	for i, wide := range g.wide {
		x += g.pad
		if i < len(cells) {
			for k, l := range c.breaker(cells[i], s).lines(wide) {
				if k == len(strips) {
					strips = append(strips, strip{})
				}
				at := x
				if i < len(columns) && columns[i] == Right {
					at += wide - l.wide
				}
				strips[k].line(l, at, s.base())
			}
		}
		x += wide + g.pad
	}
	for i := range strips {
		strips[i].high = s.leading
	}
	strips[0].shift(g.row)
	strips[len(strips)-1].high += g.row
	return strips
}
