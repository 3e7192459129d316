package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// writeRun writes traces to a directory.
func writeRun(t *testing.T, run tracetest.Trace) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name := range run {
		appendTrace(t, dir, name, run.Text(name))
	}
	return dir
}

func appendTrace(t *testing.T, dir string, peer algo.PeerName, text []byte) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(dir, string(peer)+trace.Suffix), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		t.Fatal(err)
	}
}

// onDisk has the peers of a run write their traces, so many pieces with a pause
// after each. A piece ends anywhere, and the peers' pieces do not end at the
// same moment. One file is put aside on the way.
func onDisk(t *testing.T, dir string, run tracetest.Trace, pieces int, pause time.Duration) {
	t.Helper()
	written := map[algo.PeerName]int{}
	var begin, end time.Time
	for _, events := range run {
		if at := events[0].At; begin.IsZero() || at.Before(begin) {
			begin = at
		}
		if at := events[len(events)-1].At; at.After(end) {
			end = at
		}
	}
	for piece := range pieces {
		for i, name := range run.Names() {
			late := time.Duration(piece+1) * (end.Sub(begin) + time.Microsecond) / time.Duration(pieces)
			moment := begin.Add(late + time.Duration(i)*time.Microsecond)
			n := 0
			for n < len(run[name]) && !run[name][n].At.After(moment) {
				n++
			}
			text := tracetest.Trace{name: run[name][:n]}.Text(name)
			if piece < pieces-1 && piece%2 == 0 && n < len(run[name]) { // in the middle of a line
				text = run.Text(name)[:len(text)+20]
			}
			if len(text) > written[name] {
				appendTrace(t, dir, name, text[written[name]:])
				written[name] = len(text)
			}
			if path := filepath.Join(dir, string(name)+trace.Suffix); piece == pieces/2 && i == 0 && bytes.HasSuffix(text, []byte("\n")) {
				if err := os.Rename(path, path+".1"); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(pause)
	}
}

// followed follows a run while it is written, and returns what is printed.
func followed(t *testing.T, run tracetest.Trace, f *follow, from, pieces int, pause time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	var out, problems bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		f.out, f.problems = &out, &problems
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.run(ctx, dir, from) }()
		time.Sleep(time.Second) // nothing is there yet
		onDisk(t, dir, run, pieces, pause)
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if problems.Len() > 0 {
		t.Error(problems.String())
	}
	return strings.ReplaceAll(out.String(), dir, "DIR")
}

// TestFollow follows runs of two locks, in which a peer is killed and starts
// again: it tells the same as explain does when they are over.
func TestFollow(t *testing.T) {
	for seed := range uint64(6) {
		run := tracetest.Play(tracetest.Config{Seed: seed, Peers: 3, Entries: 4, Locks: 2, Kill: seed%2 == 0, Restart: true})
		dir := writeRun(t, run)
		for _, lock := range []string{"demo", "other"} {
			stories, _, err := readStories(dir, lock)
			if err != nil {
				t.Fatal(err)
			}
			var want strings.Builder
			fmt.Fprintln(&want, legend)
			for k := range stories.Entries() {
				if err := tell(&want, stories, k+1, ""); err != nil {
					t.Fatal(err)
				}
			}
			if got := followed(t, run, &follow{lock: lock, kept: followKept}, 1, 20, 130*time.Millisecond); got != want.String() {
				t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want.String())
			}
		}
	}
}

// TestFollowAll follows two locks, and keeps little of the traces in mind: each
// entry is told once, and counted.
func TestFollowAll(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 7, Peers: 3, Entries: 60, Locks: 2})
	text := followed(t, run, &follow{asJSON: true, kept: 100_000}, 1, 100, 230*time.Millisecond)
	last := map[string]int{}
	token := map[string]algo.Token{}
	for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
		var s struct {
			story.Story
			Lines []string `json:"story"`
		}
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		if s.Entry != last[s.Lock]+1 || s.Token <= token[s.Lock] || len(s.Lines) < 3 {
			t.Fatalf("entry %d, token %d after entry %d, token %d", s.Entry, s.Token, last[s.Lock], token[s.Lock])
		}
		if s.Request == "" || s.Waited == 0 {
			t.Errorf("entry %d: %s", s.Entry, strings.Join(s.Lines, "\n"))
		}
		last[s.Lock], token[s.Lock] = s.Entry, s.Token
	}
	if last["demo"] != 180 || last["other"] != 180 {
		t.Errorf("told %v", last)
	}
}

// TestFollowLate begins when there is more than it keeps in mind: the entries
// that it passes over count.
func TestFollowLate(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 7, Peers: 3, Entries: 60})
	dir := writeRun(t, run)
	for from, want := range map[int]string{0: "180", 178: "178 179 180", 181: ""} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			f := &follow{kept: 20_000, out: &out, problems: &out}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- f.run(ctx, dir, from) }()
			time.Sleep(time.Second)
			cancel()
			<-done
			var told []string
			for line := range strings.Lines(out.String()) {
				if entry, ok := strings.CutPrefix(line, "Entry "); ok {
					told = append(told, strings.Fields(entry)[0])
				}
			}
			if got := strings.Join(told, " "); got != want {
				t.Errorf("from %d: told %s, want %s\n%s", from, got, want, out.String())
			}
		})
	}
}

// TestFollowSoon says within how long an entry is told.
func TestFollowSoon(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 1, Peers: 2, Entries: 1})
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := &follow{kept: followKept, out: &out, problems: &out}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.run(ctx, dir, 0) }()
		time.Sleep(10*time.Second + 50*time.Millisecond)
		for name := range run {
			appendTrace(t, dir, name, run.Text(name))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := strings.Count(out.String(), "after it asked"); n != 2 {
			t.Errorf("%d told:\n%s", n, out.String())
		}
		cancel()
		<-done
	})
}

// TestFollowDisorder says once that a file cannot be trusted.
func TestFollowDisorder(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 1, Peers: 2, Entries: 1})
	dir := writeRun(t, run)
	appendTrace(t, dir, "a", []byte("nothing\n{\"ts\":1}\n"))
	synctest.Test(t, func(t *testing.T) {
		var out, problems bytes.Buffer
		f := &follow{kept: followKept, out: &out, problems: &problems}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.run(ctx, dir, 1) }()
		time.Sleep(5 * time.Second)
		cancel()
		<-done
		if n := strings.Count(problems.String(), "a.ndjson:"); n != 1 || strings.Count(out.String(), "after it asked") != 2 {
			t.Errorf("%s\n%s", problems.String(), out.String())
		}
	})
}

// TestFollowSuspects has problems that the next reading does not find again,
// as when a torn line is cut off while it is read: nothing is said.
func TestFollowSuspects(t *testing.T) {
	var problems bytes.Buffer
	f := &follow{problems: &problems}
	one := &trace.Problem{Pos: trace.Pos{File: "a", Line: 1}, Reason: "one", Disorder: true}
	gap := &trace.Problem{Pos: trace.Pos{File: "a", Line: 1}, Reason: "gap"}
	for i, c := range []struct {
		found []*trace.Problem
		again bool
		said  int
	}{
		{[]*trace.Problem{one, gap}, true, 0},
		{nil, false, 0},
		{[]*trace.Problem{one}, true, 0},
		{[]*trace.Problem{one}, false, 1},
		{[]*trace.Problem{one, gap}, false, 1},
	} {
		if again := f.report(c.found); again != c.again || strings.Count(problems.String(), "\n") != c.said {
			t.Errorf("reading %d: again %t\n%s", i, again, problems.String())
		}
	}
}

// TestExplainBadInput shows explain what is not as it should be.
func TestExplainBadInput(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 3, Entries: 1, Locks: 2})
	two := writeRun(t, run)
	one := writeRun(t, tracetest.Play(tracetest.Config{Seed: 3, Peers: 1, Entries: 2}))
	empty := t.TempDir()
	started := writeRun(t, tracetest.Trace{"a": run["a"][:1], "b": nil})
	asked := writeRun(t, tracetest.Trace{"a": run["a"][:4]})
	torn := writeRun(t, tracetest.Play(tracetest.Config{Seed: 4, Peers: 3, Entries: 1}))
	for _, name := range []string{"a", "b", "c"} {
		path := filepath.Join(torn, name+trace.Suffix)
		text, _ := os.ReadFile(path)
		if err := os.WriteFile(path, text[:len(text)-7], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		args         []string
		code         int
		stdout, want string
	}{
		{[]string{empty}, exitFalse, "", "there is no trace here (NAME.ndjson)"},
		{[]string{started}, exitFalse, "", "the traces know of no lock"},
		{[]string{asked}, exitFalse, "", "it was never entered"},
		{[]string{two}, exitFalse, "", `which lock? There are "demo" and "other"`},
		{[]string{two, "--lock", "third"}, exitFalse, "", `the traces know of no lock "third"`},
		{[]string{two, "--lock", "demo", "--entry", "4"}, exitFalse, "", `there is no entry 4 of lock "demo": it was entered 3 times`},
		{[]string{two, "--lock", "demo", "--entry", "-1"}, exitUsage, "", "--entry -1: entries are counted from 1"},
		{[]string{two, "--follow", "--entry", "0"}, exitUsage, "", "--entry 0: entries are counted from 1"},
		{[]string{filepath.Join(empty, "nowhere"), "--follow"}, exitFalse, "", "no such file or directory"},
		{[]string{two, "--lock", "demo", "--entry", "3"}, exitOK, `Entry 3 of lock "demo"`, ""},
		{[]string{one, "--entry", "2"}, exitOK, "a entered second because", ""},
		{[]string{torn, "--entry", "1"}, exitOK, `Entry 1 of lock "demo"`, ""},
	}
	for _, tt := range tests {
		code, stdout, stderr := runConch(t, append([]string{"explain"}, tt.args...)...)
		if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.want) || tt.want == "" && stderr != "" {
			t.Errorf("%q: exit %d\n%s%s", tt.args, code, stdout, stderr)
		}
	}
}

// TestExplainLockNames has names that a terminal should not be given as they
// are, and two algorithms' messages about one lock.
func TestExplainLockNames(t *testing.T) {
	for _, name := range []string{"a lock", "[x](y)", "🐚", strings.Repeat("n", 200), `"quoted"`, "\u202eright to left"} {
		run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 3, Entries: 1})
		for _, events := range run {
			for i := range events {
				if events[i].Lock != "" {
					events[i].Lock = name
				}
				if m := events[i].Message; m != nil && i%2 == 0 && m.Kind == "reply" {
					events[i].Reason = "with \x1b[31m colour"
				}
			}
		}
		dir := writeRun(t, run)
		code, stdout, stderr := runConch(t, "explain", dir, "--entry", "3", "--lock", name)
		if code != exitOK || !strings.Contains(stdout, fmt.Sprintf("of lock %q:", name)) || strings.ContainsAny(stdout, "\x1b\u202e") {
			t.Errorf("%q: exit %d\n%s%s", name, code, stdout, stderr)
		}
	}
	run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 3, Entries: 2})
	for _, events := range run {
		for i := range events {
			if m := events[i].Message; m != nil && m.ID.Number%2 == 0 {
				m.Kind = "token"
			}
		}
	}
	if code, stdout, stderr := runConch(t, "explain", writeRun(t, run), "--entry", "4"); code != exitOK || !strings.Contains(stdout, "token from") {
		t.Errorf("mixed: exit %d\n%s%s", code, stdout, stderr)
	}
}

// TestExplainWithoutRequest cuts off the beginning of a trace.
func TestExplainWithoutRequest(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 3, Entries: 1})
	first := slices.IndexFunc(run["a"], func(e trace.Event) bool { return e.Kind == trace.Enter })
	run["a"] = run["a"][first:]
	dir := writeRun(t, run)
	found := false
	for k := range 3 {
		code, stdout, stderr := runConch(t, "explain", dir, "--entry", fmt.Sprint(k+1))
		if code != exitOK || !strings.Contains(stderr, "a.ndjson:1: its beginning is missing") {
			t.Errorf("entry %d: exit %d\n%s%s", k+1, code, stdout, stderr)
		}
		found = found || strings.Contains(stdout, "Its request is not in the record.")
	}
	if !found {
		t.Error("no request was missing")
	}
}
