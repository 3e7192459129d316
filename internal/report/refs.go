package report

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/conchlock/conch/internal/report/document"
	"github.com/conchlock/conch/internal/trace"
)

// say puts texts together: strings, spans and texts.
func say(parts ...any) document.Text {
	var t document.Text
	for _, p := range parts {
		switch p := p.(type) {
		case document.Span:
			t = append(t, p)
		case document.Text:
			t = append(t, p...)
		default:
			t = append(t, document.Span{Text: fmt.Sprint(p)})
		}
	}
	return t
}

func bold(text string) document.Span { return document.Span{Text: text, Bold: true} }
func mono(text string) document.Span { return document.Span{Text: text, Mono: true} }

// to is a reference to a part of the report, with its page.
func to(id, text string) document.Span {
	return document.Span{Text: text, Link: "#" + id, Page: true}
}

// quote makes the name of a lock safe to read in running text.
func quote(name string) document.Span { return mono(strconv.Quote(name)) }

// id is how a part of this run is called in references.
func (r *run) id(part string) string { return fmt.Sprintf("%s_%d", part, r.number) }

// logID is how the log of a trace file is called in references. No peer's name
// has an underscore, so these of different files and their lines are different.
func (r *run) logID(file string) string { return r.id("log") + "_" + file }

// file is the name of a trace file without what all of them end in: a, or for
// what was put aside of it a/1.
func file(path string) string {
	name := filepath.Base(path)
	if at := strings.LastIndex(name, trace.Suffix); at >= 0 {
		return name[:at] + strings.Replace(name[at+len(trace.Suffix):], ".", "/", 1)
	}
	return name
}

// line is a reference to a line of a log, which is therefore in the appendix. A
// line that holds no event is only named.
func (r *run) line(pos trace.Pos, page bool) document.Span {
	name := file(pos.File)
	switch {
	case pos.Line == 0:
		return mono(name)
	case !r.files[name].has(pos.Line):
		return mono(name + ":" + strconv.Itoa(pos.Line))
	}
	lines := r.cited[name]
	if lines == nil {
		lines = map[int]bool{}
		r.cited[name] = lines
	}
	lines[pos.Line] = true
	return document.Span{
		Text: name + ":" + strconv.Itoa(pos.Line), Mono: true, Link: "#" + document.LineID(r.logID(name), pos.Line), Page: page,
	}
}

// at is the same for a place that is written FILE:LINE. What is no place of a
// trace is left as it is.
func (r *run) at(place string, page bool) document.Span {
	if pos, ok := parsePos(place); ok {
		return r.line(pos, page)
	}
	return mono(filepath.Base(place))
}

func parsePos(place string) (trace.Pos, bool) {
	path, number, ok := cutLast(place, ":")
	line, err := strconv.Atoi(number)
	if !ok || err != nil || line < 1 || !strings.Contains(filepath.Base(path), trace.Suffix) {
		return trace.Pos{}, false
	}
	return trace.Pos{File: path, Line: line}, true
}

func cutLast(text, sep string) (before, after string, ok bool) {
	at := strings.LastIndex(text, sep)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(sep):], true
}

// places is a list of references.
func (r *run) places(list []string, page bool) document.Text {
	var t document.Text
	for i, place := range list {
		if i > 0 {
			t = append(t, document.Span{Text: ", "})
		}
		t = append(t, r.at(place, page))
	}
	return t
}

// count writes a number of things: "1 peer", "3 peers", "3 entries".
func count(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(thing, "y"))
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
