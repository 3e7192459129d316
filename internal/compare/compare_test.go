package compare

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/report/drawing"
	"github.com/conchlock/conch/internal/trace"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// algorithms are those of the roster that are named, all if none is.
func algorithms(t testing.TB, names ...string) []Algorithm {
	t.Helper()
	if len(names) == 0 {
		names = roster.Names()
	}
	var list []Algorithm
	for _, name := range names {
		create, err := roster.New(name)
		if err != nil {
			t.Fatal(err)
		}
		cost, _ := roster.CostOf(name)
		list = append(list, Algorithm{Name: name, New: create, Leases: roster.Leases(name), Light: Formula(cost.Light), Heavy: Formula(cost.Heavy)})
	}
	return list
}

// compared plays a plan.
func compared(t testing.TB, p *Plan) *Result {
	t.Helper()
	r := &Result{Unit: "T", Seed: p.Seed, Entries: p.Entries}
	if err := Simulate(p, func(x Row) error {
		r.Rows = append(r.Rows, x)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

// exact are the algorithms of which every entry costs the same, whoever makes it
// and whoever waits; whole are those of which an entry costs a number or nothing.
var (
	exact = []string{"ricart-agrawala", "lamport"}
	whole = []string{"suzuki-kasami", "relay"}
)

// Under light load an entry costs what the paper says, to the message.
func TestFormulasLight(t *testing.T) {
	peers := []int{1, 2, 3, 5, 9, 31}
	for _, x := range compared(t, &Plan{Algorithms: algorithms(t, exact...), Peers: peers, Loads: []Load{Light}, Entries: 50, Seed: 1}).Rows {
		if x.Messages != x.Most || x.Least != x.Most || float64(x.Median) != x.Most || float64(x.Max) != x.Most {
			t.Errorf("%+v", x)
		}
		if want := math.Min(2, float64(2*(x.Peers-1))); x.WaitP50 != want || x.WaitP99 != want || x.Handoffs > 0 {
			t.Errorf("delays: %+v", x)
		}
	}
	for _, x := range compared(t, &Plan{Algorithms: algorithms(t, whole...), Peers: peers[2:], Loads: []Load{Light}, Entries: 100, Seed: 1}).Rows {
		if x.Median != x.Peers || x.Algorithm != "relay" && x.Max != x.Peers {
			t.Errorf("%+v", x)
		}
	}
}

// Of many entries the mean is what the formula says, for every algorithm and every
// shape of it, within chance; and no entry takes more than the most that there is.
func TestFormulas(t *testing.T) {
	list := algorithms(t, append(roster.Names(), roster.Variants()...)...)
	peers := []int{1, 2, 4, 5, 9}
	for _, x := range compared(t, &Plan{Algorithms: list, Peers: peers, Loads: []Load{Light, Heavy}, Entries: 600, Seed: 1}).Rows {
		slack := 0.1 * x.Most
		if x.Load == Heavy {
			slack = 0.01 * x.Most
		}
		if x.Messages < x.Least-slack || x.Messages > x.Most+slack {
			t.Errorf("%s, %d peers, %s load: %.3f messages an entry, %s is %.3f to %.3f", x.Algorithm, x.Peers, x.Load, x.Messages, x.Formula, x.Least, x.Most)
		}
		for _, a := range list {
			if a.Name == x.Algorithm && x.Load == Light && a.Light.Most != nil && float64(x.Max) > a.Light.Most(x.Peers) && x.Peers > 1 {
				t.Errorf("%s, %d peers: an entry took %d messages", x.Algorithm, x.Peers, x.Max)
			}
		}
		if x.Load == Heavy && (x.Jain < 0.999 || x.Peers > 1 && x.Handoff < 1) {
			t.Errorf("%+v", x)
		}
		if x.Peers > 1 && x.Bytes < 5*x.Messages {
			t.Errorf("%d peers, %s: %.0f bytes for %.1f messages", x.Peers, x.Algorithm, x.Bytes, x.Messages)
		}
	}
}

// A run's row is what conch check says of the same run, from files.
func TestAgreesWithCheck(t *testing.T) {
	p := &Plan{Algorithms: algorithms(t), Peers: []int{4}, Loads: Loads(), Entries: 40, Seed: 5}
	for _, want := range compared(t, p).Rows {
		a := algorithms(t, want.Algorithm)[0]
		record, stats, err := contest(p, a, 4, want.Load).Run()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, s := range record.Sources() {
			var text []byte
			for l := (trace.Line{}); s.Next(&l) != io.EOF; {
				text = trace.AppendEvent(text, &l.Event)
			}
			if err := os.WriteFile(filepath.Join(dir, string(s.Peer())+trace.Suffix), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		verdict, err := check.Dir(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Measure(verdict, a, 4, want.Load, time.Duration(T))
		if err != nil {
			t.Fatal(err)
		}
		got.Bytes = want.Bytes // no trace has them
		if got != want {
			t.Errorf("compare says\n%+v\ncheck says\n%+v", want, got)
		}
		l := verdict.Locks[0]
		if want.Messages != l.PerEntry || want.Messages != verdict.Totals.PerEntry || want.Entries != verdict.Totals.Entries || want.Jain != l.JainEntries ||
			math.Abs(want.WaitP99*float64(T)-float64(verdict.Totals.Wait.P99)) > 1 || want.Entries != stats.Entries {
			t.Errorf("compare says\n%+v\nthe report says\n%+v", want, verdict.Totals)
		}
	}
}

// What is not known to be sound has no figures.
func TestMeasureRefuses(t *testing.T) {
	a := algorithms(t, "relay")[0]
	for _, r := range []*check.Report{
		{Verdict: check.Unknown, Locks: []check.Lock{{Entries: 1}}},
		{Verdict: check.False, Findings: []check.Finding{{Text: "two inside"}}, Locks: []check.Lock{{Entries: 1}}},
		{Verdict: check.True},
	} {
		if _, err := Measure(r, a, 3, Heavy, time.Microsecond); err == nil {
			t.Errorf("%+v: no error", r)
		}
	}
}

// deaths says without how many of five peers the others go on: if it wanted
// nothing, and if it was inside.
var deaths = map[string][2]int{
	"relay": {5, 5}, "ricart-agrawala": {0, 0}, "token-ring": {0, 0}, "lamport": {0, 0},
	"suzuki-kasami": {5, 0}, "maekawa": {0, 0}, "raymond": {3, 0}, "naimi-trehel": {5, 0},
}

func TestDeaths(t *testing.T) {
	p := &Plan{Seed: 1}
	for _, a := range algorithms(t) {
		list, err := Deaths(p, a)
		if err != nil {
			t.Fatal(err)
		}
		want, known := deaths[a.Name]
		for i, d := range list {
			if d.GoOn+d.Wait != DeathPeers || !known || d.GoOn != want[i] || d.Inside != (i == 1) {
				t.Errorf("%s: %+v, want that the others go on %d times", a.Name, d, want[i])
			}
		}
		if a.Name == "relay" && (list[0].Leases > 0.2 || list[1].Leases < 0.9 || list[1].Leases > 1.2) {
			t.Errorf("relay: %+v", list)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// small is a comparison whose outputs are kept.
func small(t *testing.T) *Result {
	p := &Plan{Algorithms: algorithms(t, "relay", "lamport", "raymond"), Peers: []int{1, 3, 4}, Loads: Loads(), Entries: 30, Seed: 7}
	r := compared(t, p)
	for _, a := range p.Algorithms {
		d, err := Deaths(p, a)
		if err != nil {
			t.Fatal(err)
		}
		r.Deaths = append(r.Deaths, d...)
	}
	return r
}

func TestGolden(t *testing.T) {
	r := small(t)
	deaths, survey := &Result{Unit: "T", Deaths: r.Deaths}, &Result{Unit: "T"}
	for _, x := range r.Rows {
		if x.Peers == 4 {
			survey.Rows = append(survey.Rows, x)
		}
	}
	for name, write := range map[string]func(io.Writer) error{"small.txt": r.WriteText, "small.md": r.WriteMarkdown, "deaths.md": deaths.WriteMarkdown,
		"survey.md": survey.WriteMarkdown, "small.csv": r.WriteCSV} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
	d := r.Chart()
	lines := []string{fmt.Sprintf("%gx%g %s\n%s", d.Width, d.Height, d.Title, d.Description)}
	for _, s := range d.Shapes {
		lines = append(lines, strings.TrimPrefix(fmt.Sprintf("%T %+v", s, s), "drawing."))
	}
	golden(t, "chart.txt", strings.Join(lines, "\n")+"\n")
}

// The CSV and the JSON say the same, and are read back.
func TestFormats(t *testing.T) {
	r := small(t)
	var text bytes.Buffer
	if err := r.WriteCSV(&text); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&text).ReadAll()
	if err != nil || len(lines) != len(r.Rows)+1 {
		t.Fatalf("%d lines of %d runs, %v", len(lines), len(r.Rows), err)
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Runs   []map[string]any `json:"runs"`
		Deaths []map[string]any `json:"deaths"`
	}
	if err := json.Unmarshal(encoded, &back); err != nil || len(back.Runs) != len(r.Rows) || len(back.Deaths) != len(r.Deaths) {
		t.Fatal(err)
	}
	for i, line := range lines[1:] {
		for j, name := range lines[0] {
			switch want := back.Runs[i][name].(type) {
			case nil: // left out, or the unit
				if name != "unit" && line[j] != "0" {
					t.Errorf("line %d: %s is %s, and nothing in JSON", i+1, name, line[j])
				}
			case string:
				if line[j] != want {
					t.Errorf("line %d: %s is %s, in JSON %s", i+1, name, line[j], want)
				}
			case float64:
				if got, err := strconv.ParseFloat(line[j], 64); err != nil || math.Abs(got-want) > 1e-5*max(1, want) {
					t.Errorf("line %d: %s is %s, in JSON %v", i+1, name, line[j], want)
				}
			}
		}
	}
}

// Everything that is drawn lies within the picture, names do not overlap, and
// lines are told apart without colour.
func TestChart(t *testing.T) {
	r := compared(t, &Plan{Algorithms: algorithms(t), Peers: []int{3, 6, 9}, Loads: []Load{Light, Heavy}, Entries: 20, Seed: 1})
	d := r.Chart()
	inside := func(x, y float64) {
		t.Helper()
		if x < 0 || y < 0 || x > d.Width || y > d.Height || math.IsNaN(x+y) {
			t.Errorf("(%v, %v) is outside", x, y)
		}
	}
	dashes := make(map[string]map[string]bool)
	names := make(map[float64][]float64)
	for _, s := range d.Shapes {
		switch s := s.(type) {
		case drawing.Line:
			for _, p := range s.Points {
				inside(p.X, p.Y)
			}
			if s.Tip != "" && len(s.Points) == 3 && s.Width == 1.2 {
				look := fmt.Sprint(s.Dash, s.Ink)
				if dashes[look] == nil {
					dashes[look] = make(map[string]bool)
				}
				dashes[look][s.Tip] = true
			}
		case drawing.Text:
			inside(s.X, s.Y)
			if s.Anchor == drawing.Start {
				inside(s.X+drawing.TextWidth(s.Text, s.Size), s.Y)
			}
			if s.Size == labelSize && s.Anchor == drawing.Start {
				names[s.X] = append(names[s.X], s.Y)
			}
		}
	}
	if len(dashes) != len(roster.Names()) {
		t.Errorf("%d looks of lines: %v", len(dashes), dashes)
	}
	for _, ys := range names {
		for i := 1; i < len(ys); i++ {
			if ys[i]-ys[i-1] < labelSize {
				t.Errorf("names overlap: %v", ys)
			}
		}
	}
	if len(names) != 2 {
		t.Errorf("names at %v", names)
	}
}
