package document

import (
	"strconv"
	"strings"

	"github.com/conchlock/conch/internal/report/drawing"
)

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
			if i == 0 && line.Number > 0 {
				number := strconv.Itoa(line.Number)
				s.runs = append(s.runs, c.run(number, x-8-float64(len(number))*sign, logStyle, mono, drawing.Light.Ink2))
			} else if i > 0 {
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
		if l.ID != "" && line.Number > 0 {
			c.name(&strips[from], LineID(l.ID, line.Number))
		}
	}
	if len(strips) == 0 {
		strips = make([]strip, 1)
	}
	c.name(&strips[0], l.ID)
	c.put(6, 10, strips...)
}
