package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

func merge(run tracetest.Trace) *trace.Merger {
	var readers []*trace.Reader
	for name := range run {
		readers = append(readers, trace.NewReader(name, bytes.NewReader(run.Text(name)), false))
	}
	return trace.Merge(readers...)
}

// hostile is a run whose words are made to be mistaken for something else.
func hostile() tracetest.Trace {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	run := tracetest.Trace{}
	words := []string{`x {"a":9}`, "two\nlines\r\u2028and more", `"quoted" \ <b>&`, "a {\"b\":1}\na {\"a\":7}", "\x00\x1b[31m \u202e"}
	for i, peer := range []algo.PeerName{"a", "b"} {
		run[peer] = append(run[peer], trace.Event{At: now, Peer: peer, Incarnation: 1, Clock: 1, Kind: trace.Start})
		for j, word := range words {
			now = now.Add(time.Millisecond)
			run[peer] = append(run[peer], trace.Event{At: now, Peer: peer, Incarnation: 1, Clock: algo.Time(2 + j), Kind: trace.Note, Lock: word, Reason: word})
		}
		if i == 0 {
			m := &trace.Message{ID: trace.MessageID{From: "a", Incarnation: 1, Number: 1}, Kind: words[0], From: "a", To: "b", Clock: 9}
			run["a"] = append(run["a"], trace.Event{At: now, Peer: "a", Incarnation: 1, Clock: 9, Kind: trace.Send, Lock: "x", Message: m, Reason: words[3]})
		}
	}
	return run
}

func runs() map[string]tracetest.Trace {
	all := map[string]tracetest.Trace{"hostile": hostile()}
	for seed := range uint64(12) {
		run := tracetest.Play(tracetest.Config{
			Seed: seed, Peers: 1 + int(seed%6), Entries: 4, Locks: 1 + int(seed%3), Cancel: true, Kill: seed%2 == 0, Restart: seed%4 == 0,
		})
		all[fmt.Sprintf("seed %d", seed)] = run
		half := tracetest.Trace{} // while peers wait and hold
		for name, list := range run {
			half[name] = list[:(len(list)+1)/2]
		}
		all[fmt.Sprintf("half of seed %d", seed)] = half
		if seed%5 == 1 && len(run) > 1 {
			part := tracetest.Trace{}
			for _, name := range run.Names()[1:] {
				part[name] = run[name]
			}
			all[fmt.Sprintf("seed %d without a", seed)] = part
		}
	}
	return all
}

// TestShiViz reads the log as ShiViz does, and checks what it checks.
func TestShiViz(t *testing.T) {
	parser := regexp.MustCompile(ShiVizParser)
	for name, run := range runs() {
		var b bytes.Buffer
		if err := ShiViz(&b, merge(run)); err != nil {
			t.Fatal(err)
		}
		events := 0
		for _, list := range run {
			events += len(list)
		}
		matches := parser.FindAllStringSubmatch(b.String(), -1)
		if len(matches) != events {
			t.Errorf("%s: %d events are read, of %d", name, len(matches), events)
			continue
		}
		rest := parser.ReplaceAllString(b.String(), "")
		if strings.TrimSpace(rest) != ShiVizParser {
			t.Errorf("%s: these lines are no events: %q", name, rest)
		}
		checkClocks(t, name, run, matches, parser)
	}
}

// checkClocks wants valid vector clocks, and what was sent to be known where it
// was received.
func checkClocks(t *testing.T, name string, run tracetest.Trace, matches [][]string, parser *regexp.Regexp) {
	t.Helper()
	last := map[string]map[string]uint64{}
	sent := map[string]map[string]uint64{}
	for _, match := range matches {
		// Where ShiViz runs, a dot stops at more signs than it does here.
		if text := match[parser.SubexpIndex("event")]; strings.ContainsAny(text, "\r\u2028\u2029") {
			t.Errorf("%s: %q goes over the line", name, text)
		}
		host := match[parser.SubexpIndex("host")]
		var clock map[string]uint64
		if err := json.Unmarshal([]byte(match[parser.SubexpIndex("clock")]), &clock); err != nil {
			t.Fatalf("%s: %q: %v", name, match[0], err)
		}
		before := last[host]
		if clock[host] != before[host]+1 {
			t.Errorf("%s: the clock of %s goes from %d to %d", name, host, before[host], clock[host])
		}
		for other, n := range before {
			if clock[other] < n {
				t.Errorf("%s: %s knows %d of %s, and knew %d", name, host, clock[other], other, n)
			}
		}
		for other, n := range clock {
			if n > uint64(len(run[algo.PeerName(other)])) || other != host && n > last[other][other] {
				t.Errorf("%s: %s knows %d events of %s before they were", name, host, n, other)
			}
		}
		last[host] = clock
		e := run[algo.PeerName(host)][clock[host]-1]
		switch e.Kind {
		case trace.Send:
			sent[e.Message.ID.String()] = clock
		case trace.Receive:
			for other, n := range sent[e.Message.ID.String()] {
				if clock[other] < n {
					t.Errorf("%s: %s does not know %d of %s, which message %s did", name, host, n, other, e.Message.ID)
				}
			}
			other := string(e.Message.From)
			if then := sent[e.Message.ID.String()]; then != nil && before[other] < then[other] && clock[other] != then[other] {
				t.Errorf("%s: message %s makes %s know %d of %s, want %d", name, e.Message.ID, host, clock[other], other, then[other])
			}
		}
	}
}

// TestPerfetto reads the JSON and compares it with the events.
func TestPerfetto(t *testing.T) {
	for name, run := range runs() {
		begin := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
		var b bytes.Buffer
		if err := Perfetto(&b, merge(run), begin); err != nil {
			t.Fatal(err)
		}
		var file struct {
			TraceEvents []event `json:"traceEvents"`
		}
		d := json.NewDecoder(&b)
		d.DisallowUnknownFields()
		if err := d.Decode(&struct {
			Unit   string   `json:"displayTimeUnit"`
			Events *[]event `json:"traceEvents"`
		}{Events: &file.TraceEvents}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkFlows(t, name, run, file.TraceEvents)
		checkSlices(t, name, run, begin, file.TraceEvents)
		checkSteps(t, name, file.TraceEvents)
	}
}

// checkFlows wants an arrow for each message that was received and whose send
// is known, with both ends, within a step each.
func checkFlows(t *testing.T, name string, run tracetest.Trace, events []event) {
	t.Helper()
	sent, want := map[trace.MessageID]bool{}, 0
	for _, list := range run {
		for _, e := range list {
			if e.Kind == trace.Send {
				sent[e.Message.ID] = true
			}
		}
	}
	for _, list := range run {
		for _, e := range list {
			if e.Kind == trace.Receive && sent[e.Message.ID] {
				want++
			}
		}
	}
	starts, ends := map[uint64]event{}, 0
	for _, e := range events {
		switch e.Phase {
		case "s":
			if _, twice := starts[e.ID]; twice || e.ID == 0 {
				t.Errorf("%s: arrow %d is there twice", name, e.ID)
			}
			starts[e.ID] = e
		case "f":
			start, ok := starts[e.ID]
			if !ok || start.Name != e.Name || start.PID == e.PID || e.Bind != "e" || start.Time > e.Time {
				t.Errorf("%s: arrow %+v begins with %+v", name, e, start)
			}
			ends++
		}
	}
	if len(starts) != want || ends != want {
		t.Errorf("%s: %d arrows begin and %d end, want %d", name, len(starts), ends, want)
	}
}

// checkSlices wants each entry to be as long as it was.
func checkSlices(t *testing.T, name string, run tracetest.Trace, begin time.Time, events []event) {
	t.Helper()
	type hold struct {
		from, long float64
		token      uint64
	}
	got, want, waits, requests := map[string]int{}, map[string]int{}, 0, 0
	key := func(h hold) string { return fmt.Sprintf("%d from %.3f, %.3f long", h.token, h.from, h.long) }
	for _, e := range events {
		if e.Phase == "X" && strings.HasPrefix(e.Name, "holds") {
			got[key(hold{e.Time, *e.Duration, uint64(e.Args["token"].(float64))})]++
		} else if e.Phase == "X" {
			waits++
			if *e.Duration < 0 || math.IsNaN(*e.Duration) {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	for _, list := range run {
		for i, e := range list {
			if e.Kind == trace.Request {
				requests++
			}
			if e.Kind != trace.Enter {
				continue
			}
			end := list[i]
			for _, after := range list[i+1:] {
				if after.Kind == trace.Start {
					end = after
					break
				}
				end = after
				if after.Lock == e.Lock && (after.Kind == trace.Exit || after.Kind == trace.Lost) {
					break
				}
			}
			want[key(hold{float64(e.At.Sub(begin)) / 1e3, float64(end.At.Sub(e.At)) / 1e3, uint64(e.Token)})]++
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: holds %v, want %v", name, got, want)
	}
	if waits != requests {
		t.Errorf("%s: %d waits, %d requests", name, waits, requests)
	}
}

// checkSteps wants each step to end before the next begins.
func checkSteps(t *testing.T, name string, events []event) {
	t.Helper()
	open, last := map[int]bool{}, map[int]float64{}
	for _, e := range events {
		if e.Phase != "B" && e.Phase != "E" {
			continue
		}
		if open[e.PID] != (e.Phase == "E") || e.Time < last[e.PID] {
			t.Errorf("%s: %+v, after %v", name, e, last[e.PID])
		}
		open[e.PID], last[e.PID] = e.Phase == "B", e.Time
	}
	for pid, still := range open {
		if still {
			t.Errorf("%s: the last step of %d does not end", name, pid)
		}
	}
}

// full is a disk on which there is no more room.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, fmt.Errorf("the disk is full")
	}
	return len(p), nil
}

func TestFullDisk(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 1, Peers: 5, Entries: 40})
	for _, room := range []int{0, 5000} {
		if err := ShiViz(&full{room}, merge(run)); err == nil {
			t.Error("ShiViz says nothing")
		}
		if err := Perfetto(&full{room}, merge(run), time.Now()); err == nil {
			t.Error("Perfetto says nothing")
		}
	}
}
