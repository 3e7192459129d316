package spacetime

import (
	"bufio"
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/report/drawing"
	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

var begin = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func merge(run tracetest.Trace) *trace.Merger {
	var readers []*trace.Reader
	for name := range run {
		readers = append(readers, trace.NewReader(name, bytes.NewReader(run.Text(name)), false))
	}
	return trace.Merge(readers...)
}

func collect(t *testing.T, m *trace.Merger, o Options) *Timeline {
	t.Helper()
	timeline, err := Collect(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return timeline
}

// script writes a trace by hand: one event after the other, a millisecond
// apart.
type script struct {
	run    tracetest.Trace
	now    time.Time
	number map[algo.PeerName]uint64
}

func newScript() *script {
	return &script{run: tracetest.Trace{}, now: begin, number: map[algo.PeerName]uint64{}}
}

func (s *script) event(peer algo.PeerName, clock algo.Time, e trace.Event) {
	e.At, e.Peer, e.Clock = s.now, peer, clock
	if e.Incarnation == 0 {
		e.Incarnation = 1
	}
	if e.Kind != trace.Start && e.Kind != trace.Stop && e.Kind != trace.Crash {
		e.Lock = "demo"
	}
	s.run[peer] = append(s.run[peer], e)
	s.now = s.now.Add(time.Millisecond)
}

func (s *script) send(from, to algo.PeerName, clock algo.Time, kind string) *trace.Message {
	s.number[from]++
	m := &trace.Message{ID: trace.MessageID{From: from, Incarnation: 1, Number: s.number[from]}, Kind: kind, From: from, To: to, Clock: clock}
	s.event(from, clock, trace.Event{Kind: trace.Send, Reason: "it must be", Message: m})
	return m
}

func (s *script) receive(m *trace.Message, clock algo.Time) {
	s.event(m.To, clock, trace.Event{Kind: trace.Receive, Message: m})
}

// small has all that there is: a wait, two holds, a loss, a kill, a restart, a
// message that is dropped, one that never arrives, and a long time in which
// nothing happens.
func small() *script {
	s := newScript()
	for _, peer := range []algo.PeerName{"a", "b", "c"} {
		s.event(peer, 1, trace.Event{Kind: trace.Start})
	}
	s.event("a", 2, trace.Event{Kind: trace.Request})
	ask := s.send("a", "b", 2, "ask")
	s.receive(ask, 3)
	s.receive(s.send("b", "a", 3, "vote"), 4)
	s.event("a", 4, trace.Event{Kind: trace.Enter, Token: 7, Reason: "it has the votes"})
	lost := s.send("b", "c", 3, "note")
	s.event("c", 3, trace.Event{Kind: trace.Request})
	s.event("c", 4, trace.Event{Kind: trace.Cancel})
	s.event("c", 4, trace.Event{Kind: trace.Crash})
	s.event("b", 3, trace.Event{Kind: trace.Drop, Message: lost})
	s.now = s.now.Add(300 * time.Millisecond)
	s.event("a", 5, trace.Event{Kind: trace.Lost, Token: 7, Reason: "its lease has run out"})
	s.event("b", 6, trace.Event{Kind: trace.Request})
	s.event("b", 6, trace.Event{Kind: trace.Enter, Token: 8})
	s.send("b", "c", 6, "news")
	s.event("c", 9, trace.Event{Kind: trace.Start, Incarnation: 2})
	s.event("a", 6, trace.Event{Kind: trace.Stop})
	return s
}

// text writes a drawing as text, for people who compare.
func text(d *drawing.Drawing) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%.0f x %.0f\n", d.Title, d.Description, d.Width, d.Height)
	for _, s := range d.Shapes {
		switch x := s.(type) {
		case drawing.Line:
			fmt.Fprintf(&b, "line %.1f ink %d dash %d arrow %v %q\n", x.Points, x.Ink, x.Dash, x.Arrow, x.Tip)
		case drawing.Box:
			fmt.Fprintf(&b, "box %.1f %.1f %.1f %.1f fill %d %q\n", x.X, x.Y, x.Width, x.Height, x.Fill, x.Tip)
		case drawing.Text:
			fmt.Fprintf(&b, "text %.1f %.1f turn %.1f ink %d %q\n", x.X, x.Y, x.Turn, x.Ink, x.Text)
		}
	}
	return b.String()
}

func TestPicture(t *testing.T) {
	pages := collect(t, merge(small().run), Options{}).Pages(400, 0)
	if len(pages) != 1 {
		t.Fatalf("%d pages without a height", len(pages))
	}
	got := text(pages[0])
	path := filepath.Join("testdata", "small.txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// recorded reads a trace of real peers from testdata.
func recorded(t *testing.T, path string) *trace.Merger {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	texts := map[algo.PeerName]*bytes.Buffer{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		_, rest, _ := strings.Cut(lines.Text(), `"peer":"`)
		name, _, _ := strings.Cut(rest, `"`)
		if texts[algo.PeerName(name)] == nil {
			texts[algo.PeerName(name)] = &bytes.Buffer{}
		}
		fmt.Fprintln(texts[algo.PeerName(name)], lines.Text())
	}
	var readers []*trace.Reader
	for name, text := range texts {
		readers = append(readers, trace.NewReader(name, text, false))
	}
	return trace.Merge(readers...)
}

// runs are traces to draw, each to be read anew as often as one likes.
func runs(t *testing.T) map[string]func() *trace.Merger {
	all := map[string]func() *trace.Merger{"small": func() *trace.Merger { return merge(small().run) }}
	paths, err := filepath.Glob(filepath.Join("testdata", "*.ndjson"))
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d recorded traces, %v", len(paths), err)
	}
	for _, path := range paths {
		all[filepath.Base(path)] = func() *trace.Merger { return recorded(t, path) }
	}
	for seed := range uint64(12) {
		run := tracetest.Play(tracetest.Config{
			Seed: seed, Peers: 2 + int(seed%8), Entries: 2, Cancel: seed%2 == 0, Kill: seed%3 == 0, Restart: seed%6 == 0,
		})
		all[fmt.Sprintf("seed %d", seed)] = func() *trace.Merger { return merge(run) }
	}
	crowd := tracetest.Play(tracetest.Config{Seed: 1, Peers: 14, Entries: 1})
	all["crowd"] = func() *trace.Merger { return merge(crowd) }
	return all
}

func TestFitName(t *testing.T) {
	for most, want := range map[int]string{14: "mutex-node-007", 13: "mute…node-007", 7: "mu…-007", 2: "…7"} {
		if got := fitName("mutex-node-007", float64(most)*6, 10); got != want {
			t.Errorf("%d characters: %q, want %q", most, got, want)
		}
	}
}

// TestEveryPicture holds what is true of every picture, of all runs, whole and
// in parts, on pages of several sizes.
func TestEveryPicture(t *testing.T) {
	for name, open := range runs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := collect(t, open(), Options{Upkeep: true})
			options := []Options{{}, {Upkeep: true}, {Most: 5}}
			end := whole.rows[len(whole.rows)-1].at.Sub(whole.begin)
			if end > 4*time.Millisecond {
				options = append(options, Options{From: end / 3, To: 2 * end / 3})
			}
			stories, err := story.Collect(open().Events(), "demo")
			if err != nil {
				t.Fatal(err)
			}
			for k := 1; k <= stories.Entries(); k += 4 {
				path, err := stories.Path(k)
				if err != nil {
					t.Fatal(err)
				}
				options = append(options, Options{Path: path})
			}
			for _, o := range options {
				timeline, err := Collect(open(), o)
				if err != nil && (o.From == 0 || !strings.HasPrefix(err.Error(), "nothing happened")) {
					t.Fatal(err)
				}
				if err != nil {
					continue
				}
				checkOrder(t, timeline)
				for _, size := range [][2]float64{{760, 1000}, {515, 740}, {760, 0}, {300, 300}} {
					pages := timeline.Pages(size[0], size[1])
					for _, p := range pages {
						checkPage(t, p, max(size[1], 0))
					}
					checkComplete(t, timeline, pages)
				}
			}
		})
	}
}

// checkOrder wants time to run downwards: within a peer, along every arrow, and
// by the clock at the ruler.
func checkOrder(t *testing.T, tl *Timeline) {
	t.Helper()
	last := make([]*step, len(tl.peers))
	for i, r := range tl.rows {
		if i > 0 && r.at.Before(tl.rows[i-1].at) {
			t.Errorf("row %d is before row %d", i, i-1)
		}
		for _, st := range r.steps {
			if before := last[st.who]; before != nil && (before.seq > st.seq || before.row >= st.row) {
				t.Errorf("%s goes back from %d to %d", tl.peers[st.who], before.row, st.row)
			}
			last[st.who] = st
		}
	}
	for _, a := range tl.arrows {
		if shown(a.sent) && shown(a.received) && a.sent.row >= a.received.row {
			t.Errorf("message %s goes from row %d to row %d", a.kind, a.sent.row, a.received.row)
		}
	}
}

// checkPage wants arrows to point downwards, all shapes on the page, texts apart,
// and no cross below one.
func checkPage(t *testing.T, d *drawing.Drawing, height float64) {
	t.Helper()
	if height > 0 && d.Height > max(height, leastHeight) {
		t.Errorf("%s is %.0f high, more than %.0f", d.Title, d.Height, height)
	}
	var texts []drawing.Text
	var crosses []quad
	in := func(what any, points ...drawing.Point) {
		for _, p := range points {
			if p.X < 0 || p.Y < 0 || p.X > d.Width || p.Y > d.Height {
				t.Errorf("%s, %.0f x %.0f: %+v is not on the page", d.Title, d.Width, d.Height, what)
				return
			}
		}
	}
	for _, s := range d.Shapes {
		switch x := s.(type) {
		case drawing.Line:
			in(x, x.Points...)
			if x.Width == 1.8 && len(x.Points) == 2 {
				crosses = append(crosses, segment(x.Points[0], x.Points[1]))
			}
			if x.Arrow && x.Tip != "" && !slices.IsSortedFunc(x.Points, func(a, b drawing.Point) int { return cmp.Compare(a.Y, b.Y) }) {
				t.Errorf("%s: arrow %q points up", d.Title, x.Tip)
			}
		case drawing.Box:
			in(x, drawing.Point{X: x.X, Y: x.Y}, drawing.Point{X: x.X + x.Width, Y: x.Y + x.Height})
			if x.Width <= 0 || x.Height <= 0 {
				t.Errorf("%s: an empty box %+v", d.Title, x)
			}
		case drawing.Text:
			patch := x.Patch()
			in(x, patch[:]...)
			texts = append(texts, x)
		}
	}
	for i, a := range texts {
		for _, b := range texts[:i] {
			if quad(a.Patch()).meets(quad(b.Patch())) {
				t.Errorf("%s: %q lies over %q", d.Title, a.Text, b.Text)
			}
		}
		for _, c := range crosses {
			if quad(a.Patch()).meets(c) {
				t.Errorf("%s: %q lies over a cross at %.0f, %.0f", d.Title, a.Text, c[0].X, c[0].Y)
			}
		}
	}
}

// checkComplete wants every message, hold and step on some page.
func checkComplete(t *testing.T, tl *Timeline, pages []*drawing.Drawing) {
	t.Helper()
	dots, tips := 0, map[string]int{}
	for _, p := range pages {
		for _, s := range p.Shapes {
			switch x := s.(type) {
			case drawing.Box:
				if x.Width == 2*dotHalf && strings.Contains(x.Tip, "Lamport time") {
					dots++
				}
			case drawing.Line:
				for _, tip := range strings.Split(x.Tip, "\n") {
					tips[tip]++
				}
			}
		}
	}
	if dots != len(tl.steps) {
		t.Errorf("%d steps are drawn, of %d", dots, len(tl.steps))
	}
	p := &page{sheet: &sheet{Timeline: tl}}
	for _, a := range tl.arrows {
		if tips[p.tip(a)] == 0 {
			t.Errorf("message %q is not drawn", p.tip(a))
		}
	}
}

// TestLongPage wants names to be said again where the first ones are far away.
func TestLongPage(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 4, Entries: 12})
	page := collect(t, merge(run), Options{}).Pages(760, 0)[0]
	said := map[string]int{}
	for _, s := range page.Shapes {
		if x, ok := s.(drawing.Text); ok {
			said[x.Text]++
		}
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if n := said[name]; page.Height < 2*nameEvery || n < int(page.Height/nameEvery) {
			t.Errorf("%s is said %d times, and the page is %.0f high", name, n, page.Height)
		}
	}
}

// TestPagesEndWhereItIsQuiet wants no page to end while a message is on its
// way, if that can be had.
func TestPagesEndWhereItIsQuiet(t *testing.T) {
	s := newScript()
	for i := range 40 {
		s.receive(s.send("a", "b", algo.Time(2+2*i), "ask"), algo.Time(3+2*i))
		s.now = s.now.Add(2 * time.Millisecond)
	}
	for height := 500.0; height < 600; height += 7 {
		for _, p := range collect(t, merge(s.run), Options{}).Pages(400, height) {
			if strings.Contains(text(p), "to b, p.") {
				t.Errorf("at a height of %.0f: %s ends with a message on its way", height, p.Title)
			}
		}
	}
}

// TestPagesGoOn wants an arrow that leaves a page to come back on the next, and
// both to say so.
func TestPagesGoOn(t *testing.T) {
	s := newScript()
	for _, peer := range []algo.PeerName{"a", "b"} {
		s.event(peer, 1, trace.Event{Kind: trace.Start})
	}
	slow := s.send("a", "b", 2, "slow")
	for i := range 30 {
		s.event("a", algo.Time(3+2*i), trace.Event{Kind: trace.Request})
		s.event("a", algo.Time(4+2*i), trace.Event{Kind: trace.Cancel})
	}
	s.receive(slow, 70)
	pages := collect(t, merge(s.run), Options{}).Pages(400, 500)
	if len(pages) < 3 {
		t.Fatalf("%d pages", len(pages))
	}
	for i, p := range pages {
		marks, arrows := []string{}, 0
		for _, s := range p.Shapes {
			if x, ok := s.(drawing.Text); ok && (strings.HasPrefix(x.Text, "from a") || strings.HasPrefix(x.Text, "to b")) {
				marks = append(marks, x.Text)
			}
			if x, ok := s.(drawing.Line); ok && strings.HasPrefix(x.Tip, "slow") {
				arrows++
			}
		}
		var want []string
		if i > 0 {
			want = append(want, "from a, p. 1")
		}
		if i < len(pages)-1 {
			want = append(want, fmt.Sprintf("to b, p. %d", len(pages)))
		}
		if arrows != 1 || !slices.Equal(marks, want) {
			t.Errorf("page %d has %d pieces of the arrow and says %q, want %q", i+1, arrows, marks, want)
		}
	}
}
