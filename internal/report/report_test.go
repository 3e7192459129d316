package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/report/document"
	"github.com/conchlock/conch/internal/report/drawing"
	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// write writes the traces of a run into a folder.
func write(t testing.TB, run tracetest.Trace) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range run.Names() {
		put(t, dir, string(name)+trace.Suffix, run.Text(name))
	}
	return dir
}

func put(t testing.TB, dir, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func options() Options {
	return Options{Module: "example.org/conch", Algorithms: func(string) *Algorithm { return nil }, LogLines: 600}
}

// compose makes a report and sets it both ways, which finds references that
// lead nowhere.
func compose(t testing.TB, o Options, dirs ...string) *document.Document {
	t.Helper()
	d, err := Compose(dirs, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.HTML(io.Discard); err != nil {
		t.Fatalf("as HTML: %v", err)
	}
	if err := d.PDF(io.Discard); err != nil {
		t.Fatalf("as PDF: %v", err)
	}
	return d
}

// text is all that a report says, a block or a row on each line.
func text(blocks []document.Block) string {
	var b strings.Builder
	for _, block := range blocks {
		switch x := block.(type) {
		case document.Heading:
			fmt.Fprintf(&b, "%s %s\n", strings.Repeat("#", x.Level), plainText(x.Text))
		case document.Paragraph:
			fmt.Fprintln(&b, plainText(x.Text))
		case document.List:
			for _, item := range x.Items {
				b.WriteString("- " + text(item))
			}
		case document.Table:
			for _, row := range append([][]document.Text{x.Head}, x.Rows...) {
				var cells []string
				for _, cell := range row {
					cells = append(cells, plainText(cell))
				}
				fmt.Fprintln(&b, strings.Join(cells, " | "))
			}
		case document.Figure:
			fmt.Fprintf(&b, "[%s] %s\n", x.Drawing.Title, plainText(x.Caption))
		case document.Log:
			for _, l := range x.Lines {
				fmt.Fprintf(&b, "%d %s\n", l.Number, l.Text)
			}
		}
	}
	return b.String()
}

// configs are runs of many kinds.
func configs() []tracetest.Config {
	var list []tracetest.Config
	for seed := range uint64(24) {
		list = append(list, tracetest.Config{
			Seed: seed, Peers: 1 + int(seed%5), Entries: 1 + int(seed%4), Locks: 1 + int(seed%3),
			Cancel: seed%2 == 0, Kill: seed%3 == 0, Restart: seed%6 == 0, Cheat: seed%8 == 7,
		})
	}
	return append(list, tracetest.Config{Seed: 99, Peers: 31, Entries: 1})
}

// TestNumbersAgree wants every number of the report that the checker has, too, to
// be the checker's.
func TestNumbersAgree(t *testing.T) {
	for _, c := range configs() {
		dir := write(t, tracetest.Play(c))
		verdict, err := check.Dir(dir)
		if err != nil {
			t.Fatal(err)
		}
		r, err := readRun(dir, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		said := text(compose(t, options(), dir).Blocks)
		wants := []string{"Verdict: " + verdictIn(verdict.Verdict), fmt.Sprintf("the logs have %d event", verdict.Totals.Events)}
		if l := r.figures(); l != nil && l.Entries > 0 {
			wants = append(wants,
				fmt.Sprintf("mean | %.2f | %s for %s", l.PerEntry, count(l.Messages, "message"), count(l.Entries, "entry")),
				fmt.Sprintf("messages for an entry, median | %d |", l.Cost.Median),
				fmt.Sprintf("messages for an entry, most | %d |", l.Cost.Max),
				fmt.Sprintf("fairness by entries | %.2f |", l.JainEntries),
				fmt.Sprintf("| %d | ", r.lock.entries[0].token))
			if l.Entries != len(r.lock.entries) {
				t.Errorf("%+v: %d entries, the checker counts %d", c, len(r.lock.entries), l.Entries)
			}
		}
		for _, x := range verdict.Rules {
			wants = append(wants, x.Name+" | "+map[check.Verdict]string{check.True: "holds", check.False: "BROKEN", check.Unknown: "unknown"}[x.Verdict]+" | "+x.Rests)
		}
		for _, want := range wants {
			if !strings.Contains(said, want) {
				t.Errorf("%+v: the report does not say %q", c, want)
			}
		}
	}
}

// TestWindowsLoseNothing wants a story that is told from a part of a run to be
// the one that is told from all of it.
func TestWindowsLoseNothing(t *testing.T) {
	for _, c := range configs() {
		dir := write(t, tracetest.Play(c))
		r, err := readRun(dir, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		if r.lock == nil {
			continue
		}
		m, err := r.merger()
		if err != nil {
			t.Fatal(err)
		}
		all, err := story.Collect(m.Events(), r.lock.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.lock.entries {
			whole, err := all.Tell(e.number)
			if err != nil {
				t.Fatal(err)
			}
			list, err := r.tell(r.lock, e)
			if err != nil || len(list) != 1 {
				t.Fatalf("%+v, entry %d: %d stories, %v", c, e.number, len(list), err)
			}
			if got, want := strings.Join(list[0].story.Lines(), "\n"), strings.Join(whole.Lines(), "\n"); got != want {
				t.Errorf("%+v, entry %d: from the part\n%s\nfrom all\n%s", c, e.number, got, want)
			}
		}
	}
}

// TestSameRunSameBytes wants equal files of equal traces, wherever they are.
func TestSameRunSameBytes(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 4, Entries: 3, Locks: 2, Cancel: true})
	var first [2][]byte
	for i := range 3 {
		dir := filepath.Join(t.TempDir(), "run")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range run.Names() {
			put(t, dir, string(name)+trace.Suffix, run.Text(name))
		}
		d, err := Compose([]string{dir}, options())
		if err != nil {
			t.Fatal(err)
		}
		var pdf, html bytes.Buffer
		if err := d.PDF(&pdf); err != nil {
			t.Fatal(err)
		}
		if err := d.HTML(&html); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = [2][]byte{pdf.Bytes(), html.Bytes()}
			continue
		}
		if !bytes.Equal(pdf.Bytes(), first[0]) || !bytes.Equal(html.Bytes(), first[1]) {
			t.Error("equal runs, other bytes")
		}
	}
}

// TestDamaged makes reports of runs from which something is missing.
func TestDamaged(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 5, Peers: 3, Entries: 4, Locks: 2, Kill: true, Restart: true})
	for at := range 12 {
		damages := map[string]func(text []byte) []byte{
			"cut at the end":   func(text []byte) []byte { return text[:len(text)*at/12] },
			"without a middle": func(text []byte) []byte { return slices.Concat(text[:len(text)*at/24], text[len(text)*(at+8)/24:]) },
			"with garbage": func(text []byte) []byte {
				return slices.Concat(text[:len(text)*at/12], []byte("\x00\xffgarbage\n"), text)
			},
		}
		for what, damage := range damages {
			dir := write(t, run)
			put(t, dir, "b"+trace.Suffix, damage(run.Text("b")))
			said := text(compose(t, options(), dir).Blocks)
			if strings.Contains(said, "Verdict: sound") && what != "cut at the end" {
				t.Errorf("b %s at %d of 12: the report calls the run sound", what, at)
			}
		}
	}
	dir := write(t, run)
	if err := os.Remove(filepath.Join(dir, "c"+trace.Suffix)); err != nil {
		t.Fatal(err)
	}
	if said := text(compose(t, options(), dir).Blocks); !strings.Contains(said, "the trace of peer c (c.ndjson) is missing") {
		t.Error("the report does not say that a trace is missing")
	}
}

// TestNothingHappened makes a report of peers that only started.
func TestNothingHappened(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a"+trace.Suffix, tracetest.Play(tracetest.Config{Peers: 1, Entries: 1}).Text("a")[:0])
	said := text(compose(t, options(), dir).Blocks)
	if !strings.Contains(said, "Nobody wanted a lock.") {
		t.Errorf("the report says\n%s", said)
	}
	if _, err := Compose([]string{t.TempDir()}, options()); err == nil || !strings.Contains(err.Error(), "no trace") {
		t.Errorf("of an empty folder: %v", err)
	}
	if _, err := Compose([]string{write(t, tracetest.Play(tracetest.Config{Peers: 2, Entries: 1}))}, Options{Lock: "none"}); err == nil || !strings.Contains(err.Error(), `no lock "none"; there are "demo"`) {
		t.Errorf("of a lock that is not there: %v", err)
	}
}

// TestAlgorithms makes reports of runs of one algorithm, of two, and of one that
// nobody knows.
func TestAlgorithms(t *testing.T) {
	o := options()
	o.Algorithms = func(name string) *Algorithm {
		if name != "simple" && name != "other" {
			return nil
		}
		four := func(n int) (least, most float64) { return 2 * float64(n-1), 2 * float64(n-1) }
		chapter := "# " + name + ": how it works\n\nIt asks.\n\n<!-- aside: not here -->\n\n## A run\n\nElsewhere.\n\n<!-- end of aside -->\n\n## Cost\n\nSee [the run](#a-run), [rules](other.md#rules).\n"
		return &Algorithm{Name: name, Chapter: []byte(chapter), Light: Formula{Text: "2(N-1)", Mean: four}, Heavy: Formula{Text: "2(N-1)", Mean: four}}
	}
	for _, c := range []struct {
		runs       []string // of the peers a, b, and of the others
		want, wont string
	}{
		{[]string{"simple", "simple", "simple"}, "# simple: how it works\nIt asks.\n## Cost\n", "Elsewhere"},
		{[]string{"simple", "simple", "simple"}, "Measured and formula agree: 4.00 messages for an entry, at any load.", ""},
		{[]string{"simple", "other", "simple"}, "2 different algorithms ([other simple]), so they refused each other", "Measured and formula"},
		{[]string{"none", "none", "none"}, "the algorithm none, 9 entries", "how it works"},
		{[]string{"", "", ""}, "an algorithm that the logs do not name, 9 entries", "how it works"},
	} {
		run := tracetest.Play(tracetest.Config{Seed: 1, Peers: 3, Entries: 3})
		for i, name := range run.Names() {
			for j := range run[name] {
				if e := &run[name][j]; e.Kind == trace.Start {
					e.Algorithm = c.runs[i]
				}
			}
		}
		said := text(compose(t, o, write(t, run)).Blocks)
		if !strings.Contains(said, c.want) || c.wont != "" && strings.Contains(said, c.wont) {
			t.Errorf("%q: want %q, and not %q, in\n%.3000s", c.runs, c.want, c.wont, said)
		}
	}
}

// TestNames has locks with names that nobody would choose.
func TestNames(t *testing.T) {
	names := []string{"with spaces", "<script>alert(1)</script>", "[brackets](x)", "\U0001f512 emoji", strings.Repeat("long", 50), "\u202eturned", "a\nb", `"quotes"`}
	for i, name := range names {
		dir := write(t, renamed(tracetest.Play(tracetest.Config{Seed: uint64(i), Peers: 3, Entries: 2, Locks: 2}), name))
		o := options()
		o.Lock = name
		var b bytes.Buffer
		if err := compose(t, o, dir).HTML(&b); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b.Bytes(), []byte("<script")) {
			t.Errorf("the name %q gets into the page as it is", name)
		}
	}
}

// renamed gives the first lock of a run another name.
func renamed(run tracetest.Trace, name string) tracetest.Trace {
	for _, events := range run {
		for i := range events {
			if events[i].Lock == "demo" {
				events[i].Lock = name
			}
		}
	}
	return run
}

// TestLongLogsAreCut wants an appendix with the lines that are referred to, and a
// note of where the others are.
func TestLongLogsAreCut(t *testing.T) {
	dir := write(t, tracetest.Play(tracetest.Config{Seed: 6, Peers: 3, Entries: 40, Kill: true, Restart: true}))
	o := options()
	o.LogLines = 40
	d := compose(t, o, dir)
	lines := 0
	for _, b := range d.Blocks {
		if l, ok := b.(document.Log); ok {
			lines += len(l.Lines)
		}
	}
	verdict, err := check.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if said := text(d.Blocks); lines < 40 || lines > verdict.Totals.Events*2/3 || !strings.Contains(said, "left out here; a.ndjson in the run's folder has them") {
		t.Errorf("%d lines of %d in the appendix", lines, verdict.Totals.Events)
	}
	o.LogLines = 0
	lines = 0
	for _, b := range compose(t, o, dir).Blocks {
		if l, ok := b.(document.Log); ok {
			lines += len(l.Lines)
		}
	}
	if lines != verdict.Totals.Events {
		t.Errorf("%d lines of %d in the appendix, and none is said to be left out", lines, verdict.Totals.Events)
	}
}

// TestNoFile has a folder where the shared file should be.
func TestNoFile(t *testing.T) {
	dir := write(t, tracetest.Play(tracetest.Config{Seed: 1, Peers: 2, Entries: 1}))
	if err := os.Mkdir(filepath.Join(dir, check.SectionFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Compose([]string{dir}, options()); err == nil || !strings.Contains(err.Error(), check.SectionFile+": it is no regular file") {
		t.Errorf("error %v", err)
	}
}

// TestFilesOfOnePeer has peers with names like those of other things, and a trace
// whose beginning was put aside.
func TestFilesOfOnePeer(t *testing.T) {
	names := map[algo.PeerName]algo.PeerName{"a": "a-1", "b": "a.1", "c": "a", "d": "a-1-1"}
	run := tracetest.Trace{}
	for name, events := range tracetest.Play(tracetest.Config{Seed: 2, Peers: 4, Entries: 2}) {
		for _, e := range events {
			e.Peer = names[e.Peer]
			if e.Message != nil {
				e.Message.From, e.Message.To, e.Message.ID.From = names[e.Message.From], names[e.Message.To], names[e.Message.ID.From]
			}
			run[names[name]] = append(run[names[name]], e)
		}
	}
	dir := write(t, run)
	text := run.Text("a")
	half := bytes.IndexByte(text[len(text)/2:], '\n') + len(text)/2 + 1
	put(t, dir, "a.ndjson.1", text[:half])
	put(t, dir, "a.ndjson", text[half:])
	if d := compose(t, options(), dir, dir); !strings.Contains(fmt.Sprint(d.Blocks), "a/1:") {
		t.Error("no line of what was put aside is referred to")
	}
}

// TestNoExits has a record without any exit, and must not take for ever.
func TestNoExits(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 2, Peers: 2, Entries: 1500})
	for name, events := range run {
		run[name] = slices.DeleteFunc(events, func(e trace.Event) bool { return e.Kind == trace.Exit })
	}
	r, err := readRun(write(t, run), 1, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.lock.entries {
		// Of each peer the present hold, and the one that the present one has ended.
		if n := len(r.lock.between(e)); n > 2*2 {
			t.Fatalf("entry %d comes after %d holds that last, of 2 peers", e.number, n)
		}
	}
}

// TestPicturesOfManyPeers wants what is written in pictures to be large enough
// for paper, where they are as wide as the text at most.
func TestPicturesOfManyPeers(t *testing.T) {
	const textWidth, least = 481, 4.6
	dir := write(t, tracetest.Play(tracetest.Config{Seed: 1, Peers: 31, Entries: 1}))
	d, err := Compose([]string{dir}, options())
	if err != nil {
		t.Fatal(err)
	}
	pictures := 0
	for _, b := range d.Blocks {
		f, ok := b.(document.Figure)
		if !ok {
			continue
		}
		pictures++
		for _, s := range f.Drawing.Shapes {
			if x, ok := s.(drawing.Text); ok && x.Size*min(1, textWidth/f.Drawing.Width) < least {
				t.Fatalf("%s: %q is printed in %.1f points", f.Drawing.Title, x.Text, x.Size*textWidth/f.Drawing.Width)
			}
		}
	}
	if pictures == 0 {
		t.Error("there is no picture")
	}
}
