package document

import (
	"math"

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
// get what they need. The others get the rest, in proportion to what they have,
// but if possible no less than their widest word.
func widths(whole, part []float64, room float64) []float64 {
	wide := make([]float64, len(whole))
	open := make([]int, len(whole))
	for i := range open {
		open[i] = i
	}
	settle := func(want func(share float64, i int) (float64, bool)) {
		for again := true; again && len(open) > 0; {
			again = false
			share := room / float64(len(open))
			left := open[:0:0]
			for _, i := range open {
				if w, ok := want(share, i); ok {
					wide[i], again = w, true
					room -= w
				} else {
					left = append(left, i)
				}
			}
			open = left
		}
	}
	settle(func(share float64, i int) (float64, bool) { return whole[i], whole[i] <= share })
	weight := func(i int) float64 { return math.Sqrt(whole[i]) }
	settle(func(share float64, i int) (float64, bool) {
		sum := 0.0
		for _, k := range open {
			sum += weight(k)
		}
		least := min(part[i], share)
		return least, room*weight(i)/sum < least-slack
	})
	sum := 0.0
	for _, i := range open {
		sum += weight(i)
	}
	for _, i := range open {
		wide[i] = room * weight(i) / sum
	}
	return wide
}

// table sets a table: a strip for each line of each row.
func (c *composer) table(t Table) {
	columns := len(t.Head)
	for _, row := range t.Rows {
		columns = max(columns, len(row))
	}
	var strips []strip
	if columns > 0 {
		g := c.grid(t, columns)
		var head []strip
		if len(t.Head) > 0 {
			look := g.style
			look.bold = true
			head = c.row(g, t.Head, t.Columns, look)
			last := &head[len(head)-1]
			last.boxes = append(last.boxes, box{c.left, last.high - 0.8, g.sum(), 0.8, drawing.Light.Ink2})
			for i := range head {
				head[i].keep = true
			}
		}
		strips = append(strips, head...)
		for i, row := range t.Rows {
			lines := together(c.row(g, row, t.Columns, g.style))
			last := &lines[len(lines)-1]
			ink, thick := rule, 0.4
			if i == len(t.Rows)-1 {
				ink, thick = drawing.Light.Grid, 0.8
			}
			last.boxes = append(last.boxes, box{c.left, last.high - thick, g.sum(), thick, ink})
			for k := range lines {
				lines[k].repeat = head
			}
			strips = append(strips, lines...)
		}
	}
	caption := together(c.text(t.Caption, captionStyle, c.wide))
	if n := len(strips); n > 0 && len(caption) > 0 {
		strips[n-1].keep = true
		caption[0].above = 5
	} else if n > 0 {
		strips[n-1].keep = false
	}
	strips = append(strips, caption...)
	if len(strips) == 0 {
		strips = make([]strip, 1)
	}
	c.name(&strips[0], t.ID)
	c.put(6, 13, strips...)
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
