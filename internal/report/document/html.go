package document

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/conchlock/conch/internal/report/drawing"
)

//go:embed page.css
var pageCSS string

// HTML writes the document for screens, as one file that needs no other. A link
// to an ID that nothing has, and an ID that two things have, is an error.
func (d *Document) HTML(w io.Writer) error {
	if _, err := d.check(); err != nil {
		return err
	}
	h := &hypertext{Writer: bufio.NewWriter(w)}
	h.head(d)
	h.title(d)
	h.WriteString("<main id=\"_text\">\n")
	h.blocks(d, d.Blocks)
	h.WriteString("</main>\n</body>\n</html>\n")
	return h.Flush()
}

// hypertext writes a page. Errors stay in the Writer until Flush.
type hypertext struct {
	*bufio.Writer
	headings int // how many there have been
}

func (h *hypertext) head(d *Document) {
	h.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n")
	fmt.Fprintf(h, "<title>%s</title>\n<meta name=\"generator\" content=\"conch\">\n", drawing.Escape(d.Title))
	if d.Author != "" {
		fmt.Fprintf(h, "<meta name=\"author\" content=\"%s\">\n", drawing.Escape(d.Author))
	}
	if d.Subject != "" {
		fmt.Fprintf(h, "<meta name=\"description\" content=\"%s\">\n", drawing.Escape(d.Subject))
	}
	fmt.Fprintf(h, "<style>\n%s</style>\n</head>\n", pageCSS)
}

func (h *hypertext) title(d *Document) {
	h.WriteString("<body>\n<a class=\"skip\" href=\"#_text\">Skip to the text</a>\n<header>\n")
	fmt.Fprintf(h, "<h1>%s</h1>\n", drawing.Escape(d.Title))
	for _, line := range d.Subtitle {
		fmt.Fprintf(h, "<p class=\"subtitle\">%s</p>\n", drawing.Escape(line))
	}
	if d.Author != "" {
		fmt.Fprintf(h, "<p>%s</p>\n", drawing.Escape(d.Author))
	}
	if day := d.day(); day != "" {
		fmt.Fprintf(h, "<p><time datetime=\"%s\">%s</time></p>\n", d.Date.UTC().Format("2006-01-02"), day)
	}
	h.WriteString("</header>\n")
}

func (h *hypertext) blocks(d *Document, blocks []Block) {
	for _, b := range blocks {
		switch b := b.(type) {
		case Heading:
			h.heading(b)
		case Paragraph:
			fmt.Fprintf(h, "<p%s>", [...]string{Plain: "", Remark: ` class="remark"`, Key: ` class="key"`}[min(b.Kind, Key)])
			h.text(b.Text)
			h.WriteString("</p>\n")
		case List:
			h.list(d, b)
		case Table:
			h.table(b)
		case Figure:
			h.figure(b)
		case Code:
			h.code(b)
		case Log:
			h.log(b)
		case Contents:
			h.contents(d)
		}
	}
}

// heading writes a heading. The title is the only h1.
func (h *hypertext) heading(b Heading) {
	level := min(max(b.Level, 1), 4) + 1
	id := b.ID
	if id == "" {
		id = mark(h.headings)
	}
	h.headings++
	fmt.Fprintf(h, "<h%d id=\"%s\">", level, drawing.Escape(id))
	h.text(b.Text)
	fmt.Fprintf(h, "</h%d>\n", level)
}

// id writes an attribute, if there is an ID.
func (h *hypertext) id(id string) {
	if id != "" {
		fmt.Fprintf(h, " id=\"%s\"", drawing.Escape(id))
	}
}

func (h *hypertext) text(t Text) {
	for _, s := range t {
		end := ""
		open := func(tag, attributes string) {
			fmt.Fprintf(h, "<%s%s>", tag, attributes)
			end = "</" + tag + ">" + end
		}
		if s.Link != "" {
			open("a", ` href="`+drawing.Escape(s.Link)+`"`)
		}
		if s.Bold {
			open("strong", "")
		}
		if s.Italic {
			open("em", "")
		}
		if s.Mono {
			open("code", "")
		}
		h.WriteString(strings.ReplaceAll(drawing.Escape(s.Text), "\n", "<br>"))
		h.WriteString(end)
	}
}

func (h *hypertext) list(d *Document, l List) {
	tag, start := "ul", ""
	if l.Ordered {
		tag = "ol"
		if l.Start != 0 {
			start = ` start="` + strconv.Itoa(l.Start) + `"`
		}
	}
	fmt.Fprintf(h, "<%s%s>\n", tag, start)
	for _, item := range l.Items {
		h.WriteString("<li>")
		h.blocks(d, item)
		h.WriteString("</li>\n")
	}
	fmt.Fprintf(h, "</%s>\n", tag)
}

func (h *hypertext) table(t Table) {
	class := "scroll"
	if t.Small {
		class += " small"
	}
	fmt.Fprintf(h, "<div class=\"%s\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"", class)
	h.id(t.ID)
	h.WriteString("><table>\n")
	if len(t.Caption) > 0 {
		h.WriteString("<caption>")
		h.text(t.Caption)
		h.WriteString("</caption>\n")
	}
	columns := len(t.Head)
	for _, row := range t.Rows {
		columns = max(columns, len(row))
	}
	if len(t.Head) > 0 {
		h.WriteString("<thead>\n")
		h.row(t, t.Head, columns, "th", ` scope="col"`)
		h.WriteString("</thead>\n")
	}
	h.WriteString("<tbody>\n")
	for _, row := range t.Rows {
		h.row(t, row, columns, "td", "")
	}
	h.WriteString("</tbody>\n</table></div>\n")
}

// longCell is how many bytes a cell has at least that must not become narrow.
const longCell = 40

func (h *hypertext) row(t Table, cells []Text, columns int, tag, attributes string) {
	h.WriteString("<tr>")
	for i := range columns {
		class := ""
		switch {
		case i < len(t.Columns) && t.Columns[i] == Right:
			class = ` class="right"`
		case i < len(cells) && len(plain(cells[i])) > longCell:
			class = ` class="long"`
		}
		fmt.Fprintf(h, "<%s%s%s>", tag, attributes, class)
		if i < len(cells) {
			h.text(cells[i])
		}
		fmt.Fprintf(h, "</%s>", tag)
	}
	h.WriteString("</tr>\n")
}

func (h *hypertext) figure(f Figure) {
	h.WriteString("<figure")
	h.id(f.ID)
	h.WriteString(">\n")
	if d := f.Drawing; d != nil && drawable(d) {
		fmt.Fprintf(h, "<div class=\"picture\" tabindex=\"0\" role=\"group\" aria-label=\"%s\" style=\"--width:%.0fpx\">\n", drawing.Escape(d.Title), d.Width)
		_ = d.SVG(h.Writer) // an error stays in the Writer
		h.WriteString("</div>\n")
	}
	if len(f.Caption) > 0 {
		h.WriteString("<figcaption>")
		h.text(f.Caption)
		h.WriteString("</figcaption>\n")
	}
	h.WriteString("</figure>\n")
}

func (h *hypertext) code(c Code) {
	h.WriteString("<pre tabindex=\"0\"><code>")
	for _, line := range c.Lines {
		h.WriteString(drawing.Escape(line))
		h.WriteByte('\n')
	}
	h.WriteString("</code></pre>\n")
}

func (h *hypertext) log(l Log) {
	h.WriteString("<ol class=\"log\"")
	h.id(l.ID)
	h.WriteString(">\n")
	for _, line := range l.Lines {
		if line.Number > 0 {
			h.WriteString("<li value=\"" + strconv.Itoa(line.Number) + "\"")
		} else {
			h.WriteString("<li class=\"note\"")
		}
		if l.ID != "" && line.Number > 0 {
			h.id(LineID(l.ID, line.Number))
		}
		text := strings.ReplaceAll(drawing.Escape(line.Text), "\n", "\uFFFD")
		if line.Strong {
			text = "<strong>" + text + "</strong>"
		}
		h.WriteString(">" + text + "\n") // an li needs no end
	}
	h.WriteString("</ol>\n")
}

// contents lists the headings of level 1 and 2.
func (h *hypertext) contents(d *Document) {
	fmt.Fprintf(h, "<nav aria-labelledby=\"_contents\">\n<p id=\"_contents\">%s</p>\n<ul>\n", contentsTitle)
	for _, e := range d.headings() {
		if e.Level > 2 {
			continue
		}
		id := e.ID
		if id == "" {
			id = e.mark
		}
		fmt.Fprintf(h, "<li class=\"level%d\"><a href=\"#%s\">%s</a></li>\n", max(e.Level, 1), drawing.Escape(id), drawing.Escape(plain(e.Text)))
	}
	h.WriteString("</ul>\n</nav>\n")
}
