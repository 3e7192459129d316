package document

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"

	"github.com/conchlock/conch/internal/report/drawing"
)

func testFonts(t *testing.T) *fonts {
	t.Helper()
	f, err := newFonts()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFontsMeasureAsThePDF compares widths with those that are written, and
// heights with those that the layout assumes.
func TestFontsMeasureAsThePDF(t *testing.T) {
	f := testFonts(t)
	pdf := fpdf.New("P", "pt", "A4", "")
	for fc := range face(faces) {
		pdf.AddUTF8FontFromBytes(fc.family(), "", fc.data())
		pdf.SetFont(fc.family(), "", 10)
		for r := rune(' '); r < 0x2300; r++ {
			if w := f.advance(fc, r); w > 0 && int(w) != pdf.GetStringSymbolWidth(string(r)) {
				t.Errorf("font %d: %q is %d wide, the PDF says %d", fc, r, w, pdf.GetStringSymbolWidth(string(r)))
			}
			if w := f.advance(fc, r); fc >= mono && w > 0 && float64(w) != drawing.TextWidth("m", 1000) {
				t.Errorf("font %d: %q is %d wide, pictures say %v", fc, r, w, drawing.TextWidth("m", 1000))
			}
		}
		m, err := f.parsed[fc].Metrics(&f.buffer, fixed.I(1000), font.HintingNone)
		if err != nil {
			t.Fatal(err)
		}
		if up, down := float64(m.Ascent)/64e3, float64(m.Descent)/64e3; up > ascent || up < ascent-0.002 || down > descent || down < descent-0.002 {
			t.Errorf("font %d: %.4f over the baseline and %.4f below, the layout says %v and %v", fc, up, down, ascent, descent)
		}
	}
}

func TestClean(t *testing.T) {
	f := testFonts(t)
	for text, want := range map[string]string{
		"plain – “text” → é λ Ж √":     "plain – “text” → é λ Ж √",
		"🐚":                            `\U0001f41a`,
		"中x":                           `\u4e2dx`,
		"\xff\xc3":                     `\xff\xc3`,
		"\ufffd":                       "\ufffd",
		"a\x00\x1b[0m\u0085":           `a\x00\x1b[0m\u0085`,
		"\u202eevil\u2066\u200f\ufeff": `\u202eevil\u2066\u200f\ufeff`,
		"soft\u00adhyphen\u200b":       `soft\u00adhyphen\u200b`,
		"e\u0301":                      `e\u0301`,
		"no\u00a0break":                "no\u00a0break",
		"\U0010ffff\uffff":             `\U0010ffff\uffff`,
	} {
		for fc := range face(faces) {
			if got := f.clean(fc, text); got != want {
				t.Errorf("font %d: %+q becomes %+q, want %+q", fc, text, got, want)
			}
		}
	}
	if got := f.replace(mono, "a🐚中\xffb"); got != "a\ufffd\ufffd\ufffdb" {
		t.Errorf("got %q", got)
	}
}

// someText is random text: words of any length, in any look.
func someText(rnd *rand.Rand) Text {
	var t Text
	for range rnd.IntN(6) {
		var b strings.Builder
		for range rnd.IntN(12) {
			if rnd.IntN(3) > 0 {
				b.WriteString([]string{" ", "  ", "\n", "\t"}[min(rnd.IntN(12), 3)])
			}
			word := worst[rnd.IntN(len(worst))]
			if n := rnd.IntN(40); n < len(word) {
				word = word[:n] // within a sign, sometimes
			}
			b.WriteString(word)
		}
		t = append(t, Span{Text: b.String(), Bold: rnd.IntN(3) == 0, Italic: rnd.IntN(3) == 0, Mono: rnd.IntN(3) == 0})
	}
	return t
}

// TestLines breaks random texts: nothing gets lost, no line is too wide, and
// none ends before it has to.
func TestLines(t *testing.T) {
	f := testFonts(t)
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		text, wide := someText(rnd), 20+rnd.Float64()*400
		b := &breaker{fonts: f, style: bodyStyle, spans: text}
		var want, got strings.Builder
		for i, s := range text {
			for _, word := range strings.Fields(strings.ReplaceAll(s.Text, "\u00a0", "\x01")) {
				want.WriteString(f.clean(b.face(i), strings.ReplaceAll(word, "\x01", "\u00a0")))
			}
		}
		for _, l := range b.lines(wide) {
			if len(l.runs) == 0 {
				t.Fatalf("seed %d: an empty line", seed)
			}
			end := 0.0
			for _, r := range l.runs {
				if r.x < end-slack {
					t.Fatalf("seed %d: %q overlaps what is before it", seed, r.text)
				}
				if w := f.width(r.face, r.size, r.text); w > r.wide+1e-6 || w < r.wide-1e-6 {
					t.Fatalf("seed %d: %q is %.3f wide, not %.3f", seed, r.text, w, r.wide)
				}
				end = r.x + r.wide
				got.WriteString(strings.ReplaceAll(r.text, " ", ""))
			}
			if end > wide+slack {
				t.Fatalf("seed %d: a line is %.2f wide, of %.2f", seed, end, wide)
			}
		}
		if got.String() != want.String() {
			t.Fatalf("seed %d: got\n%q\nwant\n%q", seed, got.String(), want.String())
		}
		whole, part := b.widest()
		if n := len(b.lines(whole + slack)); n > 1+strings.Count(plain(text), "\n") {
			t.Fatalf("seed %d: %d lines in the width of the whole", seed, n)
		}
		if part > whole {
			t.Fatalf("seed %d: a part is wider than the whole", seed)
		}
	}
}

func TestLinesEndWhereTheyShould(t *testing.T) {
	f := testFonts(t)
	for _, c := range []struct {
		text string
		wide float64
		want []string
	}{
		{"one two three", 45, []string{"one two", "three"}},
		{"one\ntwo", 400, []string{"one", "two"}},
		{"see ricart-agrawala there", 70, []string{"see ricart-", "agrawala there"}},
		{"see algo/ricartagrawala", 75, []string{"see algo/", "ricartagrawala"}},
		{"see the `ricart-agrawala` there", 90, []string{"see the", "ricart-agrawala", "there"}},
		{"run --peers 3", 40, []string{"run", "--peers", "3"}},
		{"p.\u00a012 is far", 30, []string{"p.\u00a012", "is far"}},
		{"", 10, nil},
		{" \n ", 10, nil},
		{"W", 1, []string{"W"}}, // wider than a line can be
		{"WW", 1, []string{"W", "W"}},
	} {
		var got []string
		var spans Text
		for i, text := range strings.Split(c.text, "`") {
			spans = append(spans, Span{Text: text, Mono: i%2 == 1})
		}
		for _, l := range (&breaker{fonts: f, style: bodyStyle, spans: spans}).lines(c.wide) {
			line := ""
			for _, r := range l.runs {
				line += r.text
			}
			got = append(got, line)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

// TestChunks cuts lines of logs and code: nothing gets lost or is too long.
func TestChunks(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		text, columns := plain(someText(rnd)), 8+rnd.IntN(100)
		parts := chunks(text, columns, 2)
		if strings.Join(parts, "") != text || utf8.RuneCountInString(text) <= columns && len(parts) > 1 {
			t.Fatalf("seed %d: %q became %q", seed, text, parts)
		}
		for i, p := range parts {
			room := columns
			if i > 0 {
				room -= 2
			}
			if n := utf8.RuneCountInString(p); n > room || n == 0 && len(parts) > 1 {
				t.Fatalf("seed %d: %q has %d signs, of %d", seed, p, n, room)
			}
		}
	}
	if got := expand("a\tb\tc\té\tx"); got != "a   b   c   é   x" {
		t.Errorf("got %q", got)
	}
}

func TestShorten(t *testing.T) {
	f := testFonts(t)
	for _, text := range append(worst, "", "short", prose) {
		for _, wide := range []float64{10, 50, 200} {
			got := f.shorten(regular, 8, wide, text)
			clean := f.clean(regular, strings.Join(strings.Fields(text), " "))
			cut, isCut := strings.CutSuffix(got, "…")
			if w := f.width(regular, 8, got); w > wide || !strings.HasPrefix(clean, cut) || !isCut && got != clean {
				t.Errorf("%q in %v: %q is %.2f wide", text, wide, got, w)
			}
		}
	}
}
