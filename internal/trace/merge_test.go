package trace_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

func merger(texts map[algo.PeerName]string) *trace.Merger {
	var readers []*trace.Reader
	for name, text := range texts {
		readers = append(readers, trace.NewReader(name, strings.NewReader(text), false))
	}
	return trace.Merge(readers...)
}

func textsOf(c tracetest.Config) map[algo.PeerName]string {
	texts := map[algo.PeerName]string{}
	for name, run := 0, tracetest.Play(c); name < len(run.Names()); name++ {
		n := run.Names()[name]
		texts[n] = string(run.Text(n))
	}
	return texts
}

// TestMerge checks on many runs that nothing is missing, that every receipt
// comes after its send, and that Past is what walking back would give.
func TestMerge(t *testing.T) {
	for seed := range uint64(60) {
		texts := textsOf(tracetest.Config{Seed: seed, Peers: 4, Entries: 2, Locks: 2, Kill: seed%2 == 1, Restart: seed%4 == 1})
		m := merger(texts)
		type place struct {
			who   int
			index uint64
		}
		pasts := map[place]map[place]bool{}
		sends := map[trace.MessageID]place{}
		var order []byte
		for e := range m.Events() {
			at := place{e.Who, e.Index}
			past := map[place]bool{at: true}
			if e.Index > 1 {
				for p := range pasts[place{e.Who, e.Index - 1}] {
					past[p] = true
				}
			}
			if e.Kind == trace.Send {
				sends[e.Message.ID] = at
			}
			if e.Kind == trace.Receive {
				sent, ok := sends[e.Message.ID]
				if !ok || e.Sent == nil || e.Sent.Index != sent.index {
					t.Fatalf("seed %d: %s is received before it is sent", seed, e.Message.ID)
				}
				for p := range pasts[sent] {
					past[p] = true
				}
			}
			pasts[at] = past
			for p := range pasts {
				if e.Past.Has(p.who, p.index) != past[p] {
					t.Fatalf("seed %d: %v before %v: %v", seed, p, at, !past[p])
				}
			}
			order = fmt.Appendf(order, "%s;", e.Pos)
		}
		if len(m.Problems()) > 0 {
			t.Fatalf("seed %d: %v", seed, m.Problems())
		}
		if n := strings.Count(strings.Join([]string{texts["a"], texts["b"], texts["c"], texts["d"]}, ""), "\n"); len(pasts) != n {
			t.Fatalf("seed %d: %d events of %d", seed, len(pasts), n)
		}
		var again []byte
		for e := range merger(texts).Events() {
			again = fmt.Appendf(again, "%s;", e.Pos)
		}
		if !bytes.Equal(order, again) {
			t.Fatalf("seed %d: another order the second time", seed)
		}
	}
}

// TestMergeBlind leaves out a peer's trace: whatever it has led to, however
// far away, has a Past that is Blind, and nothing else has.
func TestMergeBlind(t *testing.T) {
	led := 0 // events that know of b from others alone
	for seed := range uint64(20) {
		texts := textsOf(tracetest.Config{Seed: seed, Peers: 4, Entries: 2})
		delete(texts, "b")
		want := map[algo.PeerName]bool{} // by peer, of its last event
		sent := map[trace.MessageID]bool{}
		direct := map[algo.PeerName]bool{} // has a message of b
		for e := range merger(texts).Events() {
			switch e.Kind {
			case trace.Send:
				sent[e.Message.ID] = want[e.Peer]
			case trace.Receive:
				direct[e.Peer] = direct[e.Peer] || e.Message.From == "b"
				want[e.Peer] = want[e.Peer] || e.Message.From == "b" || sent[e.Message.ID]
			}
			if e.Past.Blind != want[e.Peer] {
				t.Fatalf("seed %d: %s: blind %t, want %t", seed, e.Pos, e.Past.Blind, want[e.Peer])
			}
			if e.Past.Blind && !direct[e.Peer] {
				led++
			}
		}
	}
	if led == 0 {
		t.Error("everybody that is blind has a message of b itself")
	}
}

// TestMergeStops breaks off a loop; its goroutines must end with it.
func TestMergeStops(t *testing.T) {
	m := merger(textsOf(tracetest.Config{Seed: 1, Peers: 3, Entries: 300}))
	n := 0
	for range m.Events() {
		if n++; n == 10 {
			break
		}
	}
}

func TestMergeProblems(t *testing.T) {
	sound := textsOf(tracetest.Config{Seed: 1, Peers: 2, Entries: 1})
	lines := func(peer algo.PeerName) []string { return strings.SplitAfter(sound[peer], "\n") }
	first := slices.IndexFunc(lines("a"), func(l string) bool { return strings.Contains(l, `"event":"send"`) })
	for _, c := range []struct {
		name     string
		texts    map[algo.PeerName]string
		want     string
		disorder bool
	}{
		{"no file", map[algo.PeerName]string{"a": sound["a"]}, "the trace of peer b (b.ndjson) is missing, and it took part", false},
		{"end cut off", map[algo.PeerName]string{"a": strings.Join(lines("a")[:first], ""), "b": sound["b"]}, "but the trace of a ends before it is sent", false},
		{"beginning cut off", map[algo.PeerName]string{"a": strings.Join(lines("a")[first+1:], ""), "b": sound["b"]}, "its beginning is missing", false},
		{"not sent to b", map[algo.PeerName]string{"a": strings.ReplaceAll(sound["a"], `"to":"b"`, `"to":"c"`), "b": sound["b"], "c": ""}, "but a has not sent it to b", true},
		{"other message", map[algo.PeerName]string{"a": strings.ReplaceAll(sound["a"], `"kind":"request"`, `"kind":"plea"`), "b": sound["b"]}, "is not the one that", true},
	} {
		m := merger(c.texts)
		for range m.Events() {
		}
		if p := m.Problems(); len(p) == 0 || !strings.Contains(p[0].Error(), c.want) || p[0].Disorder != c.disorder {
			t.Errorf("%s: %v", c.name, p)
		}
	}
}

// TestMergeCycle has two peers that each receive what the other sends later.
func TestMergeCycle(t *testing.T) {
	line := func(peer string, clock int, event, rest string) string {
		return fmt.Sprintf(`{"ts":"2026-11-23T12:00:00Z","peer":%q,"incarnation":1,"clock":%d,"event":%q%s}`+"\n", peer, clock, event, rest)
	}
	message := func(from, to string, clock int) string {
		return fmt.Sprintf(`,"lock":"l","message":{"id":"%s-1-1","kind":"k","from":%q,"to":%q,"clock":%d}`, from, from, to, clock)
	}
	m := merger(map[algo.PeerName]string{
		"a": line("a", 1, "start", "") + line("a", 9, "receive", message("b", "a", 3)) + line("a", 10, "send", message("a", "b", 10)),
		"b": line("b", 1, "start", "") + line("b", 9, "receive", message("a", "b", 3)) + line("b", 10, "send", message("b", "a", 10)),
	})
	n := 0
	for range m.Events() {
		n++
	}
	if p := m.Problems(); n != 2 || len(p) != 1 || !p[0].Disorder || !strings.Contains(p[0].Error(), "not in the order they were written in") {
		t.Errorf("%d events, %v", n, p)
	}
}
