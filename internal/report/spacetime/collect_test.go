package spacetime

import (
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/report/drawing"
	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

func TestWhichLock(t *testing.T) {
	two := tracetest.Play(tracetest.Config{Seed: 1, Peers: 2, Entries: 1, Locks: 2})
	one := tracetest.Play(tracetest.Config{Seed: 1, Peers: 2, Entries: 1})
	none := newScript()
	none.event("a", 1, trace.Event{Kind: trace.Start})
	for _, c := range []struct {
		run  tracetest.Trace
		o    Options
		want string
	}{
		{two, Options{}, `which lock? There are "demo" and "other"`},
		{two, Options{Lock: "third"}, `the traces know of no lock "third"; there are "demo" and "other"`},
		{one, Options{Lock: "x"}, `the traces know of no lock "x"; there are "demo"`},
		{none.run, Options{}, `the traces know of no lock`},
		{one, Options{From: time.Hour}, `nothing happened to lock "demo" from 1h0m0s on: the record ends after `},
		{one, Options{From: time.Hour, To: 2 * time.Hour}, `nothing happened to lock "demo" from 1h0m0s to 2h0m0s: the record ends after `},
	} {
		_, err := Collect(merge(c.run), c.o)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.o, err, c.want)
		}
	}
	for _, lock := range []string{"demo", "other"} {
		if n := collect(t, merge(two), Options{Lock: lock}).Messages(); n != 4 {
			t.Errorf("lock %s: %d messages, want 4", lock, n)
		}
	}
}

// TestBounds wants no more than what was asked for to be kept.
func TestBounds(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 4, Entries: 20})
	all := collect(t, merge(run), Options{})
	if all.Left() != 0 {
		t.Errorf("%d messages are left out", all.Left())
	}
	first := collect(t, merge(run), Options{Most: 10})
	if first.Messages() != 10 || first.Left() != all.Messages()-10 {
		t.Errorf("%d messages and %d more, of %d", first.Messages(), first.Left(), all.Messages())
	}
	if last := first.Pages(760, 0)[0].Shapes; !strings.Contains(lastText(last), "more follow") {
		t.Errorf("the picture ends with %q", lastText(last))
	}
	from, to := 5*time.Millisecond, 6*time.Millisecond
	part := collect(t, merge(run), Options{Begin: all.begin, From: from, To: to})
	for _, st := range part.steps {
		if since := st.at.Sub(all.begin); since < from || since > to {
			t.Errorf("a step at %v", since)
		}
	}
	if len(part.steps) == 0 || len(part.arrows) > len(all.arrows)/4 || len(part.bars) > 12 {
		t.Errorf("%d steps, %d arrows, %d bars of %d", len(part.steps), len(part.arrows), len(part.bars), len(all.bars))
	}
}

// TestBoundOfSteps has a peer that is alone: it enters without a message, and a
// long record must not make an endless sheet all the same.
func TestBoundOfSteps(t *testing.T) {
	s := newScript()
	for clock := algo.Time(1); clock < 100; clock += 3 {
		s.event("a", clock, trace.Event{Kind: trace.Request})
		s.event("a", clock+1, trace.Event{Kind: trace.Enter, Token: algo.Token(clock)})
		s.event("a", clock+2, trace.Event{Kind: trace.Exit, Token: algo.Token(clock)})
	}
	tl := collect(t, merge(s.run), Options{Most: 10})
	if len(tl.steps) != 10*stepsMost || len(tl.bars) > len(tl.steps) || !tl.Cut() {
		t.Errorf("%d steps and %d bars are drawn; cut: %t", len(tl.steps), len(tl.bars), tl.Cut())
	}
	if last := lastText(tl.Pages(760, 0)[0].Shapes); last != "These are the first entries; more follow." {
		t.Errorf("the picture ends with %q", last)
	}
	if all := collect(t, merge(s.run), Options{}); len(all.steps) != 99 || all.Cut() {
		t.Errorf("%d steps of 99 are drawn; cut: %t", len(all.steps), all.Cut())
	}
}

func lastText(shapes []drawing.Shape) string {
	for i := len(shapes) - 1; i >= 0; i-- {
		if t, ok := shapes[i].(drawing.Text); ok {
			return t.Text
		}
	}
	return ""
}

// TestPath draws one entry: from its request to its end, and what led to it
// stands out.
func TestPath(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 3, Entries: 3})
	stories, err := story.Collect(merge(run).Events(), "")
	if err != nil {
		t.Fatal(err)
	}
	path, err := stories.Path(4)
	if err != nil {
		t.Fatal(err)
	}
	tl := collect(t, merge(run), Options{Path: path})
	main, beside := 0, 0
	for _, a := range tl.arrows {
		if a.told {
			main++
			before := a.sent != nil && a.sent.at.Before(path.From) // then it comes from above the picture
			if !shown(a.sent) && !before || !shown(a.received) {
				t.Errorf("%s from %s led to the entry and is not drawn whole", a.kind, tl.peers[a.from])
			}
		} else {
			beside++
		}
	}
	if main < 4 || beside == 0 { // 2 requests and 2 replies
		t.Errorf("%d messages led to the entry, %d are beside it", main, beside)
	}
	found := false
	for _, e := range tl.entries(0, len(tl.rows)) {
		found = found || e.token == path.Token
	}
	last := tl.steps[len(tl.steps)-1]
	if !found || tl.peers[last.who] != path.Peer || last.marks[0].kind != trace.Exit {
		t.Errorf("the entry is there: %v; the last step is %+v", found, last)
	}
	if _, err := stories.Path(10); err == nil || !strings.Contains(err.Error(), "no entry 10") {
		t.Errorf("an entry that is not there: %v", err)
	}
}

// TestPathEndsInTime has a peer whose Lamport clock is far behind, so that what
// it does after the end of the hold comes before it in causal order.
func TestPathEndsInTime(t *testing.T) {
	s := newScript()
	s.event("a", 100, trace.Event{Kind: trace.Request})
	s.event("b", 1, trace.Event{Kind: trace.Request})
	s.event("a", 101, trace.Event{Kind: trace.Enter, Token: 1})
	s.event("a", 102, trace.Event{Kind: trace.Exit, Token: 1})
	s.event("b", 2, trace.Event{Kind: trace.Cancel})
	stories, err := story.Collect(merge(s.run).Events(), "")
	if err != nil {
		t.Fatal(err)
	}
	path, err := stories.Path(1)
	if err != nil {
		t.Fatal(err)
	}
	if tl := collect(t, merge(s.run), Options{Path: path}); len(tl.steps) != 4 {
		t.Errorf("%d steps, want the three of the entry and b's request", len(tl.steps))
	}
}

// TestClocksDisagree has a peer whose clock on the wall is an hour behind: its
// messages still point downwards, and its steps stay in order.
func TestClocksDisagree(t *testing.T) {
	s := newScript()
	for _, peer := range []algo.PeerName{"a", "b"} {
		s.event(peer, 1, trace.Event{Kind: trace.Start})
	}
	m := s.send("a", "b", 2, "ask")
	s.now = s.now.Add(-time.Hour)
	s.receive(m, 3)
	back := s.send("b", "a", 3, "vote")
	s.now = s.now.Add(time.Hour)
	s.receive(back, 4)
	tl := collect(t, merge(s.run), Options{})
	checkOrder(t, tl)
	if len(tl.rows) != 4 {
		t.Errorf("%d rows, want one for the starts and three for the messages", len(tl.rows))
	}
}

// TestClockGoesBack has a clock on the wall that is set back: steps stay in
// order.
func TestClockGoesBack(t *testing.T) {
	s := newScript()
	s.event("a", 1, trace.Event{Kind: trace.Start})
	s.event("a", 2, trace.Event{Kind: trace.Request})
	s.now = s.now.Add(-time.Hour)
	s.event("a", 3, trace.Event{Kind: trace.Cancel})
	s.event("a", 4, trace.Event{Kind: trace.Stop})
	checkOrder(t, collect(t, merge(s.run), Options{}))
}

// TestTurnsStandApart has one peer leave and another enter in the same moment,
// without a message: who looks must see which was first.
func TestTurnsStandApart(t *testing.T) {
	s := newScript()
	s.event("a", 2, trace.Event{Kind: trace.Request})
	s.event("b", 2, trace.Event{Kind: trace.Request})
	s.event("a", 3, trace.Event{Kind: trace.Enter, Token: 1})
	s.event("a", 5, trace.Event{Kind: trace.Lost, Token: 1})
	s.now = s.now.Add(-time.Millisecond + time.Microsecond)
	s.event("b", 4, trace.Event{Kind: trace.Enter, Token: 2})
	tl := collect(t, merge(s.run), Options{})
	last := tl.rows[len(tl.rows)-1].steps
	if len(last) != 1 || tl.peers[last[0].who] != "b" {
		t.Errorf("the last row has %d steps", len(last))
	}
}

// TestFates tells apart what becomes of messages.
func TestFates(t *testing.T) {
	tl := collect(t, merge(small().run), Options{})
	want := map[string]fate{"ask": received, "vote": received, "note": dropped, "news": onItsWay}
	for _, a := range tl.arrows {
		if want[a.kind] != a.fate {
			t.Errorf("%s: %d, want %d", a.kind, a.fate, want[a.kind])
		}
		delete(want, a.kind)
	}
	if len(want) != 0 {
		t.Errorf("missing: %v", want)
	}
}

// TestMissingTraces draws what is there when a peer's trace is not.
func TestMissingTraces(t *testing.T) {
	run := tracetest.Play(tracetest.Config{Seed: 3, Peers: 3, Entries: 2})
	delete(run, "b")
	tl := collect(t, merge(run), Options{})
	page := tl.Pages(760, 1000)[0]
	checkPage(t, page, 1000)
	if !strings.Contains(page.Description, "a, c, b (without a trace)") {
		t.Errorf("the description is %q", page.Description)
	}
}
