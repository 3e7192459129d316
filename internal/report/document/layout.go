package document

import (
	"github.com/conchlock/conch/internal/report/drawing"
)

// The page, A4, in points (1/72 inch). Places are counted from its top left corner.
const (
	pageWidth  = 595.28
	pageHeight = 841.89
	marginSide = 57
	bodyTop    = 76 // below the running header
	bodyBottom = pageHeight - 68
	bodyWidth  = pageWidth - 2*marginSide
	bodyHeight = bodyBottom - bodyTop
	headerBase = 46
	footerBase = pageHeight - 36
)

// sheet is what is painted: boxes first, then pictures, then text.
type sheet struct {
	boxes    []box
	pictures []picture
	runs     []run
}

// box is a filled rectangle.
type box struct {
	x, y, wide, high float64
	ink              drawing.RGB
}

// picture is a drawing, with its upper left corner and by how much it is scaled.
type picture struct {
	x, y, scale float64
	drawing     *drawing.Drawing
}

// add puts another sheet onto this one.
func (s *sheet) add(from sheet, dx, dy float64) {
	for _, b := range from.boxes {
		b.x, b.y = b.x+dx, b.y+dy
		s.box(b)
	}
	for _, p := range from.pictures {
		p.x, p.y = p.x+dx, p.y+dy
		s.pictures = append(s.pictures, p)
	}
	for _, r := range from.runs {
		r.x, r.y = r.x+dx, r.y+dy
		s.runs = append(s.runs, r)
	}
}

// box adds a box. One that goes on where another ends makes that one longer, so
// that no seam can be seen.
func (s *sheet) box(b box) {
	for i := len(s.boxes) - 1; i >= max(0, len(s.boxes)-2); i-- {
		if l := &s.boxes[i]; l.x == b.x && l.wide == b.wide && l.ink == b.ink && near(l.y+l.high, b.y) {
			l.high += b.high
			return
		}
	}
	s.boxes = append(s.boxes, b)
}

func near(a, b float64) bool { return a-b < 1e-3 && b-a < 1e-3 }

// line adds a line of text.
func (s *sheet) line(l line, x, y float64) {
	for _, r := range l.runs {
		r.x, r.y = r.x+x, r.y+y
		s.runs = append(s.runs, r)
	}
}

// strip is a part of the text that is never split, as wide as the text.
type strip struct {
	sheet
	above   float64 // room above it, if something is there
	high    float64
	keep    bool     // stays on one page with the next one
	fresh   bool     // begins a page
	names   []string // the IDs that are here
	heading *Heading
	mark    string  // what the contents know the heading by
	repeat  []strip // what comes before it on a page that begins with it
}

// page is a page that is done.
type page struct {
	sheet
	part     string // the heading of level 1 that it belongs to
	cover    bool   // it has no header and no footer
	headings []placed
}

// placed is a heading, and where it is.
type placed struct {
	heading *Heading
	y       float64
}

// place is where something is.
type place struct {
	page int // from 1
	y    float64
}

// flow puts strips onto pages.
type flow struct {
	pages  []page
	places map[string]place
	part   string
	y      float64
	cover  bool
	fresh  bool // what comes next begins a page
}

// all puts strips onto pages, in order. Those that are to stay together do, if
// a page has room for them.
func (f *flow) all(strips []strip) {
	for len(strips) > 0 {
		n := 1
		for n < len(strips) && strips[n-1].keep && !strips[n].fresh {
			n++
		}
		f.group(strips[:n])
		strips = strips[n:]
	}
}

// few is how many strips of those that no page can hold should begin on a page
// where others end.
const few = 6

// group puts strips onto a page, together if that is possible at all.
func (f *flow) group(strips []strip) {
	for len(strips) > 0 && strips[0].blank() {
		// It is where the next thing would be, but is not worth a page.
		f.fresh = f.fresh || strips[0].fresh
		f.at(&strips[0])
		strips = strips[1:]
	}
	if len(strips) == 0 {
		return
	}
	if !strips[0].fresh && !f.fresh && len(f.pages) > 0 {
		f.squeeze(strips)
	}
	if strips[0].fresh || f.fresh || !f.room(strips) && (f.fits(strips) || !f.room(strips[:min(len(strips), few)])) {
		f.turn()
	}
	f.fresh = false
	for i := range strips {
		if !f.room(strips[i : i+1]) {
			f.turn()
		}
		f.put(&strips[i])
	}
}

// squeezed is the scale down to which a picture is squeezed: what is written in it
// at 9 points, the size of the diagrams' labels, can still be read in print.
const squeezed = 0.78

// squeeze makes a picture smaller that just does not fit onto what is left of the
// page: that is easier on the eye than half a page of nothing before it.
func (f *flow) squeeze(strips []strip) {
	over := f.below(strips) - bodyBottom
	for i := range strips {
		s := &strips[i]
		if over <= slack || len(s.pictures) != 1 {
			continue
		}
		p := &s.pictures[0]
		wide, high := p.drawing.Width*p.scale, p.drawing.Height*p.scale
		if by := 1 - over/high; p.scale*by >= squeezed {
			p.scale *= by
			p.x += wide * (1 - by) / 2
			s.high -= over
		}
		return
	}
}

// blank says that there is nothing to be seen.
func (s *strip) blank() bool {
	return s.high == 0 && len(s.runs)+len(s.boxes)+len(s.pictures) == 0
}

// room says that strips fit onto what is left of the page.
func (f *flow) room(strips []strip) bool {
	return len(f.pages) > 0 && f.below(strips) <= bodyBottom+slack
}

// below is where strips would end on this page.
func (f *flow) below(strips []strip) float64 {
	y := f.y
	for i := range strips {
		if y > bodyTop {
			y += strips[i].above
		}
		y += strips[i].high
	}
	return y
}

// fits says that strips fit onto an empty page.
func (f *flow) fits(strips []strip) bool {
	y := repeated(strips[0].repeat)
	for i := range strips {
		if y > 0 {
			y += strips[i].above
		}
		y += strips[i].high
	}
	return y <= bodyHeight+slack
}

func repeated(strips []strip) float64 {
	high := 0.0
	for i := range strips {
		high += strips[i].high
	}
	return high
}

// turn begins a page, unless the last one is still empty.
func (f *flow) turn() {
	if len(f.pages) == 0 || f.y > bodyTop || f.pages[len(f.pages)-1].cover != f.cover {
		f.pages = append(f.pages, page{part: f.part, cover: f.cover})
		f.y = bodyTop
	}
}

// put puts a strip onto the page.
func (f *flow) put(s *strip) {
	p := &f.pages[len(f.pages)-1]
	if f.y > bodyTop {
		f.y += s.above
	} else if len(s.repeat) > 0 && repeated(s.repeat)+s.high <= bodyHeight {
		for i := range s.repeat {
			p.add(s.repeat[i].sheet, marginSide, f.y)
			f.y += s.repeat[i].high
		}
	}
	f.at(s)
	p.add(s.sheet, marginSide, f.y)
	f.y += s.high
}

// at takes down what is here.
func (f *flow) at(s *strip) {
	p := &f.pages[len(f.pages)-1]
	here := place{page: len(f.pages), y: f.y}
	for _, name := range s.names {
		f.places[name] = here
	}
	if s.heading != nil {
		p.headings = append(p.headings, placed{s.heading, f.y})
		f.places[s.mark] = here
		if s.heading.Level <= 1 {
			f.part = plain(s.heading.Text)
			p.part = f.part
		}
	}
}

// plain returns what a text says, without how it looks.
func plain(t Text) string {
	out := ""
	for _, s := range t {
		out += s.Text
	}
	return out
}
