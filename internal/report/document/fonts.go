package document

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// face is one of the fonts.
type face uint8

const (
	regular face = iota
	bold
	italic
	boldItalic
	mono
	monoBold
	faces = iota
)

// faceOf returns the font of a span.
func faceOf(s Span) face {
	switch {
	case s.Mono && s.Bold:
		return monoBold
	case s.Mono:
		return mono
	case s.Bold && s.Italic:
		return boldItalic
	case s.Bold:
		return bold
	case s.Italic:
		return italic
	}
	return regular
}

// data returns the font's file.
func (f face) data() []byte {
	return [faces][]byte{goregular.TTF, gobold.TTF, goitalic.TTF, gobolditalic.TTF, gomono.TTF, gomonobold.TTF}[f]
}

// The fonts' heights over and below the baseline, as shares of their size. They
// are the same for all faces; a test measures them.
const (
	ascent  = 0.945
	descent = 0.211
)

// fonts measures text. It is not safe for concurrent use.
type fonts struct {
	parsed [faces]*sfnt.Font
	low    [faces][0x180]int16 // widths, or -1 for no glyph, or 0 for not asked yet
	high   map[glyph]int16
	buffer sfnt.Buffer
}

type glyph struct {
	face face
	rune rune
}

func newFonts() (*fonts, error) {
	f := &fonts{high: map[glyph]int16{}}
	for i := range f.parsed {
		parsed, err := sfnt.Parse(face(i).data())
		if err != nil {
			return nil, fmt.Errorf("document: font %d: %w", i, err)
		}
		f.parsed[i] = parsed
	}
	return f, nil
}

// advance returns the width of a rune, in thousandths of the font's size, which
// is as exact as a PDF has it; negative if the font does not have the rune.
func (f *fonts) advance(fc face, r rune) int16 {
	if r >= 0 && int(r) < len(f.low[fc]) {
		if f.low[fc][r] == 0 {
			f.low[fc][r] = f.lookup(fc, r)
		}
		return f.low[fc][r]
	}
	w, ok := f.high[glyph{fc, r}]
	if !ok {
		w = f.lookup(fc, r)
		f.high[glyph{fc, r}] = w
	}
	return w
}

// lookup asks the font. Runes that cannot be seen, and those that change the
// direction of others, count as missing even if there is a glyph for them; so do
// those that the library for PDF cannot write.
func (f *fonts) lookup(fc face, r rune) int16 {
	if r > 0xffff || !unicode.IsPrint(r) && r != '\u00a0' {
		return -1
	}
	index, err := f.parsed[fc].GlyphIndex(&f.buffer, r)
	if err != nil || index == 0 {
		return -1
	}
	units := f.parsed[fc].UnitsPerEm()
	w, err := f.parsed[fc].GlyphAdvance(&f.buffer, index, fixed.I(int(units)), font.HintingNone)
	if err != nil || w <= 0 {
		return -1
	}
	return int16(math.Round(float64(w) / 64 * 1000 / float64(units)))
}

// width returns how wide a text is that has been cleaned.
func (f *fonts) width(fc face, size float64, text string) float64 {
	sum := 0
	for _, r := range text {
		sum += int(f.advance(fc, r))
	}
	return float64(sum) * size / 1000
}

// clean writes what the font lacks as Go would, like \u4e2d or \xff.
func (f *fonts) clean(fc face, text string) string {
	if f.has(fc, text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && strings.HasPrefix(text[i:], "\uFFFD"), r != utf8.RuneError && f.advance(fc, r) > 0:
			b.WriteRune(r)
		case r == utf8.RuneError:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// has says that the font has every rune of a text.
func (f *fonts) has(fc face, text string) bool {
	for _, r := range text {
		if r == utf8.RuneError || f.advance(fc, r) < 0 {
			return false
		}
	}
	return true
}

// replace puts one sign for each that the font lacks: where a text must not
// become longer.
func (f *fonts) replace(fc face, text string) string {
	if f.has(fc, text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if f.advance(fc, r) < 0 {
			return utf8.RuneError
		}
		return r
	}, text)
}
