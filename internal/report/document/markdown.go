package document

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	table "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// MarkdownOptions say how a chapter becomes part of a document.
type MarkdownOptions struct {
	Name   string                     // of the file, for errors
	Level  int                        // of the chapter's first heading, 1 to 4; the others follow. 0 is 1
	Prefix string                     // of the headings' IDs, which are as on GitHub; without one they have none
	Link   func(target string) string // where a relative link leads to: a URL, # and an ID, or "" for nowhere; may be nil
}

// Markdown turns a chapter into blocks. Comments are dropped; an image is its
// text; a quote is a remark. HTML and rules are errors, which name the line.
func Markdown(source []byte, o MarkdownOptions) ([]Block, error) {
	parser := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser()
	m := &markdown{MarkdownOptions: o, source: source, ids: map[ast.Node]string{}, slugs: map[string]bool{}}
	root := parser.Parse(text.NewReader(source))
	m.name(root)
	blocks := m.blocks(root)
	return blocks, m.err
}

// markdown walks through a chapter. Its first error ends nothing, but is kept.
type markdown struct {
	MarkdownOptions
	source []byte
	first  int                 // the level of the first heading
	ids    map[ast.Node]string // of the headings
	slugs  map[string]bool     // all of them
	err    error
}

// fail keeps the first error.
func (m *markdown) fail(n ast.Node, what string) {
	if m.err != nil {
		return
	}
	at := 0
	for ; n != nil; n = n.Parent() {
		if n.Pos() > 0 {
			at = min(n.Pos(), len(m.source))
			break
		}
	}
	line := 1 + bytes.Count(m.source[:at], []byte("\n"))
	m.err = fmt.Errorf("%s:%d: %s", m.Name, line, what)
}

// name finds the level of the first heading, and gives all headings their IDs:
// links may lead to headings that follow.
func (m *markdown) name(root ast.Node) {
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		h, ok := n.(*ast.Heading)
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		if m.first == 0 {
			m.first = h.Level
		}
		base := slug(plain(m.text(h)))
		id := base
		for i := 1; m.slugs[id]; i++ {
			id = base + "-" + strconv.Itoa(i)
		}
		m.slugs[id], m.ids[n] = true, id
		return ast.WalkSkipChildren, nil
	})
}

// slug makes an ID of a heading as GitHub does.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

func (m *markdown) blocks(parent ast.Node) []Block {
	var out []Block
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Heading:
			out = append(out, m.heading(n))
		case *ast.Paragraph:
			out = append(out, m.paragraph(n))
		case *ast.TextBlock:
			out = append(out, m.paragraph(n))
		case *ast.List:
			out = append(out, m.list(n))
		case *table.Table:
			out = append(out, m.table(n))
		case *ast.CodeBlock:
			out = append(out, m.code(n))
		case *ast.FencedCodeBlock:
			out = append(out, m.code(n))
		case *ast.Blockquote:
			for _, b := range m.blocks(n) {
				if p, ok := b.(Paragraph); ok {
					p.Kind = Remark
					b = p
				}
				out = append(out, b)
			}
		case *ast.HTMLBlock:
			if !m.comment(n) {
				m.fail(n, "HTML is not understood here, other than comments")
			}
		case *ast.LinkReferenceDefinition:
		default:
			m.fail(n, "a "+n.Kind().String()+" is not understood here")
		}
	}
	return out
}

func (m *markdown) heading(n *ast.Heading) Heading {
	h := Heading{Level: min(max(max(m.Level, 1)+n.Level-m.first, 1), 4), Text: m.text(n)}
	if m.Prefix != "" {
		h.ID = m.Prefix + m.ids[n]
	}
	return h
}

// paragraph returns a paragraph; of nothing but an image, its text as a remark.
func (m *markdown) paragraph(n ast.Node) Paragraph {
	p := Paragraph{Text: m.text(n)}
	if image, ok := n.FirstChild().(*ast.Image); ok && image.NextSibling() == nil {
		p.Kind = Remark
	}
	return p
}

func (m *markdown) list(n *ast.List) List {
	l := List{Ordered: n.IsOrdered()}
	if l.Ordered && n.Start == 0 {
		m.fail(n, "a list begins with 1 or more")
	}
	if l.Ordered && n.Start != 1 {
		l.Start = n.Start
	}
	for item := n.FirstChild(); item != nil; item = item.NextSibling() {
		l.Items = append(l.Items, m.blocks(item))
	}
	return l
}

func (m *markdown) table(n *table.Table) Table {
	var t Table
	for _, a := range n.Alignments {
		column := Left
		if a == table.AlignRight {
			column = Right
		}
		t.Columns = append(t.Columns, column)
	}
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []Text
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, m.text(cell))
		}
		if _, head := row.(*table.TableHeader); head {
			t.Head = cells
		} else {
			t.Rows = append(t.Rows, cells)
		}
	}
	return t
}

func (m *markdown) code(n ast.Node) Code {
	var c Code
	lines := n.Lines()
	for i := range lines.Len() {
		at := lines.At(i)
		c.Lines = append(c.Lines, strings.TrimRight(string(at.Value(m.source)), "\r\n"))
	}
	return c
}

// comment says that an HTML block is a comment, and nothing else.
func (m *markdown) comment(n *ast.HTMLBlock) bool {
	var b strings.Builder
	lines := n.Lines()
	for i := range lines.Len() {
		at := lines.At(i)
		b.Write(at.Value(m.source))
	}
	if n.HasClosure() {
		b.Write(n.ClosureLine.Value(m.source))
	}
	return isComment(b.String())
}

func isComment(html string) bool {
	html = strings.TrimSpace(html)
	return strings.HasPrefix(html, "<!--") && strings.Index(html, "-->") == len(html)-3
}

// text returns what is within a node.
func (m *markdown) text(n ast.Node) Text {
	var t Text
	m.spans(n, Span{}, &t)
	return t
}

// spans adds what is within a node, which looks like the given span.
func (m *markdown) spans(parent ast.Node, look Span, out *Text) {
	add := func(text string, look Span) {
		look.Text = text
		*out = append(*out, look)
	}
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		inner := look
		switch n := n.(type) {
		case *ast.Text:
			m.literal(n, look, out)
		case *ast.String:
			add(string(n.Value), look)
		case *ast.CodeSpan:
			inner.Mono = true
			m.spans(n, inner, out)
		case *ast.Emphasis:
			inner.Italic = inner.Italic || n.Level == 1
			inner.Bold = inner.Bold || n.Level > 1
			m.spans(n, inner, out)
		case *ast.Link:
			inner.Link = m.target(string(n.Destination))
			m.spans(n, inner, out)
		case *ast.AutoLink:
			inner.Link = m.target(string(n.URL(m.source)))
			add(string(n.Label(m.source)), inner)
		case *ast.Image:
			m.spans(n, look, out)
		case *ast.RawHTML:
			if !isComment(string(n.Segments.Value(m.source))) {
				m.fail(n, "HTML is not understood here, other than comments")
			}
		default:
			m.fail(n, "a "+n.Kind().String()+" is not understood here")
		}
	}
}

// literal adds a piece of text, and the end of its line.
func (m *markdown) literal(n *ast.Text, look Span, out *Text) {
	look.Text = string(n.Value(m.source))
	if look.Mono || n.IsRaw() {
		look.Text = strings.ReplaceAll(look.Text, "\n", " ")
	} else {
		look.Text = unescape(look.Text)
	}
	switch {
	case n.HardLineBreak():
		look.Text += "\n"
	case n.SoftLineBreak():
		look.Text += " "
	}
	if last := len(*out) - 1; last >= 0 && same((*out)[last], look) {
		(*out)[last].Text += look.Text
		return
	}
	*out = append(*out, look)
}

// same says that two spans look the same.
func same(a, b Span) bool {
	a.Text, b.Text = "", ""
	return a == b
}

// target returns where a link leads to.
func (m *markdown) target(to string) string {
	switch {
	case strings.HasPrefix(to, "http://"), strings.HasPrefix(to, "https://"), strings.HasPrefix(to, "mailto:"):
		return to
	case m.Prefix != "" && strings.HasPrefix(to, "#") && m.slugs[to[1:]]:
		return "#" + m.Prefix + to[1:]
	case m.Link != nil:
		return m.Link(to)
	}
	return ""
}

// entity is a sign by its name or number, or one behind a backslash.
var entity = regexp.MustCompile(`&#?\w+;|\\.`)

// unescape puts signs for what stands for them.
func unescape(text string) string {
	return entity.ReplaceAllStringFunc(text, func(found string) string {
		if found[0] == '&' {
			return html.UnescapeString(found)
		}
		if util.IsPunct(found[1]) {
			return found[1:]
		}
		return found
	})
}
