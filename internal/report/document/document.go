// Package document sets text with tables, pictures and logs, as PDF for paper
// and as HTML for screens. It knows nothing of what they say.
package document

import (
	"strconv"
	"time"

	"github.com/conchlock/conch/internal/report/drawing"
)

// Document is what is to be set. Equal documents give equal bytes.
type Document struct {
	Title    string
	Subtitle []string // lines below the title, on a page of its own in a PDF
	Author   string   // may be empty
	Subject  string   // what it is, in a sentence
	Date     time.Time
	Blocks   []Block
}

// Block is one of Heading, Paragraph, List, Table, Figure, Code, Log, Contents
// and Break.
type Block interface{ block() }

// Heading begins a part. Those of level 1 and 2 are in the contents, and all are
// among the bookmarks of a PDF.
type Heading struct {
	Level int // 1 to 4; one of level 1 begins a page
	Text  Text
	ID    string // what references name; unique, without spaces and no _ at its beginning, may be empty
}

// Paragraph is running text.
type Paragraph struct {
	Text Text
	Kind ParagraphKind
}

// ParagraphKind is how a paragraph looks.
type ParagraphKind uint8

// The kinds of paragraphs.
const (
	Plain  ParagraphKind = iota
	Remark               // what matters less: small
	Key                  // what matters most: set off by a frame
)

// List is a list of items, each with its blocks.
type List struct {
	Ordered bool
	Start   int // the number of the first item, if they are ordered; 0 is 1
	Items   [][]Block
}

// Table has columns that are as wide as what is in them needs, within the page;
// long texts are broken into lines. It goes on over pages, with its head on each.
type Table struct {
	Head    []Text
	Rows    [][]Text // as long as Head; shorter ones end with empty cells
	Columns []Column // as many as there are columns; may be nil
	Caption Text     // may be nil
	Small   bool     // in a smaller type
	ID      string
}

// Column is how a column is set.
type Column uint8

// The kinds of columns.
const (
	Left Column = iota
	Right
)

// Figure is a picture. If it is larger than the page allows, it is made smaller.
type Figure struct {
	Drawing *drawing.Drawing
	Caption Text
	ID      string
}

// Code is text whose lines and spaces stay as they are.
type Code struct{ Lines []string }

// Log is numbered lines in small type. A line can be named by references, as
// LineID(ID, number).
type Log struct {
	ID    string
	Lines []LogLine
}

// LogLine is one of them; long ones are broken.
type LogLine struct {
	Number int // 0: the line has none, it is a note between others
	Text   string
	Strong bool // it stands out
}

// Contents is where the contents are, under a title of their own.
type Contents struct{}

// Break ends the page of a PDF.
type Break struct{}

func (Heading) block()   {}
func (Paragraph) block() {}
func (List) block()      {}
func (Table) block()     {}
func (Figure) block()    {}
func (Code) block()      {}
func (Log) block()       {}
func (Contents) block()  {}
func (Break) block()     {}

// Text is a run of spans.
type Text []Span

// Span is text that looks the same throughout.
type Span struct {
	Text   string // a line end ends the line; other space is one space
	Bold   bool
	Italic bool
	Mono   bool
	Link   string // an http, https or mailto URL, or # and an ID of the document
	Page   bool   // with a Link to an ID: a PDF adds the number of its page, as in "a:17 (p. 31)"
}

// Words is text without any marks.
func Words(text string) Text { return Text{{Text: text}} }

// LineID is the ID of a line of a log.
func LineID(log string, line int) string { return log + "_" + strconv.Itoa(line) }
