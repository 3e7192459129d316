package document

import (
	"fmt"
	"io"
	"strings"
)

// passes is how often the layout is repeated at most. Page numbers that are
// named change the lines in which they stand, and so, rarely, page numbers.
const passes = 12

// PDF writes the document for paper, A4. A link to an ID that nothing has, and
// an ID that two things have, is an error.
func (d *Document) PDF(w io.Writer) error {
	linked, err := d.check()
	if err != nil {
		return err
	}
	s, err := d.set(linked)
	if err != nil {
		return err
	}
	return s.paint(w)
}

// setter sets a document: it knows the fonts, and what the last pass found out.
type setter struct {
	*Document
	fonts  *fonts
	pages  []page
	places map[string]place
	linked map[string]bool // the IDs that are named
	digits map[string]int  // the longest number that each ID's page has had
}

// set lays the document out, until the page numbers in it are right.
func (d *Document) set(linked map[string]bool) (*setter, error) {
	f, err := newFonts()
	if err != nil {
		return nil, err
	}
	s := &setter{Document: d, fonts: f, linked: linked, digits: map[string]int{}}
	for range passes {
		last := s.places
		if s.pass(); s.settled(last) {
			return s, nil
		}
	}
	return nil, fmt.Errorf("document: the page numbers do not settle")
}

// pass lays out the document once.
func (s *setter) pass() {
	f := &flow{places: map[string]place{}, cover: true}
	f.all(s.title())
	f.cover = false
	c := &composer{setter: s, wide: bodyWidth, fresh: true}
	c.blocks(s.Blocks, 0)
	f.all(c.strips)
	s.pages, s.places = f.pages, f.places
	for name, p := range s.places {
		s.digits[name] = max(s.digits[name], len(fmt.Sprint(p.page)))
	}
}

// settled says that everything is on the page where the last pass had it, which
// is what this pass has written.
func (s *setter) settled(last map[string]place) bool {
	if len(last) != len(s.places) {
		return false
	}
	for name, p := range s.places {
		if last[name].page != p.page {
			return false
		}
	}
	return true
}

// number returns the page of an ID as it is written. It never becomes shorter
// from one pass to the next, so that passes come to an end.
func (s *setter) number(name string) string {
	return fmt.Sprintf("%0*d", s.digits[name], s.places[name].page)
}

// reference is what is added to a span that names a page.
func (s *setter) reference(link string) string {
	if !strings.HasPrefix(link, "#") {
		return ""
	}
	return " (p.\u00a0" + s.number(link[1:]) + ")"
}
