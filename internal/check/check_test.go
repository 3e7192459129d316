package check

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// files are the trace files of a run, by peer.
type files map[algo.PeerName][]byte

func texts(t tracetest.Trace) files {
	f := make(files)
	for name := range t {
		f[name] = t.Text(name)
	}
	return f
}

func (f files) run() *Report { return Run(f.merge()) }

func (f files) merge() *trace.Merger {
	var readers []*trace.Reader
	for name, text := range f {
		readers = append(readers, trace.NewReader(name, bytes.NewReader(text), true))
	}
	return trace.Merge(readers...)
}

// configs is many small runs, for the comparison with the oracle.
func configs(n int) []tracetest.Config {
	chance := rand.New(rand.NewPCG(7, 7))
	list := make([]tracetest.Config, n)
	for i := range list {
		list[i] = tracetest.Config{
			Seed: uint64(i), Peers: 1 + chance.IntN(4), Entries: 1 + chance.IntN(3), Locks: 1 + chance.IntN(2),
			Cancel: chance.IntN(3) == 0, Kill: chance.IntN(3) == 0, Restart: chance.IntN(2) == 0, Cheat: chance.IntN(4) == 0,
		}
	}
	return list
}

// agree compares the checker with the oracle.
func agree(t *testing.T, what string, run tracetest.Trace) *Report {
	t.Helper()
	r := texts(run).run()
	want := oracle(run)
	var f findings
	for _, x := range r.Rules {
		i := slices.IndexFunc(rules[:], func(y struct{ name, rests string }) bool { return x.Name == y.name })
		if f.worst[i] = x.Verdict; !want.allows(rule(i), x.Verdict) {
			t.Errorf("%s: %s: %s, the oracle says %q", what, x.Name, x.Verdict, want.worst[i])
		}
	}
	if r.Verdict != f.verdict() {
		t.Errorf("%s: verdict %s, but its rules say %s", what, r.Verdict, f.verdict())
	}
	if t.Failed() {
		var b strings.Builder
		r.WriteText(&b)
		t.Log(b.String())
		for _, name := range run.Names() {
			t.Logf("%s", run.Text(name))
		}
		t.FailNow()
	}
	return r
}

func TestAgreesWithOracle(t *testing.T) {
	t.Parallel()
	verdicts := map[Verdict]int{}
	for _, c := range configs(1000) {
		r := agree(t, fmt.Sprintf("%+v", c), tracetest.Play(c))
		if !c.Cheat && r.Verdict == False {
			t.Fatalf("%+v is sound, but %+v", c, r.Findings)
		}
		if !c.Cheat && !c.Kill && r.Verdict != True {
			t.Fatalf("%+v is sound, but %+v", c, r.Findings)
		}
		verdicts[r.Verdict]++
	}
	if verdicts[True] < 200 || verdicts[False] < 20 {
		t.Errorf("too one-sided to be a test: %v", verdicts)
	}
	t.Log(verdicts)
}

// TestAgreesOnMistakes breaks sound runs in one event and asks both.
func TestAgreesOnMistakes(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(1, 2))
	verdicts := map[Verdict]int{}
	for _, c := range configs(1000) {
		run := tracetest.Play(c)
		e := spoil(run, chance)
		r := agree(t, fmt.Sprintf("%+v with %+v", c, *e), run)
		verdicts[r.Verdict]++
	}
	t.Log(verdicts)
}

// spoil changes one event, or makes a note of it.
func spoil(run tracetest.Trace, chance *rand.Rand) *trace.Event {
	names := run.Names()
	events := run[names[chance.IntN(len(names))]]
	e := &events[chance.IntN(len(events))]
	what := chance.IntN(3)
	switch e.Kind {
	case trace.Enter, trace.Exit, trace.Lost, trace.Extend:
		switch {
		case what == 0:
			e.Token = algo.Token(chance.IntN(40))
			return e
		case what == 1 && e.Kind == trace.Lost:
			e.Kind, e.Lease = trace.Exit, 0
			return e
		case what == 1:
			e.Kind, e.Lease = trace.Lost, 0
			return e
		}
	case trace.Request, trace.Cancel, trace.Stop, trace.Drop, trace.Receive:
	default:
		return e
	}
	*e = trace.Event{At: e.At, Peer: e.Peer, Incarnation: e.Incarnation, Clock: e.Clock, Kind: trace.Note}
	return e
}

// append adds events of one step each to the end of a peer's trace, before its
// stop.
func appendSteps(run tracetest.Trace, peer algo.PeerName, at time.Time, events ...trace.Event) {
	all := run[peer]
	stop := all[len(all)-1]
	all = all[:len(all)-1]
	for i, e := range events {
		e.At, e.Peer, e.Incarnation, e.Clock = at.Add(time.Duration(i)), peer, stop.Incarnation, stop.Clock
		stop.Clock++
		all = append(all, e)
	}
	run[peer] = append(all, stop)
}

// TestInjectedOverlap adds two holds that no message orders. Their wall clocks
// are far apart, and their tokens grow.
func TestInjectedOverlap(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		run := tracetest.Play(tracetest.Config{Seed: seed, Peers: 3, Entries: 2})
		noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		for i, peer := range []algo.PeerName{"a", "c"} {
			token := algo.Token(100000 + i)
			appendSteps(run, peer, noon.Add(time.Duration(i)*time.Hour),
				trace.Event{Kind: trace.Request, Lock: "demo"},
				trace.Event{Kind: trace.Enter, Lock: "demo", Token: token},
				trace.Event{Kind: trace.Exit, Lock: "demo", Token: token})
		}
		r := agree(t, fmt.Sprint("seed ", seed), run)
		if r.Verdict != False || r.Findings[0].Rule != "mutual exclusion" || len(r.Findings[0].Lines) < 2 {
			t.Fatalf("seed %d: %s %+v", seed, r.Verdict, r.Findings)
		}
	}
}

// holds lists the enter and the exit events of a run.
func holds(run tracetest.Trace) (list [][2]*trace.Event) {
	for _, name := range run.Names() {
		var enter *trace.Event
		for i := range run[name] {
			switch e := &run[name][i]; e.Kind {
			case trace.Enter:
				enter = e
			case trace.Exit:
				list = append(list, [2]*trace.Event{enter, e})
			}
		}
	}
	return list
}

func TestRepeatedToken(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(3, 4))
	for seed := range uint64(100) {
		run := tracetest.Play(tracetest.Config{Seed: seed, Peers: 3, Entries: 3})
		list := holds(run)
		at := chance.Perm(len(list))
		from, to := list[at[0]], list[at[1]]
		to[0].Token, to[1].Token = from[0].Token, from[0].Token
		if r := agree(t, fmt.Sprint("seed ", seed), run); r.Verdict != False || r.Findings[0].Rule != "fencing tokens" {
			t.Fatalf("seed %d: %s %+v", seed, r.Verdict, r.Findings)
		}
	}
}

func TestSwallowedRequest(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(5, 6))
	for seed := range uint64(100) {
		run := tracetest.Play(tracetest.Config{Seed: seed, Peers: 3, Entries: 3})
		list := holds(run)
		hold := list[chance.IntN(len(list))]
		for _, e := range hold {
			*e = trace.Event{At: e.At, Peer: e.Peer, Incarnation: e.Incarnation, Clock: e.Clock, Kind: trace.Note}
		}
		if r := agree(t, fmt.Sprint("seed ", seed), run); r.Verdict != False || r.Findings[0].Rule != "requests" {
			t.Fatalf("seed %d: %s %+v", seed, r.Verdict, r.Findings)
		}
	}
}

// damages are what can happen to files. Each returns false if it does not
// apply at that line.
var damages = map[string]func(f files, peer algo.PeerName, lines [][]byte, at int) bool{
	"missing line": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		l := lines[at]
		for _, kind := range []string{"send", "request", "enter", "exit", "start"} {
			if bytes.Contains(l, []byte(`"event":"`+kind+`"`)) {
				f[peer] = bytes.Join(slices.Delete(slices.Clone(lines), at, at+1), nil)
				return true
			}
		}
		return false
	},
	"line twice": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		f[peer] = bytes.Join(slices.Insert(slices.Clone(lines), at, lines[at]), nil)
		return !bytes.Contains(lines[at], []byte(`"event":"note"`))
	},
	"lines swapped": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		if at+1 == len(lines) || bytes.Equal(clockOf(lines[at]), clockOf(lines[at+1])) {
			return false
		}
		lines = slices.Clone(lines)
		lines[at], lines[at+1] = lines[at+1], lines[at]
		f[peer] = bytes.Join(lines, nil)
		return true
	},
	"line moved to the end": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		moved := append(slices.Delete(slices.Clone(lines), at, at+1), lines[at])
		f[peer] = bytes.Join(moved, nil)
		return at+1 < len(lines)
	},
	"torn in the middle": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		lines = slices.Clone(lines)
		lines[at] = lines[at][:len(lines[at])/2]
		f[peer] = bytes.Join(lines, nil)
		return at+1 < len(lines)
	},
	"torn after the stop": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		f[peer] = append(slices.Clone(f[peer]), lines[at][:10]...)
		return true
	},
	"foreign line": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		f[peer] = bytes.Join(slices.Insert(slices.Clone(lines), at, []byte("panic: something else\n")), nil)
		return true
	},
	"unknown event": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		lines = slices.Clone(lines)
		lines[at] = bytes.Replace(lines[at], []byte(`"event":"`), []byte(`"event":"re`), 1)
		f[peer] = bytes.Join(lines, nil)
		return true
	},
	"file of another peer": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		for other := range f {
			if other != peer {
				f[peer] = f[other]
				return true
			}
		}
		return false
	},
	"file twice over": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		f[peer] = append(slices.Clone(f[peer]), f[peer]...)
		return true
	},
	"missing file": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		delete(f, peer)
		return len(f) > 0
	},
	"beginning missing": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		f[peer] = bytes.Join(lines[at:], nil)
		return at > 0
	},
	"zeros": func(f files, peer algo.PeerName, lines [][]byte, at int) bool {
		lines = slices.Clone(lines)
		lines[at] = append(make([]byte, len(lines[at])-1), '\n')
		f[peer] = bytes.Join(lines, nil)
		return true
	},
}

func clockOf(line []byte) []byte {
	_, rest, _ := bytes.Cut(line, []byte(`"clock":`))
	clock, _, _ := bytes.Cut(rest, []byte(","))
	return clock
}

// damage does one of damages to a run, and says whether it could.
func damage(f files, what string, chance *rand.Rand) bool {
	var names []algo.PeerName
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	peer := names[chance.IntN(len(names))]
	lines := bytes.SplitAfter(f[peer], []byte("\n"))
	lines = lines[:len(lines)-1]
	return damages[what](f, peer, lines, chance.IntN(len(lines)))
}

func TestDamageIsNeverSound(t *testing.T) {
	t.Parallel()
	for what := range damages {
		t.Run(what, func(t *testing.T) {
			applied := 0
			chance := rand.New(rand.NewPCG(8, 8))
			for seed := range uint64(100) {
				f := texts(tracetest.Play(tracetest.Config{Seed: seed, Peers: 3, Entries: 2}))
				if !damage(f, what, chance) {
					continue
				}
				applied++
				r := f.run()
				if r.Verdict == True || len(r.Findings) == 0 || len(r.Findings[0].Lines) == 0 {
					t.Fatalf("seed %d: %s %+v", seed, r.Verdict, r.Findings)
				}
				if r.Verdict == False && what != "missing line" {
					t.Fatalf("seed %d: %s, but nothing is proven: %+v", seed, r.Verdict, r.Findings)
				}
			}
			if applied < 20 {
				t.Errorf("applied %d times only", applied)
			}
		})
	}
}

// FuzzDamage applies damages one after the other, wherever the input says.
func FuzzDamage(f *testing.F) {
	f.Add(uint64(1), []byte("\x01\x02"))
	f.Add(uint64(2), []byte("\x05"))
	var names []string
	for what := range damages {
		names = append(names, what)
	}
	slices.Sort(names)
	f.Fuzz(func(t *testing.T, seed uint64, which []byte) {
		f := texts(tracetest.Play(tracetest.Config{Seed: seed % 1000, Peers: 3, Entries: 2}))
		chance := rand.New(rand.NewPCG(seed, 1))
		if len(which) == 0 {
			return
		}
		if applied := damage(f, names[int(which[0])%len(names)], chance); !applied {
			return
		}
		if r := f.run(); r.Verdict == True {
			t.Fatalf("%s: found sound", names[int(which[0])%len(names)])
		}
	})
}

// FuzzBytes puts bytes into a run. Whatever they are, nothing panics, and a
// file whose lines were cut or joined is not found sound.
func FuzzBytes(f *testing.F) {
	f.Add(uint16(100), []byte("x"))
	f.Add(uint16(300), []byte("\"clock\":3"))
	f.Add(uint16(0), []byte("{}\n"))
	run := tracetest.Play(tracetest.Config{Seed: 1, Peers: 2, Entries: 2})
	f.Fuzz(func(t *testing.T, at uint16, b []byte) {
		f := texts(run)
		text := slices.Clone(f["a"])
		i := int(at) % len(text)
		copy(text[i:], b)
		cut := bytes.Count(text, []byte("\n")) != bytes.Count(f["a"], []byte("\n"))
		f["a"] = text
		r := f.run()
		if r.Verdict == True && (cut || bytes.IndexByte(text, 0) >= 0) {
			t.Fatalf("found sound after %q at %d", b, i)
		}
		f["a"] = b
		f.run()
	})
}

// write puts a run into a folder.
func write(t testing.TB, f files) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range f {
		if err := os.WriteFile(filepath.Join(dir, string(name)+trace.Suffix), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDir(t *testing.T) {
	if _, err := Dir(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no trace here") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Dir("testdata/nowhere"); err == nil || !strings.Contains(err.Error(), "testdata/nowhere") {
		t.Errorf("no folder: %v", err)
	}
	dir := write(t, texts(tracetest.Play(tracetest.Config{Seed: 1, Peers: 3, Entries: 3})))
	r, err := Dir(dir)
	if err != nil || r.Verdict != True {
		t.Fatalf("%v %+v", err, r)
	}
	if x := r.Totals; x.Entries != 9 || x.PerEntry != 4 || x.Messages != 36 || x.Received != 36 || r.Locks[0].JainEntries != 1 || r.Locks[0].Overtaken != 0 {
		t.Errorf("%+v", r.Totals)
	}
}

// TestNames has files in the folder that no peer can have written.
func TestNames(t *testing.T) {
	f := texts(tracetest.Play(tracetest.Config{Seed: 1, Peers: 2, Entries: 1}))
	f["Not_a_Peer"] = nil
	r, err := Dir(write(t, f))
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Findings[0].Text, "a foreign file") {
		t.Errorf("%v %+v", err, r)
	}
}

// TestSegments has the trace of a in three files, and then the first and the
// second of them missing.
func TestSegments(t *testing.T) {
	f := texts(tracetest.Play(tracetest.Config{Seed: 1, Peers: 2, Entries: 3}))
	lines := bytes.SplitAfter(f["a"], []byte("\n"))
	third := len(lines) / 3
	f["a"] = bytes.Join(lines[2*third:], nil)
	dir := write(t, f)
	for i := range 2 {
		part := bytes.Join(lines[i*third:(i+1)*third], nil)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("a.ndjson.%d", i+1)), part, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []struct {
		verdict Verdict
		says    string
	}{{True, ""}, {Unknown, "its beginning was removed"}, {Unknown, "its beginning is missing"}} {
		if i > 0 {
			if err := os.Remove(filepath.Join(dir, fmt.Sprintf("a.ndjson.%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Dir(dir)
		if err != nil || r.Verdict != want.verdict || want.says != "" && !strings.Contains(fmt.Sprint(r.Findings), want.says) {
			t.Errorf("%d missing: %v %s %+v", i, err, r.Verdict, r.Findings)
		}
	}
}
