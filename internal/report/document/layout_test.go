package document

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// wrong lists what is outside of the margins, and what overlaps.
func wrong(s *setter) []string {
	var found []string
	for i, p := range s.pages {
		if len(p.runs)+len(p.boxes)+len(p.pictures) == 0 && len(s.pages) > 1 {
			found = append(found, fmt.Sprintf("page %d is empty", i+1))
		}
		outside := func(what string, x, y, wide, high float64) {
			if x < marginSide-slack || x+wide > pageWidth-marginSide+1e-3 || y < bodyTop-1 || y+high > bodyBottom+1 {
				found = append(found, fmt.Sprintf("page %d: %s at %.2f, %.2f, %.2f wide, %.2f high is outside", i+1, what, x, y, wide, high))
			}
		}
		for _, b := range p.boxes {
			outside("a box", b.x, b.y, b.wide, b.high)
		}
		for _, pic := range p.pictures {
			outside("a picture", pic.x, pic.y, pic.drawing.Width*pic.scale, pic.drawing.Height*pic.scale)
		}
		runs := slices.Clone(p.runs)
		slices.SortStableFunc(runs, func(a, b run) int { return int(1000 * (a.y - b.y)) })
		for k, r := range runs {
			if w := s.fonts.width(r.face, r.size, r.text); !near(w, r.wide) {
				found = append(found, fmt.Sprintf("page %d: %.40q is %.2f wide, not %.2f", i+1, r.text, w, r.wide))
			}
			outside(fmt.Sprintf("%.40q", r.text), r.x, r.y-0.72*r.size, r.wide, 0.9*r.size)
			for _, q := range runs[k+1:] {
				if q.y-0.72*q.size > r.y+0.18*r.size {
					if q.y > r.y+40 {
						break
					}
					continue
				}
				if q.x < r.x+r.wide-1e-3 && r.x < q.x+q.wide-1e-3 {
					found = append(found, fmt.Sprintf("page %d: %.40q and %.40q overlap", i+1, r.text, q.text))
				}
			}
		}
	}
	return found
}

func laidOut(t *testing.T, d *Document) *setter {
	t.Helper()
	linked, err := d.check()
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.set(linked)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNothingIsOutside looks at every box and every piece of text.
func TestNothingIsOutside(t *testing.T) {
	for name, build := range documents {
		found := wrong(laidOut(t, build()))
		for _, f := range found[:min(len(found), 10)] {
			t.Error(name, f)
		}
	}
}

// TestWhatStaysTogether wants that no page ends with a heading or between a
// figure and its caption, and that no paragraph leaves a line alone.
func TestWhatStaysTogether(t *testing.T) {
	for fill := range 180 {
		d := &Document{Blocks: []Block{Heading{Level: 1, Text: Words("begin")}, Paragraph{Text: Words(strings.Repeat("fill\n", fill/3))}}}
		for range fill % 3 {
			d.Blocks = append(d.Blocks, Paragraph{Text: Words("fill"), Kind: Remark})
		}
		three := Paragraph{Text: Words("first\nsecond\nthird\nfourth")}
		d.Blocks = append(d.Blocks, Heading{Level: 2, Text: Words("heading 2")}, Heading{Level: 3, Text: Words("heading 3")}, three, three,
			Paragraph{Text: Words("introduced:")}, List{Items: [][]Block{{Paragraph{Text: Words("item")}}}},
			Figure{Drawing: picture1(), Caption: Words("caption\nof two lines")}, Paragraph{Text: Words("after")})
		s := laidOut(t, d)
		for i, p := range s.pages {
			if len(p.runs) == 0 || i == 0 {
				continue
			}
			switch last := p.runs[len(p.runs)-1].text; last {
			case "heading 2", "heading 3", "first", "third", "introduced:", "caption", "begin":
				t.Errorf("%d: page %d ends with %q", fill, i+1, last)
			}
			for k, pic := range p.pictures {
				if k != 0 || !slices.ContainsFunc(p.runs, func(r run) bool { return r.text == "of two lines" && r.y > pic.y }) {
					t.Errorf("%d: page %d has a picture without its caption", fill, i+1)
				}
			}
		}
	}
}

// TestIntroductionsStay wants that a heading and its sentence stay with what is
// set off below them, which stays whole, and with the beginning of its table.
func TestIntroductionsStay(t *testing.T) {
	long := Table{Head: []Text{Words("head")}}
	for range 80 {
		long.Rows = append(long.Rows, []Text{Words("row")})
	}
	for fill := range 60 {
		d := &Document{Blocks: []Block{Heading{Level: 1, Text: Words("begin")}, Paragraph{Text: Words(strings.Repeat("fill\n", fill))}}}
		d.Blocks = append(d.Blocks, Heading{Level: 2, Text: Words("heading")}, Paragraph{Text: Words("sentence")}, Paragraph{Text: Words("because\nof\nthis\nand\nthat"), Kind: Key}, long)
		for i, p := range laidOut(t, d).pages {
			if len(p.runs) == 0 {
				continue
			}
			switch last := p.runs[len(p.runs)-1].text; last {
			case "heading", "sentence", "because", "of", "this", "and", "that", "head":
				t.Errorf("%d: page %d ends with %q", fill, i+1, last)
			}
		}
	}
}

// TestPicturesAreSqueezed has pictures that just do not fit onto a page: they
// become smaller, but none becomes too small to be read.
func TestPicturesAreSqueezed(t *testing.T) {
	squeezes := 0
	for fill := range 60 {
		d := &Document{Blocks: []Block{Heading{Level: 1, Text: Words("begin")}, Paragraph{Text: Words(strings.Repeat("fill\n", fill))},
			Figure{Drawing: picture1(), Caption: Words("caption")}, Paragraph{Text: Words("after")}}}
		s := laidOut(t, d)
		for _, f := range wrong(s) {
			t.Errorf("%d: %s", fill, f)
		}
		for _, p := range s.pages {
			for _, pic := range p.pictures {
				whole := min(1, bodyWidth/pic.drawing.Width)
				if pic.scale > whole || pic.scale < squeezed-slack {
					t.Errorf("%d: a picture has %.2f of its size, want %.2f at most, and at least %.2f", fill, pic.scale, whole, squeezed)
				}
				if middle := pic.x + pic.drawing.Width*pic.scale/2; !near(middle, pageWidth/2) {
					t.Errorf("%d: the middle of a picture is at %.2f, not at %.2f", fill, middle, pageWidth/2)
				}
				if pic.scale < whole {
					squeezes++
				}
			}
		}
	}
	if squeezes == 0 {
		t.Error("no picture was made smaller")
	}
}

// TestPagesAreFilled has no page that ends early, unless it has to, and none
// that is empty.
func TestPagesAreFilled(t *testing.T) {
	d := &Document{Title: "t"}
	for range 500 {
		d.Blocks = append(d.Blocks, Paragraph{Text: Words(prose)})
	}
	s := laidOut(t, d)
	for i, p := range s.pages[1 : len(s.pages)-1] {
		if y := p.runs[len(p.runs)-1].y; y < bodyBottom-60 {
			t.Errorf("page %d ends at %.0f of %.0f", i+2, y, bodyBottom)
		}
	}
	d.Blocks = []Block{Break{}, Break{}, Contents{}, Break{}, Heading{Level: 1, Text: Words("a")}, Break{}, Heading{Level: 1, Text: Words("b")}, Break{}}
	d.Blocks = append(d.Blocks, Heading{Level: 1, Text: Words("c")}, Heading{Level: 1, Text: Words("d")})
	if s := laidOut(t, d); len(s.pages) != 6 {
		t.Errorf("%d pages, want a title, the contents, and four", len(s.pages))
	}
	// What no page can hold has one all the same, and no empty one before it.
	f := &flow{places: map[string]place{}}
	f.all([]strip{{high: 2 * pageHeight}, {high: 10}})
	if len(f.pages) != 2 {
		t.Errorf("%d pages, want two", len(f.pages))
	}
}

// TestListNumbers has lists that begin with 1 and later ones.
func TestListNumbers(t *testing.T) {
	items := [][]Block{{Paragraph{Text: Words("a")}}, {Paragraph{Text: Words("b")}}}
	d := &Document{Blocks: []Block{List{Ordered: true, Items: items}, List{Ordered: true, Start: 7, Items: items}, List{Items: items}}}
	got := ""
	for _, r := range laidOut(t, d).pages[1].runs {
		got += r.text + " "
	}
	if got != "1. a 2. b 7. a 8. b • a • b " {
		t.Errorf("got %s", got)
	}
	if page := page1(t, d); !strings.Contains(page, "<ol>\n") || !strings.Contains(page, `<ol start="7">`) {
		t.Error("the page does not say where lists begin")
	}
}

// TestTitle makes the type of a long title smaller, down to a limit.
func TestTitle(t *testing.T) {
	for title, want := range map[string]float64{"Short": 30, prose[:110]: 26, strings.Repeat(prose, 9): 16} {
		s := laidOut(t, &Document{Title: title})
		if got := s.pages[0].runs[0].size; got != want {
			t.Errorf("%.20q is set in %v points, want %v", title, got, want)
		}
	}
}

// TestWrongBites shows that each rule of wrong can fail.
func TestWrongBites(t *testing.T) {
	at := func(x, y float64) run { return run{x: x, y: y, wide: 27.8, size: 10, face: regular, text: "00000"} }
	for _, c := range []struct {
		want string
		page page
	}{
		{"", page{sheet: sheet{runs: []run{at(100, 100), at(130, 100), at(100, 114)}}}},
		{"overlap", page{sheet: sheet{runs: []run{at(100, 100), at(120, 100)}}}},
		{"overlap", page{sheet: sheet{runs: []run{at(100, 100), at(120, 105)}}}},
		{"outside", page{sheet: sheet{runs: []run{at(20, 100)}}}},
		{"outside", page{sheet: sheet{runs: []run{at(pageWidth-marginSide-20, 100)}}}},
		{"outside", page{sheet: sheet{runs: []run{at(100, bodyBottom+5)}}}},
		{"outside", page{sheet: sheet{boxes: []box{{x: 100, y: 10, wide: 5, high: 5}}}}},
		{"is 27.80 wide", page{sheet: sheet{runs: []run{{x: 100, y: 100, wide: 5, size: 10, text: "00000"}}}}},
		{"empty", page{}},
	} {
		s := &setter{fonts: testFonts(t), pages: []page{c.page, {sheet: sheet{runs: []run{at(100, 100)}}}}}
		found := wrong(s)
		if c.want == "" && len(found) > 0 || c.want != "" && (len(found) == 0 || !strings.Contains(found[0], c.want)) {
			t.Errorf("want %q, got %q", c.want, found)
		}
	}
}
