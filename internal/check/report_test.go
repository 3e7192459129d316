package check

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// sectionOf is the shared file of a sound run.
func sectionOf(run tracetest.Trace) []string {
	list := holds(run)
	slices.SortFunc(list, func(a, b [2]*trace.Event) int { return int(a[0].Token) - int(b[0].Token) })
	var lines []string
	for _, h := range list {
		lines = append(lines, fmt.Sprintf("enter %s %d\n", h[0].Peer, h[0].Token), fmt.Sprintf("exit %s %d\n", h[0].Peer, h[0].Token))
	}
	return lines
}

func TestSection(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 4, Peers: 3, Entries: 2})
	dir := write(t, texts(run))
	lines := sectionOf(run)
	with := func(edit func(l []string) []string) string { return strings.Join(edit(slices.Clone(lines)), "") }
	for _, c := range []struct {
		name, text string
		want       Verdict
		says       string
	}{
		{"as it was", with(func(l []string) []string { return l }), True, ""},
		{"two inside", with(func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }), False, "another enters before it has left"},
		{"no exit", with(func(l []string) []string { return slices.Delete(l, 1, 2) }), False, "another enters before it has left"},
		{"no last exit", with(func(l []string) []string { return l[:len(l)-1] }), Unknown, "the exit of c (token 20) is missing"},
		{"other order", with(func(l []string) []string { l[0], l[1], l[2], l[3] = l[2], l[3], l[0], l[1]; return l }), False, "tokens must grow"},
		{"unknown entry", with(func(l []string) []string { return append(l, "enter b 900\n", "exit b 900\n") }), Unknown, "no trace knows that b entered with token 900"},
		{"missing entry", with(func(l []string) []string { return l[2:] }), Unknown, "the shared file does not know it"},
		{"empty", "", Unknown, "the shared file does not know it"},
		{"exit alone", with(func(l []string) []string { return l[1:] }), Unknown, "leaves with token 5, but has not entered with it"},
		{"garbage", with(func(l []string) []string { return append(l, "hello\n") }), Unknown, "is neither"},
		{"torn", with(func(l []string) []string { return append(l, "ent") }), Unknown, "the line is not finished, and no peer was killed"},
	} {
		if err := os.WriteFile(filepath.Join(dir, SectionFile), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Dir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != c.want || c.says != "" && !strings.Contains(fmt.Sprint(r.Findings), c.says) {
			t.Errorf("%s: %s %+v", c.name, r.Verdict, r.Findings)
		}
	}
}

// An entry that was given back at once, because its caller had given up, leaves
// nothing in the shared file.
func TestGivenBack(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 4, Peers: 3, Entries: 2})
	lines := sectionOf(run)
	first := slices.MinFunc(holds(run), func(a, b [2]*trace.Event) int { return int(a[0].Token) - int(b[0].Token) })
	first[1].Reason = trace.GivenBack
	dir := write(t, texts(run))
	if err := os.WriteFile(filepath.Join(dir, SectionFile), []byte(strings.Join(lines[2:], "")), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := Dir(dir); err != nil || r.Verdict != True {
		t.Errorf("%v %+v", err, r)
	}
}

// TestKilledInside has b killed in the critical section.
func TestKilledInside(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 4, Peers: 3, Entries: 2})
	last := len(run["b"]) - 1
	for run["b"][last].Kind != trace.Exit {
		last--
	}
	killed := run["b"][last]
	run["b"] = run["b"][:last]
	killed.Kind, killed.Clock = trace.Crash, killed.Clock-1
	run["b"] = append(run["b"], killed)
	// Everything that the others have from b after that goes as well.
	f := texts(run)
	r := f.run()
	if r.Verdict != Unknown || r.Totals.Died != 1 || !strings.Contains(fmt.Sprint(r.Findings), "the trace of b ends before it is sent") {
		t.Errorf("%s %+v %+v", r.Verdict, r.Totals, r.Findings)
	}
}

// TestTakenOver has a enter after b was killed inside, as after a lease ran
// out: no message orders the two.
func TestTakenOver(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 4, Peers: 2, Entries: 1})
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	appendSteps(run, "b", noon, trace.Event{Kind: trace.Request, Lock: "lease"}, trace.Event{Kind: trace.Enter, Lock: "lease", Token: 100})
	run["b"] = run["b"][:len(run["b"])-1]
	appendSteps(run, "a", noon.Add(time.Hour), trace.Event{Kind: trace.Request, Lock: "lease"}, trace.Event{Kind: trace.Enter, Lock: "lease", Token: 101},
		trace.Event{Kind: trace.Exit, Lock: "lease", Token: 101})
	r := agree(t, "taken over", run)
	const want = "b (token 100) is inside where its record ends, and no message says that this was before a (token 101) entered"
	if r.Verdict != Unknown || len(r.Findings) != 1 || r.Findings[0].Text != want {
		t.Errorf("%s %+v", r.Verdict, r.Findings)
	}
}

func TestOvertaking(t *testing.T) {
	for _, c := range []struct {
		cheat bool
		want  int
	}{{false, 0}, {true, 1}} {
		most := 0
		for seed := range uint64(20) {
			r := texts(tracetest.Play(tracetest.Config{Seed: seed, Peers: 3, Entries: 5, Cheat: c.cheat})).run()
			most = max(most, r.Locks[0].Overtaken)
		}
		if most < c.want || !c.cheat && most > 0 {
			t.Errorf("cheat %v: overtaken %d times", c.cheat, most)
		}
	}
}

func TestQuantilesAndJain(t *testing.T) {
	var waits []time.Duration
	for i := range 100 {
		waits = append(waits, time.Duration(100-i))
	}
	if w := quantiles(waits); w.P50 != 50 || w.P99 != 99 || w.Max != 100 {
		t.Errorf("%+v", w)
	}
	if a, b, c := jain([]float64{3, 3, 3}), jain([]float64{0, 0, 0, 8}), jain(nil); a != 1 || b != 0.25 || c != 1 {
		t.Errorf("%v %v %v", a, b, c)
	}
}

// TestText keeps what a newcomer reads.
func TestText(t *testing.T) {
	sound := tracetest.Play(tracetest.Config{Seed: 4, Peers: 3, Entries: 2})
	broken := tracetest.Play(tracetest.Config{Seed: 4, Peers: 3, Entries: 2, Locks: 2})
	noon := time.Date(2026, 11, 23, 10, 0, 0, 20e6, time.UTC)
	for i, peer := range broken.Names()[:2] {
		appendSteps(broken, peer, noon.Add(time.Duration(i)*time.Millisecond), trace.Event{Kind: trace.Request, Lock: "demo"},
			trace.Event{Kind: trace.Enter, Lock: "demo", Token: 900}, trace.Event{Kind: trace.Exit, Lock: "demo", Token: 900})
	}
	killed := texts(tracetest.Play(tracetest.Config{Seed: 2, Peers: 3, Entries: 3, Kill: true}))
	torn := texts(sound)
	torn["c"] = torn["c"][:len(torn["c"])/2]
	missing := texts(sound)
	delete(missing, "b")
	for _, c := range []struct {
		name string
		run  files
	}{
		{"sound", texts(sound)}, {"broken", texts(broken)}, {"killed", killed}, {"torn", torn}, {"missing", missing},
	} {
		r := c.run.run()
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", c.name+".txt")
		if *rewrite {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || string(want) != b.String() {
			t.Errorf("%s: %v\n%s", c.name, err, b.String())
		}
		text, err := json.Marshal(r)
		var again Report
		if err != nil || json.Unmarshal(text, &again) != nil || again.Verdict != r.Verdict {
			t.Errorf("%s: JSON %v\n%s", c.name, err, text)
		}
	}
}
