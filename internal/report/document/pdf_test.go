package document

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/internal/report/drawing"
)

// TestSameBytes writes each document twice.
func TestSameBytes(t *testing.T) {
	for name, build := range documents {
		var first, second, third, fourth bytes.Buffer
		for err := range maps.Keys(map[error]bool{build().PDF(&first): true, build().PDF(&second): true, build().HTML(&third): true, build().HTML(&fourth): true}) {
			if err != nil {
				t.Error(name, err)
			}
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two PDFs differ", name)
		}
		if !bytes.Equal(third.Bytes(), fourth.Bytes()) {
			t.Errorf("%s: two HTML pages differ", name)
		}
	}
}

func TestProperties(t *testing.T) {
	var b bytes.Buffer
	if err := small().PDF(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/Lang (en)", "/CreationDate (D:20261124003000)", "/ModDate (D:20261124003000)", "/Outlines ", "/URI (https://example.org/conch?a=1&b=2)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the PDF has no %s", want)
		}
	}
	b.Reset()
	if err := (&Document{}).PDF(&b); err != nil || !strings.Contains(b.String(), "(D:19700101000000)") {
		t.Errorf("a document without a date has another one, error %v", err)
	}
}

// TestReferences compares the pages that a text names with those where the
// things are, with random documents whose page numbers have more digits, and
// move things, as they become known.
func TestReferences(t *testing.T) {
	named := regexp.MustCompile(`([a-z0-9-]+) \(p\.\x{a0}(\d+)\)`)
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		d := &Document{Blocks: []Block{Contents{}}}
		count := 20 + rnd.IntN(300)
		for i := range count {
			var text Text
			for range rnd.IntN(30) {
				id := fmt.Sprint("id-", rnd.IntN(count))
				text = append(text, Span{Text: "see "}, Span{Text: id, Link: "#" + id, Page: true}, Span{Text: ", "})
			}
			d.Blocks = append(d.Blocks, Heading{Level: 1 + rnd.IntN(4), Text: Words(fmt.Sprint("heading ", i)), ID: fmt.Sprint("id-", i)}, Paragraph{Text: text})
		}
		s := laidOut(t, d)
		seen := 0
		for i, p := range s.pages {
			var text strings.Builder
			for _, r := range p.runs {
				text.WriteString(r.text)
				if !strings.HasSuffix(r.text, " ") {
					text.WriteString(" ")
				}
			}
			for _, m := range named.FindAllStringSubmatch(text.String(), -1) {
				seen++
				if want := fmt.Sprintf("%0*d", len(m[2]), s.places[m[1]].page); m[2] != want {
					t.Fatalf("seed %d: page %d says that %s is on page %s, it is on %s", seed, i+1, m[1], m[2], want)
				}
			}
		}
		if seen == 0 {
			t.Fatalf("seed %d: no reference was found", seed)
		}
		for k, e := range d.headings() {
			if place := s.places[e.mark]; place != s.places[e.ID] && s.linked[e.ID] || place.page == 0 {
				t.Fatalf("seed %d: heading %d is at %v and at %v", seed, k, place, s.places[e.ID])
			}
		}
	}
}

func TestWrongNames(t *testing.T) {
	link := Paragraph{Text: Text{{Text: "x", Link: "#nowhere"}}}
	for _, c := range []struct {
		want   string
		blocks []Block
	}{
		{`names the ID "nowhere"`, []Block{link}},
		{`names the ID "nowhere"`, []Block{List{Items: [][]Block{{link}}}}},
		{`names the ID "log_2"`, []Block{Log{ID: "log", Lines: []LogLine{{Number: 1}}}, Table{Rows: [][]Text{{{{Link: "#log_2"}}}}}}},
		{`the ID "a" is used twice`, []Block{Heading{ID: "a"}, Figure{ID: "a"}}},
		{`the ID "l_1" is used twice`, []Block{Log{ID: "l", Lines: []LogLine{{Number: 1}, {Number: 1}}}}},
		{`the ID "_h1" has a space or begins`, []Block{Heading{ID: "_h1"}}},
		{`the ID "a b" has a space`, []Block{Table{ID: "a b"}}},
		{`the link "javascript:x" is no`, []Block{Paragraph{Text: Text{{Link: "javascript:x"}}}}},
		{`the link "a.md" is no`, []Block{Figure{Caption: Text{{Link: "a.md"}}}}},
		{`a block of type <nil>`, []Block{nil}},
	} {
		d := &Document{Blocks: c.blocks}
		for kind, err := range map[string]error{"PDF": d.PDF(&bytes.Buffer{}), "HTML": d.HTML(&bytes.Buffer{})} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: want %s, got %v", kind, c.want, err)
			}
		}
	}
}

// full is a disk that is.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestErrorsOfTheWriter(t *testing.T) {
	for kind, err := range map[string]error{"PDF": small().PDF(full{}), "HTML": small().HTML(full{})} {
		if err == nil || err.Error() != "no space" {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

// TestStrangePictures has shapes without a place or a size.
func TestStrangePictures(t *testing.T) {
	zero := 0.0
	nan, inf := zero/zero, 1/zero
	p := func(x, y float64) drawing.Point { return drawing.Point{X: x, Y: y} }
	d := &drawing.Drawing{Width: 100, Height: 100}
	d.Add(
		drawing.Line{}, drawing.Line{Points: []drawing.Point{p(nan, 1), p(2, inf)}, Arrow: true}, drawing.Line{Points: []drawing.Point{p(1, 1), p(1, 1)}, Arrow: true, Width: nan, Ink: drawing.Ink1},
		drawing.Box{}, drawing.Box{Width: inf, Height: 2, Fill: drawing.Ink1}, drawing.Box{Width: 5, Height: 5, Round: 100, Hatched: true, Fill: drawing.Ink1},
		drawing.Box{X: 1, Y: 1, Width: 1e9, Height: 1e9, Hatched: true, Fill: drawing.Ink1}, drawing.Box{Width: -5, Height: 5, Fill: drawing.Ink1},
		drawing.Area{}, drawing.Area{Points: []drawing.Point{p(1, nan), p(1, 1), p(2, 2)}, Fill: drawing.Ink1},
		drawing.Text{}, drawing.Text{Size: inf, Text: "x"}, drawing.Text{Size: 5, Turn: nan, Text: "x", Halo: true}, drawing.Text{Size: 5, Text: "\xff🐚", Ink: drawing.Ink1},
	)
	var b bytes.Buffer
	doc := &Document{Blocks: []Block{Figure{Drawing: d}}}
	for _, size := range [][2]float64{{nan, 1}, {1, inf}, {-1, 1}, {0, 1}, {1, 0}, {1e300, 1}} {
		doc.Blocks = append(doc.Blocks, Figure{Drawing: &drawing.Drawing{Width: size[0], Height: size[1]}})
	}
	if s := laidOut(t, doc); len(s.pages) != 2 || len(s.pages[1].pictures) != 1 {
		t.Error("a picture without a size is set")
	}
	if err := doc.PDF(&b); err != nil {
		t.Error(err)
	}
	pages := streams(t, b.String())
	if !strings.Contains(pages, " Tf") {
		t.Fatal("there is no text in the PDF")
	}
	for _, wrong := range []string{"NaN", "Inf"} {
		if strings.Contains(pages, wrong) {
			t.Errorf("the PDF has a number %s", wrong)
		}
	}
}

// streams returns what is packed in a PDF: pages, above all.
func streams(t *testing.T, pdf string) string {
	t.Helper()
	var out strings.Builder
	for _, part := range strings.Split(pdf, "\nstream\n")[1:] {
		packed, err := zlib.NewReader(strings.NewReader(part))
		if err != nil {
			continue // not packed
		}
		if _, err := io.Copy(&out, packed); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// TestOutline has headings whose levels jump.
func TestOutline(t *testing.T) {
	var o outline
	var got []string
	for _, level := range []int{3, 1, 4, 2, 4, 4, 1, 2, 3, 4, 3, 1} {
		got = append(got, strconv.Itoa(o.of(level)))
	}
	if s := strings.Join(got, ""); s != "001122012320" {
		t.Errorf("got %s", s)
	}
}

// TestLongLog sets 12,000 lines. The bounds are wide; what it takes is logged.
func TestLongLog(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	var b bytes.Buffer
	if err := long(12000).PDF(&b); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	t.Logf("%v, %d MB allocated, %d kB of PDF", time.Since(start), (after.TotalAlloc-before.TotalAlloc)>>20, b.Len()>>10)
	if after.TotalAlloc-before.TotalAlloc > 1<<30 {
		t.Error("that is too much")
	}
}
