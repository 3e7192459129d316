package document

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/internal/report/drawing"
)

var (
	rewrite = flag.Bool("rewrite", false, "write the golden files anew")
	keep    = flag.String("keep", "", "write the sample documents into this folder, to be looked at")
)

// picture1 is a drawing with one of each shape.
func picture1() *drawing.Drawing {
	d := &drawing.Drawing{Title: "Two peers", Description: "a sends to b.", Width: 420, Height: 120}
	d.Add(
		drawing.Line{Points: []drawing.Point{{X: 40, Y: 20}, {X: 400, Y: 20}}, Width: 1, Ink: drawing.Grid},
		drawing.Line{Points: []drawing.Point{{X: 40, Y: 90}, {X: 400, Y: 90}}, Width: 1, Ink: drawing.Grid, Dash: drawing.Dashed},
		drawing.Box{X: 60, Y: 14, Width: 90, Height: 12, Round: 3, Fill: drawing.Holding, Tip: "a holds the lock"},
		drawing.Box{X: 120, Y: 84, Width: 120, Height: 12, Round: 2, Fill: drawing.Waiting, Hatched: true, Outline: drawing.Waiting},
		drawing.Line{Points: []drawing.Point{{X: 150, Y: 20}, {X: 240, Y: 90}}, Width: 1.2, Ink: drawing.Message, Arrow: true},
		drawing.Line{Points: []drawing.Point{{X: 260, Y: 90}, {X: 300, Y: 50}, {X: 340, Y: 20}}, Width: 1, Ink: drawing.Broken, Dash: drawing.DashDot, Arrow: true},
		drawing.Area{Points: []drawing.Point{{X: 360, Y: 12}, {X: 372, Y: 20}, {X: 360, Y: 28}}, Fill: drawing.Series(4)},
		drawing.Text{X: 195, Y: 52, Size: 8, Anchor: drawing.Middle, Ink: drawing.Ink1, Halo: true, Text: "TOKEN 7"},
		drawing.Text{X: 34, Y: 23, Size: 9, Anchor: drawing.End, Ink: drawing.Ink1, Bold: true, Text: "a"},
		drawing.Text{X: 34, Y: 93, Size: 9, Anchor: drawing.End, Ink: drawing.Ink1, Bold: true, Text: "b"},
		drawing.Text{X: 310, Y: 80, Size: 7, Turn: -45, Ink: drawing.Ink2, Text: "late 🐚"},
	)
	return d
}

const prose = "Everybody keeps a copy of one queue of requests, in the order of their stamps, and tells all others of every change. " +
	"Who has heard from everybody since it asked knows every older request, so it enters when its own is the first. "

// small has one of each block.
func small() *Document {
	return &Document{
		Title:    "A run of Conch",
		Subtitle: []string{"lamport, 3 peers, 9 entries", "sound: at most one peer was inside"},
		Author:   "Ann Author",
		Subject:  "What a run did, and why.",
		Date:     time.Date(2026, 11, 23, 23, 30, 0, 0, time.FixedZone("", -3600)),
		Blocks: []Block{
			Contents{},
			Heading{Level: 1, Text: Words("The run"), ID: "run"},
			Paragraph{Kind: Key, Text: Text{{Text: "The run is "}, {Text: "sound", Bold: true}, {Text: ". " + prose}}},
			Paragraph{Text: Text{
				{Text: prose + "In "}, {Text: "emphasis", Italic: true}, {Text: ", in "}, {Text: "code `a`", Mono: true}, {Text: ", "},
				{Text: "both", Bold: true, Italic: true}, {Text: ", and a line "}, {Text: "a:3", Link: "#log-a_3", Page: true},
				{Text: " with "}, {Text: "the table", Link: "#costs", Page: true}, {Text: "; see "}, {Text: "the repository", Link: "https://example.org/conch?a=1&b=2"}, {Text: "."},
			}},
			Paragraph{Text: Words(prose + prose)},
			Heading{Level: 2, Text: Words("What it cost")},
			Paragraph{Text: Words(prose)},
			Table{
				ID: "costs", Head: []Text{Words("peers, heavy load"), Words("messages"), Words("formula"), Words("what happens when a peer dies")},
				Rows: [][]Text{
					{Words("3"), Words("6.0"), Words("6.0"), Words("others wait until it is back: all are in 6.2 T later, and then they go on as before")},
					{Words("5"), Words("12.0"), Words("12.0"), Text{{Text: "lamport", Mono: true}, {Text: " waits"}}},
					{Words("9"), Words("24.0")},
				},
				Columns: []Column{Right, Right, Right, Left}, Caption: Words("Messages for an entry, counted in the simulator."),
			},
			Heading{Level: 3, Text: Words("An entry"), ID: "entry"},
			Figure{Drawing: picture1(), Caption: Words("The token goes from a to b."), ID: "figure"},
			Heading{Level: 4, Text: Words("In steps")},
			List{Ordered: true, Items: [][]Block{
				{Paragraph{Text: Words(prose)}, List{Items: [][]Block{{Paragraph{Text: Words("one")}}, {Paragraph{Text: Words("two " + prose)}}}}},
				{Paragraph{Text: Words("Who leaves says so.")}},
			}},
			Paragraph{Kind: Remark, Text: Words("A remark, of less weight. " + prose)},
			Code{Lines: []string{"go run ./cmd/conch demo --algorithm lamport", "", "\tconch explain DIR  # " + prose}},
			Break{},
			Break{},
			Heading{Level: 1, Text: Words("Appendix: logs")},
			Log{ID: "log-a", Lines: []LogLine{
				{Number: 1, Text: `{"ts":"2026-11-23T10:00:00.000000001Z","peer":"a","event":"start"}`},
				{Number: 2, Text: `{"ts":"2026-11-23T10:00:00.000000002Z","peer":"a","incarnation":1,"clock":17,"event":"send","lock":"demo","token":0,"message":{"id":"a-1-42","kind":"request","from":"a","to":"b","clock":17}}`},
				{Number: 3, Text: `{"ts":"2026-11-23T10:00:00.000000003Z","peer":"a","event":"enter"}`, Strong: true},
				{Text: "two lines left out here", Strong: true},
				{Number: 7, Text: `a tab` + "\t" + `and <b>&"quotes"</b>`},
			}},
		},
	}
}

// worst are lock names and the like that want to get out of their place.
var worst = []string{
	strings.Repeat("x", 200),
	strings.Repeat("W", 200),
	strings.Repeat("/long/path", 30),
	"https://example.org/" + strings.Repeat("a-b_c.d", 25),
	strings.Repeat("🐚", 50),
	strings.Repeat("锁", 66),
	"\u202etxt.exe\u2066\u200b\u00ad",
	"\xff\xfe broken \xc3",
	"<script>alert('1')</script> & \"quotes\" ]]> -->",
	"e\u0301 combined, \u00a0no break, tab\there, bell\a",
	strings.Repeat("— ", 80),
}

// nasty has everything that goes wrong, many times over.
func nasty() *Document {
	d := &Document{Title: strings.Join(worst, " "), Subtitle: worst, Author: worst[0], Subject: worst[4], Date: time.Unix(0, 0)}
	add := func(b ...Block) { d.Blocks = append(d.Blocks, b...) }
	add(Contents{}, Break{}, Break{})
	for i, w := range worst {
		add(Heading{Level: 1 + i%4, Text: Text{{Text: w, Mono: i%2 == 0}}, ID: fmt.Sprint("h", i)})
		for kind := Plain; kind <= Key; kind++ {
			add(Paragraph{Kind: kind, Text: Text{{Text: "before"}, {Text: w, Bold: true, Link: "#big", Page: true}, {Text: "after " + prose}}})
		}
		add(Code{Lines: []string{w, "", "\t" + w}})
	}
	wide := Table{ID: "big", Caption: Words(worst[1]), Columns: []Column{Left, Right}}
	for i := range 70 {
		wide.Head = append(wide.Head, Words(fmt.Sprint("column ", i)))
	}
	for range 3 {
		wide.Rows = append(wide.Rows, []Text{Words("W"), Words(worst[4])})
	}
	long := Table{Head: []Text{Words(worst[0]), Words("n"), Words("text")}, Columns: []Column{Left, Right, Left}}
	for i := range 200 {
		long.Rows = append(long.Rows, []Text{Words(worst[i%len(worst)]), Words(fmt.Sprint(i)), Words(prose)})
	}
	long.Rows = append(long.Rows, []Text{Words(strings.Repeat(prose, 60))})
	add(wide, long, Table{}, Table{ID: "empty"}, Table{Head: []Text{nil, Words("only a head")}}, Table{Rows: [][]Text{{}, {Words("a")}}, Small: true})
	add(Figure{}, Figure{Drawing: &drawing.Drawing{}}, Figure{Drawing: &drawing.Drawing{Width: 3000, Height: 100}}, Figure{Caption: Words(worst[0]), ID: "f"})
	tall := picture1()
	tall.Height = 5000
	add(Heading{Level: 2, Text: Words("tall")}, Figure{Drawing: tall, Caption: Words(prose)})
	deep := List{Items: [][]Block{{Paragraph{Text: Words("bottom " + worst[0])}, Code{Lines: []string{worst[3]}}}}}
	for i := range 40 {
		deep = List{Ordered: i%2 == 0, Items: [][]Block{{deep}, {}, {Paragraph{Text: Words(prose)}, deep}}[:2-i%2]}
	}
	add(deep, List{}, Paragraph{}, Code{}, Log{}, Log{ID: "none"})
	many := List{Ordered: true}
	for range 1200 {
		many.Items = append(many.Items, []Block{Paragraph{Text: Words("item")}})
	}
	add(many)
	log := Log{ID: "log"}
	for i := range 1000 {
		log.Lines = append(log.Lines, LogLine{Number: i*1001 + 1, Text: worst[i%len(worst)] + " " + prose, Strong: i%7 == 0})
	}
	add(Heading{Level: 2, Text: Words("log")}, log, Break{})
	return d
}

var documents = map[string]func() *Document{
	"small": small,
	"nasty": nasty,
	"empty": func() *Document { return &Document{} },
	"title": func() *Document { return &Document{Title: "Only a title"} },
	"log":   func() *Document { return long(12000) },
}

// long is a log of so many lines, and a text that names some of them.
func long(lines int) *Document {
	d := &Document{Title: "A long log", Date: time.Unix(0, 0)}
	log := Log{ID: "log"}
	var text Text
	for i := range lines {
		log.Lines = append(log.Lines, LogLine{Number: i + 1, Strong: i%50 == 0, Text: fmt.Sprintf(
			`{"ts":"2026-11-23T10:00:00.%09dZ","peer":"a","incarnation":1,"clock":%d,"event":"send","lock":"demo","token":0,"message":{"id":"a-1-%d","kind":"request","from":"a","to":"b"}}`, i, i, i)})
		if i%10 == 0 {
			text = append(text, Span{Text: "see ", Bold: true}, Span{Text: fmt.Sprint("a:", i+1), Link: "#" + LineID("log", i+1), Page: true}, Span{Text: ", "})
		}
	}
	d.Blocks = []Block{Contents{}, Heading{Level: 1, Text: Words("Text")}, Paragraph{Text: text}, Heading{Level: 1, Text: Words("Log")}, log}
	return d
}

func TestKeep(t *testing.T) {
	if *keep == "" {
		t.Skip("nothing is kept without -keep DIR")
	}
	for name, build := range documents {
		for kind, write := range map[string]func(*Document, io.Writer) error{"pdf": (*Document).PDF, "html": (*Document).HTML} {
			var b bytes.Buffer
			start := time.Now()
			if err := write(build(), &b); err != nil {
				t.Fatal(name, err)
			}
			t.Log(name, kind, b.Len(), "bytes", time.Since(start))
			if err := os.WriteFile(filepath.Join(*keep, name+"."+kind), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
