package document

import (
	"fmt"
	"slices"
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
