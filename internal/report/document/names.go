package document

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// check finds links that lead nowhere, and IDs that are used twice. It returns
// the IDs that links name.
func (d *Document) check() (linked map[string]bool, err error) {
	n := &names{known: map[string]bool{}}
	n.blocks(d.Blocks)
	linked = map[string]bool{}
	for _, link := range n.links {
		if n.err == nil && !n.known[link] {
			n.err = fmt.Errorf("document: a link names the ID %q, which nothing has", link)
		}
		linked[link] = true
	}
	return linked, n.err
}

// names is what is named in a document, and the first error.
type names struct {
	known map[string]bool
	links []string
	err   error
}

// own is what IDs begin with that the renderers make up.
const own = "_"

func (n *names) id(id string) {
	switch {
	case id == "" || n.err != nil:
	case strings.HasPrefix(id, own) || strings.ContainsAny(id, " \t\n\r\f"):
		n.err = fmt.Errorf("document: the ID %q has a space or begins with %s", id, own)
	case n.known[id]:
		n.err = fmt.Errorf("document: the ID %q is used twice", id)
	}
	n.known[id] = true
}

func (n *names) text(t Text) {
	for _, s := range t {
		switch {
		case s.Link == "":
		case s.Link[0] == '#':
			n.links = append(n.links, s.Link[1:])
		default:
			u, err := url.Parse(s.Link)
			if n.err == nil && (err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto") {
				n.err = fmt.Errorf("document: the link %q is no http, https or mailto URL, and no # and ID", s.Link)
			}
		}
	}
}

func (n *names) blocks(blocks []Block) {
	for _, b := range blocks {
		switch b := b.(type) {
		case Heading:
			n.id(b.ID)
			n.text(b.Text)
		case Paragraph:
			n.text(b.Text)
		case List:
			for _, item := range b.Items {
				n.blocks(item)
			}
		case Table:
			n.table(b)
		case Figure:
			n.id(b.ID)
			n.text(b.Caption)
		case Log:
			n.id(b.ID)
			for _, l := range b.Lines {
				if b.ID != "" && l.Number > 0 {
					n.id(LineID(b.ID, l.Number))
				}
			}
		case Code, Contents, Break:
		default:
			if n.err == nil {
				n.err = fmt.Errorf("document: a block of type %T", b)
			}
		}
	}
}

func (n *names) table(t Table) {
	n.id(t.ID)
	n.text(t.Caption)
	for _, row := range append([][]Text{t.Head}, t.Rows...) {
		for _, cell := range row {
			n.text(cell)
		}
	}
}

// mark is the name of the i-th heading, from 0, for the contents.
func mark(i int) string { return own + "h" + strconv.Itoa(i) }

// entry is a heading, as the contents have it.
type entry struct {
	Heading
	mark string
}

// headings returns all headings of a document, in order.
func (d *Document) headings() []entry {
	var found []entry
	var walk func([]Block)
	walk = func(blocks []Block) {
		for _, b := range blocks {
			switch b := b.(type) {
			case Heading:
				found = append(found, entry{b, mark(len(found))})
			case List:
				for _, item := range b.Items {
					walk(item)
				}
			}
		}
	}
	walk(d.Blocks)
	return found
}
