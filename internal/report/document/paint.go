package document

import (
	"io"
	"slices"
	"strconv"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"github.com/conchlock/conch/internal/report/drawing"
)

// painter writes pages that have been laid out.
type painter struct {
	*setter
	pdf   *fpdf.Fpdf
	links map[string]int // the library's numbers of IDs
	face  face           // what is set on this page
	size  float64
}

// paint writes the PDF.
func (s *setter) paint(w io.Writer) error {
	p := &painter{setter: s, pdf: fpdf.New("P", "pt", "A4", ""), links: map[string]int{}}
	p.describe()
	for f := range face(faces) {
		p.pdf.AddUTF8FontFromBytes(f.family(), "", slices.Clone(f.data()))
	}
	p.targets()
	depth := outline{}
	for i := range s.pages {
		p.pdf.AddPage()
		p.size = 0
		p.page(&s.pages[i].sheet)
		if !s.pages[i].cover {
			p.frame(i)
		}
		for _, h := range s.pages[i].headings {
			p.set(regular, bodyStyle.size) // the library asks for a font, to know how text is encoded
			p.pdf.Bookmark(s.fonts.clean(regular, plain(h.heading.Text)), depth.of(h.heading.Level), h.y)
		}
	}
	return p.pdf.Output(w)
}

// describe says what the document is. All of it follows from the document.
func (p *painter) describe() {
	p.pdf.SetMargins(0, 0, 0)
	p.pdf.SetAutoPageBreak(false, 0)
	p.pdf.SetCatalogSort(true)
	p.pdf.SetTitle(p.fonts.clean(regular, p.Title), true)
	p.pdf.SetAuthor(p.fonts.clean(regular, p.Author), true)
	p.pdf.SetSubject(p.fonts.clean(regular, p.Subject), true)
	p.pdf.SetCreator("conch", true)
	p.pdf.SetLang("en")
	date := p.Date.UTC()
	if p.Date.IsZero() {
		date = time.Unix(0, 0).UTC() // the library would take the time of day
	}
	p.pdf.SetCreationDate(date)
	p.pdf.SetModificationDate(date)
}

func (f face) family() string { return "conch" + strconv.Itoa(int(f)) }

// targets tells the library where links lead to.
func (p *painter) targets() {
	for name, at := range p.places {
		id := p.pdf.AddLink() // in any order: the numbers stay within the library
		p.pdf.SetLink(id, max(at.y-6, 0), at.page)
		p.links[name] = id
	}
}

// outline holds the levels of the bookmarks that the next one may be below.
type outline struct{ levels []int }

// of returns how deep a heading stands among the bookmarks: one more at most
// than the one before, since the library cannot leave levels out.
func (o *outline) of(level int) int {
	for len(o.levels) > 0 && o.levels[len(o.levels)-1] >= level {
		o.levels = o.levels[:len(o.levels)-1]
	}
	o.levels = append(o.levels, level)
	return len(o.levels) - 1
}

// frame writes the header and the footer.
func (p *painter) frame(i int) {
	var s sheet
	const size = 7.6
	add := func(text string, y float64, right bool, wide float64) {
		text = p.fonts.shorten(regular, size, wide, text)
		r := run{x: marginSide, y: y, wide: p.fonts.width(regular, size, text), size: size, face: regular, ink: drawing.Light.Ink2, text: text}
		if right {
			r.x = pageWidth - marginSide - r.wide
		}
		s.runs = append(s.runs, r)
	}
	const half = bodyWidth/2 - 10
	add(p.Title, headerBase, false, half)
	add(p.pages[i].part, headerBase, true, half)
	add("page "+strconv.Itoa(i+1)+" of "+strconv.Itoa(len(p.pages)), footerBase, true, half)
	s.boxes = []box{{marginSide, headerBase + 7, bodyWidth, 0.5, rule}}
	p.page(&s)
}

// page paints a sheet.
func (p *painter) page(s *sheet) {
	for _, b := range s.boxes {
		p.fill(b.ink)
		p.pdf.Rect(b.x, b.y, b.wide, b.high, "F")
	}
	for _, pic := range s.pictures {
		p.picture(pic)
	}
	for _, r := range s.runs {
		p.run(r)
	}
}

func (p *painter) run(r run) {
	if r.text == "" {
		return
	}
	p.set(r.face, r.size)
	p.pdf.SetTextColor(int(r.ink.R), int(r.ink.G), int(r.ink.B))
	p.pdf.Text(r.x, r.y, r.text)
	top, high := r.y-ascent*r.size, (ascent+descent)*r.size
	switch {
	case r.link == "":
	case r.link[0] == '#':
		p.pdf.Link(r.x, top, r.wide, high, p.links[r.link[1:]])
	default:
		p.pdf.LinkString(r.x, top, r.wide, high, r.link)
	}
}

// set chooses a font.
func (p *painter) set(f face, size float64) {
	if f != p.face || size != p.size {
		p.pdf.SetFont(f.family(), "", size)
		p.face, p.size = f, size
	}
}

func (p *painter) fill(c drawing.RGB) { p.pdf.SetFillColor(int(c.R), int(c.G), int(c.B)) }
func (p *painter) ink(c drawing.RGB)  { p.pdf.SetDrawColor(int(c.R), int(c.G), int(c.B)) }
