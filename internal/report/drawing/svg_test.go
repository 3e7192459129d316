package drawing

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// sample has every kind of shape in every way.
func sample() *Drawing {
	d := &Drawing{Title: "Everything", Description: "Every kind of shape.", Width: 200, Height: 100}
	d.Add(
		Line{Points: []Point{{10, 10}, {90, 30}}, Width: 1, Ink: Message, Arrow: true, Tip: "an arrow"},
		Line{Points: []Point{{10, 20}, {50, 20}, {60.005, 40.126}}, Width: 0.5, Ink: Grid, Dash: Dotted},
		Line{Points: []Point{{5, 5}}, Width: 1, Ink: Grid},
		Line{Points: []Point{{5, 5}, {5, 5}}, Width: 1, Ink: Grid, Arrow: true, Dash: DashDot},
		Box{X: 100, Y: 10, Width: 20, Height: 10, Round: 2, Fill: Waiting, Outline: Waiting, Hatched: true, Tip: "waits"},
		Box{X: 130, Y: 10, Width: 20, Height: 10, Fill: Holding},
		Box{X: 130, Y: 30, Width: 20, Height: 10, Outline: Ink2},
		Area{Points: []Point{{150, 50}, {160, 60}, {150, 60}}, Fill: Series(2), Tip: "an area"},
		Text{X: 10, Y: 80, Size: 9, Ink: Ink1, Text: "start", Bold: true},
		Text{X: 90, Y: 80, Size: 9, Ink: Ink2, Anchor: Middle, Halo: true, Turn: -12.5, Text: "middle"},
		Text{X: math.NaN(), Y: math.Inf(1), Size: 9, Ink: Broken, Anchor: End, Text: "nowhere"},
	)
	return d
}

func svgOf(t *testing.T, d *Drawing) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.SVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSVG(t *testing.T) {
	got := svgOf(t, sample())
	const path = "testdata/everything.svg"
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again := svgOf(t, sample()); again != got {
		t.Error("the same picture gives other bytes")
	}
}

// element is what a reader of XML finds.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

// elements reads XML strictly.
func elements(t *testing.T, text string) []*element {
	t.Helper()
	var all, open []*element
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := &element{name: x.Name.Local, attrs: map[string]string{}}
			for _, a := range x.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			all, open = append(all, e), append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(x)
			}
		}
	}
}

// TestSVGIsAccessible wants a picture that says what it is to who cannot see it.
func TestSVGIsAccessible(t *testing.T) {
	all := elements(t, svgOf(t, sample()))
	svg := all[0]
	if svg.name != "svg" || svg.attrs["role"] != "img" {
		t.Fatalf("the root is %v", svg)
	}
	for i, want := range []string{"Everything", "Every kind of shape."} {
		id := strings.Fields(svg.attrs["aria-labelledby"])[i]
		found := false
		for _, e := range all {
			found = found || e.attrs["id"] == id && e.text == want
		}
		if !found {
			t.Errorf("nothing with id %q says %q", id, want)
		}
	}
}

// TestSVGEscapes writes what is no XML, no UTF-8, or turns the text around, in
// every place for text.
func TestSVGEscapes(t *testing.T) {
	const evil = "<b> & \"q\" 'a' \x00\x07\x1b\x7f \xff\xc3 \u202e\u2066\u200f \ufffe ]]> --> 🔒 \u0085"
	const good = "<b> & \"q\" 'a' ���� �� ��� � ]]> --> 🔒 �"
	d := &Drawing{Title: evil, Description: evil, Width: 10, Height: 10}
	d.Add(
		Line{Points: []Point{{1, 1}, {2, 2}}, Ink: Ink1, Tip: evil},
		Box{Width: 1, Height: 1, Fill: Ink1, Tip: evil},
		Area{Points: []Point{{1, 1}, {2, 2}, {1, 2}}, Fill: Ink1, Tip: evil},
		Text{Size: 9, Ink: Ink1, Text: evil},
	)
	text := svgOf(t, d)
	if !utf8.ValidString(text) {
		t.Error("it is no UTF-8")
	}
	n := 0
	for _, e := range elements(t, text) {
		if e.name == "title" || e.name == "desc" || e.name == "text" {
			n++
			if e.text != good {
				t.Errorf("%s says %q, want %q", e.name, e.text, good)
			}
		}
	}
	if n != 6 {
		t.Errorf("%d texts, want 6", n)
	}
}

func TestPatch(t *testing.T) {
	text := Text{X: 100, Y: 50, Size: 10, Text: "abcde"} // 30 wide
	for _, c := range []struct {
		anchor Anchor
		turn   float64
		want   [2]Point // the corners before and after the baseline's end
	}{
		{Start, 0, [2]Point{{100, 42.2}, {130, 52.2}}},
		{Middle, 0, [2]Point{{85, 42.2}, {115, 52.2}}},
		{End, 0, [2]Point{{70, 42.2}, {100, 52.2}}},
		{Start, 90, [2]Point{{107.8, 50}, {97.8, 80}}},
	} {
		text.Anchor, text.Turn = c.anchor, c.turn
		p := text.Patch()
		for i, got := range []Point{p[0], p[2]} {
			if math.Hypot(got.X-c.want[i].X, got.Y-c.want[i].Y) > 1e-9 {
				t.Errorf("anchor %d, turn %v: corner %v, want %v", c.anchor, c.turn, got, c.want[i])
			}
		}
	}
}

func TestHead(t *testing.T) {
	l := Line{Points: []Point{{0, 0}, {100, 0}}, Width: 1, Arrow: true}
	head, end, ok := l.Head()
	if !ok || head[0] != (Point{100, 0}) || end.X >= 100 || end.X <= head[1].X || head[1].Y != -head[2].Y {
		t.Errorf("head %v, the line ends at %v", head, end)
	}
	l.Points[1] = l.Points[0]
	if _, _, ok := l.Head(); ok {
		t.Error("an arrow without a length has a head")
	}
}

func TestEscape(t *testing.T) {
	const text = "<a b='c' d=\"e\">&\x00\u0085\u202e\ufffe\xff\t\n🐚"
	const want = "&lt;a b='c' d=&quot;e&quot;&gt;&amp;\ufffd\ufffd\ufffd\ufffd\ufffd\t\n🐚"
	if got := Escape(text); got != want {
		t.Errorf("got %q", got)
	}
}
