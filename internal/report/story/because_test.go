package story

import (
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/trace"
)

// because tells why the k-th entry came at its place.
func (s *script) because(t *testing.T, k int) string {
	t.Helper()
	story, err := collected(t, s.run, "").Tell(k)
	if err != nil {
		t.Fatal(err)
	}
	return story.Because
}

// TestWentAhead names those alone who still wanted the lock at the entry: not
// who had given up or died before, but who did so later.
func TestWentAhead(t *testing.T) {
	const ahead = "It went ahead of older requests that were open: "
	for name, c := range map[string]struct {
		before, after trace.Kind // what a does before and after c's entry
		want          string
	}{
		"waits":          {"", "", ahead + "a ("},
		"gave up":        {trace.Cancel, "", ""},
		"died":           {trace.Crash, "", ""},
		"gives up later": {"", trace.Cancel, ahead + "a ("},
		"dies later":     {"", trace.Crash, ahead + "a ("},
	} {
		s := newScript("a", "c")
		s.event("a", trace.Event{Kind: trace.Request})
		s.message("a", "c", "request")
		if c.before != "" {
			s.event("a", trace.Event{Kind: c.before})
		}
		s.event("c", trace.Event{Kind: trace.Request})
		s.event("c", trace.Event{Kind: trace.Enter, Token: 1})
		if c.after != "" {
			s.event("a", trace.Event{Kind: c.after})
		}
		got := s.because(t, 1)
		if c.want == "" && strings.Contains(got, ahead) || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestRequestOfAnotherEntry has a second entry whose own request is missing: the
// first one's request is not taken for it.
func TestRequestOfAnotherEntry(t *testing.T) {
	s := newScript("a")
	s.event("a", trace.Event{Kind: trace.Request})
	s.event("a", trace.Event{Kind: trace.Enter, Token: 1})
	s.event("a", trace.Event{Kind: trace.Exit, Token: 1})
	s.event("a", trace.Event{Kind: trace.Enter, Token: 2})
	if got := s.because(t, 2); got != "Its request is not in the record." {
		t.Error(got)
	}
}

// TestAfterWhoseHold has a enter in the end because b was killed, though c has
// entered since: the sentence says after whose hold the time is counted.
func TestAfterWhoseHold(t *testing.T) {
	s := newScript("a", "b", "c")
	s.event("a", trace.Event{Kind: trace.Request})
	s.event("c", trace.Event{Kind: trace.Request})
	s.event("b", trace.Event{Kind: trace.Request})
	s.event("b", trace.Event{Kind: trace.Enter, Token: 1})
	s.event("b", trace.Event{Kind: trace.Crash})
	s.event("a", trace.Event{Kind: trace.Enter, Token: 2})
	if got, want := s.because(t, 2), " After b had been killed it took "; !strings.Contains(got, want) {
		t.Errorf("%s\nwant%s", got, want)
	}
}
