package story

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func merge(run tracetest.Trace) *trace.Merger {
	var readers []*trace.Reader
	for name := range run {
		readers = append(readers, trace.NewReader(name, bytes.NewReader(run.Text(name)), false))
	}
	return trace.Merge(readers...)
}

// collected returns the stories of one lock.
func collected(t *testing.T, run tracetest.Trace, lock string) *Stories {
	t.Helper()
	s, err := Collect(merge(run).Events(), lock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// all tells all entries.
func all(t *testing.T, s *Stories) (lines []string) {
	t.Helper()
	for k := range s.Entries() {
		story, err := s.Tell(k + 1)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, story.Lines()...), "")
	}
	return lines
}

func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got := strings.Join(lines, "\n") + "\n"
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

func TestStory(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 4, Peers: 3, Entries: 2})
	s, err := Collect(merge(run).Events(), "")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "permissions.txt", all(t, s))
}

// TestStoryOfToken has a lock that is passed on: c asks, a asked before.
func TestStoryOfToken(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	run := tracetest.Trace{}
	sent := map[string]*trace.Message{}
	number := map[algo.PeerName]uint64{}
	event := func(peer algo.PeerName, clock algo.Time, kind trace.Kind, token algo.Token, why string) *trace.Event {
		noon = noon.Add(time.Millisecond)
		run[peer] = append(run[peer], trace.Event{At: noon, Peer: peer, Incarnation: 1, Clock: clock, Kind: kind, Token: token, Reason: why})
		e := &run[peer][len(run[peer])-1]
		if kind != trace.Start {
			e.Lock = "demo"
		}
		return e
	}
	send := func(from, to algo.PeerName, clock algo.Time, kind, why string) {
		number[from]++
		m := &trace.Message{ID: trace.MessageID{From: from, Incarnation: 1, Number: number[from]}, Kind: kind, From: from, To: to, Clock: clock}
		event(from, clock, trace.Send, 0, why).Message = m
		sent[string(from+to)] = m
	}
	receive := func(from, to algo.PeerName, clock algo.Time) {
		event(to, clock, trace.Receive, 0, "").Message = sent[string(from+to)]
	}
	for _, peer := range []algo.PeerName{"a", "b", "c"} {
		event(peer, 1, trace.Start, 0, "")
	}
	event("b", 2, trace.Request, 0, "")
	event("b", 2, trace.Enter, 7, "the token rests here")
	event("c", 2, trace.Request, 0, "")
	send("c", "a", 2, "wish", "the token is not here")
	event("a", 2, trace.Request, 0, "")
	send("a", "b", 2, "wish", "the token is not here")
	receive("c", "a", 4)
	send("a", "b", 4, "wish", "it passes the wish on")
	first := sent["ab"]
	sent["ab"] = run["a"][2].Message
	receive("a", "b", 5)
	event("b", 5, trace.Note, 0, "keeps the token: it is inside")
	sent["ab"] = first
	receive("a", "b", 6)
	event("b", 6, trace.Note, 0, "keeps the token: it is inside")
	event("b", 7, trace.Exit, 7, "")
	send("b", "a", 7, "token", "a is the next that wants it")
	receive("b", "a", 8)
	event("a", 8, trace.Enter, 8, "the token has come")
	event("a", 9, trace.Exit, 8, "")
	send("a", "c", 9, "token", "c is the next that wants it")
	receive("a", "c", 10)
	event("c", 10, trace.Enter, 9, "the token has come")

	story, err := collected(t, run, "demo").Tell(3)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "token.txt", story.Lines())
}

func TestStoryOfNothing(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 4, Peers: 3, Entries: 2, Locks: 2})
	for _, c := range []struct {
		lock string
		k    int
		want string
	}{
		{"", 1, `which lock? There are "demo" and "other"`},
		{"nothing", 1, `the traces know of no lock "nothing"`},
		{"demo", 7, `there is no entry 7 of lock "demo": it was entered 6 times`},
		{"demo", 0, `there is no entry 0 of lock "demo": it was entered 6 times`},
	} {
		s, err := Collect(merge(run).Events(), c.lock)
		if err == nil {
			_, err = s.Tell(c.k)
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("lock %q, entry %d: %v", c.lock, c.k, err)
		}
	}
}

// TestStoryOfLoss has b killed inside, c going on when the lease has run out,
// and losing the lock in its turn; upkeep is in between.
func TestStoryOfLoss(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	run := tracetest.Trace{}
	number := map[algo.PeerName]uint64{}
	record := func(peer algo.PeerName, clock algo.Time, e trace.Event) {
		now = now.Add(time.Millisecond)
		e.At, e.Peer, e.Incarnation, e.Clock = now, peer, 1, clock
		if e.Kind != trace.Start && e.Kind != trace.Crash {
			e.Lock = "demo"
		}
		run[peer] = append(run[peer], e)
	}
	message := func(from, to algo.PeerName, clock, at algo.Time, kind, why string, upkeep bool) {
		number[from]++
		m := &trace.Message{ID: trace.MessageID{From: from, Incarnation: 1, Number: number[from]}, Kind: kind, From: from, To: to, Clock: clock, Upkeep: upkeep}
		record(from, clock, trace.Event{Kind: trace.Send, Reason: why, Message: m})
		record(to, at, trace.Event{Kind: trace.Receive, Message: m})
	}
	for _, peer := range []algo.PeerName{"a", "b", "c"} {
		record(peer, 1, trace.Event{Kind: trace.Start})
	}
	record("b", 2, trace.Event{Kind: trace.Request})
	record("b", 3, trace.Event{Kind: trace.Enter, Token: 7, Lease: time.Second, Reason: "a majority has voted for it"})
	message("b", "a", 4, 5, "renew", "its lease runs", true)
	message("a", "b", 6, 7, "renewed", "it is still for b", true)
	record("b", 7, trace.Event{Kind: trace.Extend, Token: 7, Lease: time.Second})
	record("c", 2, trace.Event{Kind: trace.Request})
	message("c", "a", 2, 8, "ask", "it has no token", false)
	record("a", 8, trace.Event{Kind: trace.Note, Other: "c", Reason: "keeps its vote: it is for b"})
	record("b", 7, trace.Event{Kind: trace.Crash, Reason: "by the demo"})
	now = now.Add(time.Second)
	message("c", "a", 9, 10, "ask", "it still waits", true)
	message("a", "c", 11, 12, "vote", "its vote for b has expired", false)
	record("c", 12, trace.Event{Kind: trace.Enter, Token: 8, Lease: time.Second, Reason: "a majority has voted for it"})
	now = now.Add(2 * time.Second)
	record("a", 12, trace.Event{Kind: trace.Request})
	record("a", 13, trace.Event{Kind: trace.Enter, Token: 9, Lease: time.Second, Reason: "a majority has voted for it"})
	record("c", 13, trace.Event{Kind: trace.Lost, Token: 8, Reason: "its lease has run out"})

	s, err := Collect(merge(run).Events(), "")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "losses.txt", all(t, s))
	if k := s.After(7); k != 2 || s.After(9) != 0 {
		t.Errorf("entry %d follows the one with token 7", k)
	}
}

// TestEveryStoryEndsWell tells all entries of many runs: each story begins
// with the request and ends with the entry, or with what happened at the same
// time of other clocks.
func TestEveryStoryEndsWell(t *testing.T) {
	for seed := range uint64(100) {
		run := tracetest.Play(tracetest.Config{Seed: seed, Peers: 4, Entries: 2, Cancel: true, Kill: seed%2 == 0, Restart: true})
		s, err := Collect(merge(run).Events(), "demo")
		if err != nil {
			t.Fatal(err)
		}
		for k := range s.Entries() {
			story, err := s.Tell(k + 1)
			if err != nil {
				t.Fatal(err)
			}
			lines := story.Lines()
			text := strings.Join(lines, "\n")
			if strings.Count(text, "asks for the lock") != 1 || !strings.Contains(text, " and enters with token") || len(lines) > 40 {
				t.Errorf("seed %d:\n%s", seed, text)
			}
		}
	}
}
