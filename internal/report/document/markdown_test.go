package document

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestChapters turns every chapter into blocks that can be set.
func TestChapters(t *testing.T) {
	chapters, err := filepath.Glob("../../../docs/algorithms/*.md")
	if err != nil || len(chapters) < 8 {
		t.Fatal(chapters, err)
	}
	for i, name := range append(chapters, "../../../docs/guarantees.md") {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		link := func(to string) string { return "https://example.org/" + strings.TrimPrefix(to, "../") }
		blocks, err := Markdown(source, MarkdownOptions{Name: filepath.Base(name), Level: 2, Prefix: "chapter-", Link: link})
		if err != nil {
			t.Error(err)
			continue
		}
		h, ok := blocks[0].(Heading)
		if !ok || h.Level != 2 || len(blocks) < 8 {
			t.Errorf("%s: begins with %v", name, blocks[0])
		}
		for _, e := range (&Document{Blocks: blocks}).headings()[1:] {
			if e.Level != 3 && e.Level != 4 {
				t.Errorf("%s: heading of level %d: %v", name, e.Level, e.Text)
			}
		}
		var pdf, html bytes.Buffer
		d := &Document{Title: name, Blocks: append([]Block{Contents{}}, blocks...)}
		if err := d.PDF(&pdf); err != nil {
			t.Error(name, err)
		}
		if err := d.HTML(&html); err != nil {
			t.Error(name, err)
		}
		if strings.Contains(html.String(), "figures: conch") {
			t.Errorf("%s: a comment is in the page", name)
		}
		if *keep != "" && i%4 == 0 {
			if err := os.WriteFile(filepath.Join(*keep, filepath.Base(name)+".pdf"), pdf.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestMarkdown(t *testing.T) {
	code := Span{Text: "x|<y>", Mono: true}
	for _, c := range []struct {
		source string
		want   []Block
	}{
		{"# A *b*\n\n### C\n\n# D", []Block{
			Heading{Level: 2, Text: Text{{Text: "A "}, {Text: "b", Italic: true}}, ID: "p-a-b"},
			Heading{Level: 4, Text: Words("C"), ID: "p-c"},
			Heading{Level: 2, Text: Words("D"), ID: "p-d"},
		}},
		{"## Same\n\n## Same", []Block{Heading{2, Words("Same"), "p-same"}, Heading{2, Words("Same"), "p-same-1"}}},
		{"one\ntwo  \nthree \\* &lt; &amp;lt; \\&lt; a\\b", []Block{Paragraph{Text: Words("one two\nthree * < &lt; &lt; a\\b")}}},
		{"**bold *both*** <!-- no --> `x|<y>`", []Block{Paragraph{Text: Text{{Text: "bold ", Bold: true}, {Text: "both", Bold: true, Italic: true}, {Text: "  "}, code}}}},
		{"[a](b.md#c) [d](https://example.org) [e](#later) [f](gone) <https://example.org/x>\n# Later", []Block{
			Paragraph{Text: Text{
				{Text: "a", Link: "https://mapped/b.md#c"}, {Text: " "}, {Text: "d", Link: "https://example.org"}, {Text: " "},
				{Text: "e", Link: "#p-later"}, {Text: " f "}, {Text: "https://example.org/x", Link: "https://example.org/x"},
			}},
			Heading{2, Words("Later"), "p-later"},
		}},
		{"<!-- a\nb -->\n| a | b |\n|---|--:|\n| `x\\|<y>` | |\n| 1 |\n", []Block{Table{
			Head: []Text{Words("a"), Words("b")}, Columns: []Column{Left, Right},
			Rows: [][]Text{{{code}, nil}, {Words("1"), nil}},
		}}},
		{"1. a\n2. b\n   - c\n\n         deep\n\n> q\n", []Block{
			List{Ordered: true, Items: [][]Block{{Paragraph{Text: Words("a")}}, {Paragraph{Text: Words("b")},
				List{Items: [][]Block{{Paragraph{Text: Words("c")}, Code{Lines: []string{"deep"}}}}}}}},
			Paragraph{Text: Words("q"), Kind: Remark},
		}},
		{"4. a\n5. b", []Block{List{Ordered: true, Start: 4, Items: [][]Block{{Paragraph{Text: Words("a")}}, {Paragraph{Text: Words("b")}}}}}},
		{"```go\na\tb\n\n  c\n```\n", []Block{Code{Lines: []string{"a\tb", "", "  c"}}}},
		{"![what it shows](x.svg)", []Block{Paragraph{Text: Words("what it shows"), Kind: Remark}}},
		{"", nil},
	} {
		got, err := Markdown([]byte(c.source), MarkdownOptions{Level: 2, Prefix: "p-", Link: func(to string) string {
			if to == "gone" {
				return ""
			}
			return "https://mapped/" + to
		}})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got\n%#v\nwant\n%#v, error %v", c.source, got, c.want, err)
		}
	}
}

func TestMarkdownErrors(t *testing.T) {
	for source, want := range map[string]string{
		"a\n\n<div>\nx\n</div>": "f.md:3: HTML",
		"a\n\nb <b>c</b>":       "f.md:3: HTML",
		"a\n\n* * *\n":          "f.md:3: a ThematicBreak",
		"a\n\n0. c\n":           "f.md:3: a list begins with 1",
		"<!-- a --> b":          "f.md:1: HTML",
	} {
		_, err := Markdown([]byte(source), MarkdownOptions{Name: "f.md"})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: want %s, got %v", source, want, err)
		}
	}
}

// FuzzMarkdown wants what comes out to be set without a panic.
func FuzzMarkdown(f *testing.F) {
	for _, s := range []string{"# a\n\n| a | b |\n|--|--:|\n| `c` |", "1. a\n   - b\n\n> c ![d](e) [f](#a) <!-- g --> \\* &amp;\n", "```\n\xff\n```", "* \n* a  \n  b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		blocks, err := Markdown(source, MarkdownOptions{Name: "fuzz.md", Level: 1, Prefix: "p-"})
		if err != nil {
			return
		}
		d := &Document{Blocks: blocks}
		var html bytes.Buffer
		if err := d.HTML(&html); err != nil {
			return // a link that is no URL
		}
		linked, err := d.check()
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.set(linked)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wrong(s) {
			t.Error(w)
		}
	})
}
