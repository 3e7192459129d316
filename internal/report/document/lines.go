package document

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/conchlock/conch/internal/report/drawing"
)

// run is text of one look, placed.
type run struct {
	x, y float64 // of its first sign, on the baseline
	wide float64
	size float64
	face face
	ink  drawing.RGB
	text string
	link string
}

// line is one line of text, from x = 0, with its baseline at y = 0.
type line struct {
	runs []run
	wide float64
}

// style is how text is set where its spans say nothing else.
type style struct {
	size    float64
	leading float64 // from baseline to baseline
	ink     drawing.RGB
	bold    bool
	italic  bool
}

// piece is a part of a text that has one look and within which no line ends,
// unless a line has room for nothing else.
type piece struct {
	span  int // which span it is of
	text  string
	wide  float64
	space bool // a space stands before it
	open  bool // a line may end before it, though there is no space
	ends  bool // a line ends before it
}

// breaker breaks text into lines.
type breaker struct {
	fonts  *fonts
	style  style
	spans  Text
	number func(link string) string // what is added to a span that names a page; may be nil
}

// face returns the font of a span, in this style.
func (b *breaker) face(span int) face {
	s := b.spans[span]
	s.Bold, s.Italic = s.Bold || b.style.bold, s.Italic || b.style.italic
	return faceOf(s)
}

// monoScale makes the font of one width look as large as the others.
const monoScale = 0.92

// size returns the size of a span's type.
func (b *breaker) size(span int) float64 {
	if b.spans[span].Mono {
		return b.style.size * monoScale
	}
	return b.style.size
}

// wide returns how wide a part of a span is.
func (b *breaker) wide(span int, text string) float64 {
	return b.fonts.width(b.face(span), b.size(span), text)
}

// pieces cuts the text at spaces and where else lines may end.
func (b *breaker) pieces() []piece {
	var cut []piece
	space, ends := false, false
	for i := range b.spans {
		text := b.spans[i].Text
		if b.spans[i].Page && b.number != nil {
			text += b.number(b.spans[i].Link)
		}
		for text != "" {
			word := text
			if at := strings.IndexAny(text, " \t\n\r"); at >= 0 {
				word = text[:at]
			}
			for first := true; word != ""; first = false {
				n := stretch(word, b.spans[i].Mono)
				clean := b.fonts.clean(b.face(i), word[:n])
				cut = append(cut, piece{
					span: i, text: clean, wide: b.wide(i, clean),
					space: space, ends: ends, open: !first,
				})
				space, ends = false, false
				text, word = text[n:], word[n:]
			}
			if text != "" {
				space, ends = true, ends || text[0] == '\n'
				text = text[1:]
			}
		}
	}
	return cut
}

// stretch returns how many bytes of a word go before the first place where a
// line may end: after a slash, a hyphen or a dash that stands between letters. In
// code a hyphen belongs to a name.
func stretch(word string, code bool) int {
	before := rune(0)
	for i, r := range word {
		n := utf8.RuneLen(r)
		if r == '/' || !code && (r == '-' || r == '–' || r == '—') {
			after, _ := utf8.DecodeRuneInString(word[i+n:])
			if (unicode.IsLetter(before) || unicode.IsDigit(before)) && unicode.IsLetter(after) {
				return i + n
			}
		}
		before = r
	}
	return len(word)
}

// lines breaks the text into lines that are at most as wide as given. Only a
// line of a single sign may be wider.
func (b *breaker) lines(wide float64) []line {
	return b.fill(b.pieces(), wide)
}

// fill puts as much on each line as it can hold.
func (b *breaker) fill(cut []piece, wide float64) []line {
	f := filler{breaker: b, room: wide}
	for len(cut) > 0 {
		n := 1 // the pieces of a word
		for n < len(cut) && !cut[n].space && !cut[n].open && !cut[n].ends {
			n++
		}
		f.word(cut[:n])
		cut = cut[n:]
	}
	if len(f.now.runs) > 0 {
		f.end()
	}
	return f.done
}

// filler is at work on a line.
type filler struct {
	*breaker
	room float64
	now  line
	done []line
	last int // the span of the last run
}

func (f *filler) end() {
	f.done = append(f.done, f.now)
	f.now = line{}
}

// word puts a word on the line, or on the next.
func (f *filler) word(word []piece) {
	wide := 0.0
	for _, p := range word {
		wide += p.wide
	}
	if word[0].ends && (len(f.now.runs) > 0 || len(f.done) > 0) {
		f.end()
	}
	gap := 0.0
	if word[0].space && len(f.now.runs) > 0 {
		gap = f.space(word[0].span)
	}
	if len(f.now.runs) > 0 && f.now.wide+gap+wide > f.room+slack {
		f.end()
		gap = 0
	}
	for i, p := range word {
		if i == 0 && gap > 0 {
			f.gap(p.span, gap)
		}
		f.place(p)
	}
}

// slack is for sums of lengths that come out a little larger than they are.
const slack = 1e-6

// space is how wide the space before a span's word is. That between two spans is
// of the font around them.
func (f *filler) space(span int) float64 {
	if f.last == span {
		return f.wide(span, " ")
	}
	return f.fonts.width(regular, f.style.size, " ")
}

// gap adds a space, to the last run if it is of the same span.
func (f *filler) gap(span int, wide float64) {
	last := &f.now.runs[len(f.now.runs)-1]
	if f.last == span {
		last.text += " "
		last.wide += wide
	}
	f.now.wide += wide
}

// place puts a piece at the end of the line. What is wider than a whole line is
// broken wherever the line is full.
func (f *filler) place(p piece) {
	for f.now.wide+p.wide > f.room+slack && p.text != "" {
		n, wide := f.fits(p, f.room-f.now.wide)
		if n == 0 && len(f.now.runs) > 0 {
			f.end()
			continue
		}
		if n == 0 {
			_, n = utf8.DecodeRuneInString(p.text)
			wide = f.wide(p.span, p.text[:n])
		}
		f.put(piece{span: p.span, text: p.text[:n], wide: wide})
		p.text, p.wide = p.text[n:], p.wide-wide
		if p.text != "" {
			f.end()
		}
	}
	if p.text != "" {
		f.put(p)
	}
}

// fits returns how many bytes of a piece fit, and how wide these are. It likes
// to end after a sign that parts words.
func (f *filler) fits(p piece, room float64) (n int, wide float64) {
	fc, sum := f.face(p.span), 0.0
	good, goodWide := 0, 0.0
	for i, r := range p.text {
		w := float64(f.fonts.advance(fc, r)) * f.size(p.span) / 1000
		if sum+w > room+slack {
			if goodWide > 0.6*room {
				return good, goodWide
			}
			return i, sum
		}
		sum += w
		if strings.ContainsRune("/-.,:;_=&?", r) {
			good, goodWide = i+utf8.RuneLen(r), sum
		}
	}
	return len(p.text), sum
}

// put adds a piece to the last run, or begins a new one.
func (f *filler) put(p piece) {
	if n := len(f.now.runs); n > 0 && f.last == p.span {
		f.now.runs[n-1].text += p.text
		f.now.runs[n-1].wide += p.wide
	} else {
		s := f.spans[p.span]
		r := run{x: f.now.wide, wide: p.wide, size: f.size(p.span), face: f.face(p.span), ink: f.style.ink, text: p.text, link: s.Link}
		if s.Link != "" {
			r.ink = drawing.Light.Message
		}
		f.now.runs = append(f.now.runs, r)
	}
	f.now.wide += p.wide
	f.last = p.span
}

// widest returns how wide the text is if no line is broken, and how wide its
// widest part is that should not be broken.
func (b *breaker) widest() (whole, part float64) {
	space := b.fonts.width(regular, b.style.size, " ")
	line, word := 0.0, 0.0
	for _, p := range b.pieces() {
		if p.ends {
			line = 0
		} else if p.space && line > 0 {
			line += max(space, b.wide(p.span, " "))
		}
		if p.space || p.open || p.ends {
			word = 0
		}
		line, word = line+p.wide, word+p.wide
		whole, part = max(whole, line), max(part, word)
	}
	return whole, part
}

// shorten cuts a text until it fits, and says so with an ellipsis.
func (f *fonts) shorten(fc face, size, wide float64, text string) string {
	text = f.clean(fc, strings.Join(strings.Fields(text), " "))
	if f.width(fc, size, text) <= wide {
		return text
	}
	room := (wide - f.width(fc, size, "…")) * 1000 / size
	for i, r := range text {
		if room -= float64(f.advance(fc, r)); room < 0 {
			return strings.TrimRight(text[:i], " ") + "…"
		}
	}
	return text
}
