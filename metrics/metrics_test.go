package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/metrics"
)

// Each kind of event counts where it should, and nowhere else.
func TestObserve(t *testing.T) {
	for _, tt := range []struct {
		event conch.Event
		want  string // what it adds to; a histogram's count and sum
	}{
		{conch.Event{Kind: conch.Entered, Lock: "x", Took: 2 * time.Second}, `conch_lock_wait_seconds{lock="x"} 1 2`},
		{conch.Event{Kind: conch.GaveUp, Lock: "x", Took: time.Second}, `conch_lock_give_ups_total{lock="x"} 1`},
		{conch.Event{Kind: conch.HandedOver, Lock: "x", Took: 3 * time.Second}, `conch_lock_handoff_seconds{lock="x"} 1 3`},
		{conch.Event{Kind: conch.Exited, Lock: "x", Took: 4 * time.Second}, `conch_lock_hold_seconds{lock="x"} 1 4`},
		{conch.Event{Kind: conch.LostHold, Lock: "x", Took: 5 * time.Second}, `conch_lock_hold_seconds{lock="x"} 1 5; conch_lock_losses_total{lock="x"} 1`},
		{conch.Event{Kind: conch.Renewed, Lock: "x", Took: 6 * time.Second}, `conch_lease_left_seconds{} 1 6`},
		{conch.Event{Kind: conch.Sent, Peer: "b", Message: "vote"}, `conch_messages_sent_total{kind="vote",upkeep="false"} 1`},
		{conch.Event{Kind: conch.Received, Peer: "b", Message: "renew", Upkeep: true}, `conch_messages_received_total{kind="renew",upkeep="true"} 1`},
		{conch.Event{Kind: conch.Dropped, Peer: "b", Message: "vote"}, `conch_messages_dropped_total{kind="vote",upkeep="false"} 1`},
		{conch.Event{Kind: conch.LinkUp, Peer: "b"}, `conch_link_changes_total{state="up"} 1`},
		{conch.Event{Kind: conch.LinkDown, Peer: "b"}, ``}, // it never was up
		{conch.Event{}, ``},
		{conch.Event{Kind: 99, Lock: "x"}, ``},
	} {
		m := metrics.New(metrics.Options{})
		m.Observe(tt.event)
		if got := strings.Join(counts(t, m), "; "); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.event, got, tt.want)
		}
	}
}

// counts lists what is above 0, but for what is always there.
func counts(t *testing.T, m *metrics.Metrics) (list []string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			var labels []string
			for _, l := range s.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := fmt.Sprintf("%s{%s}", f.GetName(), strings.Join(labels, ","))
			switch h := s.GetHistogram(); {
			case f.GetName() == "conch_build_info":
			case h.GetSampleCount() > 0:
				list = append(list, fmt.Sprint(name, " ", h.GetSampleCount(), " ", h.GetSampleSum()))
			case s.GetCounter().GetValue() > 0:
				list = append(list, fmt.Sprint(name, " ", s.GetCounter().GetValue()))
			}
		}
	}
	return list
}

// A peer that is closed tells nothing of its links, and has new ones when it is joined again.
func TestLinksOfPeerJoinedAgain(t *testing.T) {
	m := metrics.New(metrics.Options{})
	m.Observe(conch.Event{Kind: conch.LinkUp, Peer: "b"})
	m.Observe(conch.Event{Kind: conch.LinkUp, Peer: "b"})
	m.Observe(conch.Event{Kind: conch.LinkDown, Peer: "b"})
	if got, want := strings.Join(counts(t, m), "; "), `conch_link_changes_total{state="down"} 1; conch_link_changes_total{state="up"} 2`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A link that is down is said to be so again for each reason, and changes once.
func TestLinkChanges(t *testing.T) {
	m := metrics.New(metrics.Options{})
	for _, e := range []conch.Event{
		{Kind: conch.LinkDown, Peer: "b"}, {Kind: conch.LinkUp, Peer: "b"}, {Kind: conch.LinkUp, Peer: "c"},
		{Kind: conch.LinkDown, Peer: "b"}, {Kind: conch.LinkDown, Peer: "b"}, {Kind: conch.LinkUp, Peer: "b"},
	} {
		m.Observe(e)
	}
	if got, want := strings.Join(counts(t, m), "; "), `conch_link_changes_total{state="down"} 1; conch_link_changes_total{state="up"} 3`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// However many locks there are, few have a label, and none is left out.
func TestLabelsAreBounded(t *testing.T) {
	names := []string{"other", "a\"b\\c", "é 世界", strings.Repeat("x", 200)}
	for i := range 500 {
		names = append(names, fmt.Sprintf("user-%d", i))
	}
	for _, tt := range []struct{ option, labels int }{{0, metrics.DefaultLocks}, {7, 7}, {-1, 0}} {
		m := metrics.New(metrics.Options{Locks: tt.option})
		for range 2 {
			for _, name := range names {
				m.Observe(conch.Event{Kind: conch.Entered, Lock: name, Took: time.Second})
				m.Observe(conch.Event{Kind: conch.LostHold, Lock: name, Took: time.Second})
			}
		}
		if n := testutil.CollectAndCount(m, "conch_lock_wait_seconds"); n != tt.labels+1 {
			t.Errorf("Locks %d: %d labels, want %d and %s", tt.option, n, tt.labels, metrics.Other)
		}
		want := fmt.Sprintf("conch_lock_losses_total{lock=%q} %d", metrics.Other, 2*(len(names)-tt.labels))
		if got := strings.Join(counts(t, m), "\n"); !strings.Contains(got, want) {
			t.Errorf("Locks %d: no %s in\n%s", tt.option, want, got)
		}
	}
}
