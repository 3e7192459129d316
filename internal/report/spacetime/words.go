package spacetime

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// ms writes a moment in milliseconds since the beginning of the run.
func (s *sheet) ms(at time.Time) string {
	return strconv.FormatFloat(milli(at.Sub(s.begin)), 'f', s.decimals, 64)
}

// when writes when a row was.
func (s *sheet) when(r row) string {
	if r.until.Sub(r.at) <= together {
		return s.ms(r.at)
	}
	return fit(fmt.Sprintf("%.0f–%.0f", milli(r.at.Sub(s.begin)), milli(r.until.Sub(s.begin))), rulerWidth, rulerSize)
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// duration writes how long something took.
func duration(d time.Duration) string {
	if d >= time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
	}
	return strconv.FormatFloat(milli(d), 'f', 0, 64) + " ms"
}

// title says what is shown, in a few words.
func (t *Timeline) title() string {
	if t.path != nil {
		return fmt.Sprintf("Entry %d of lock %q: %s, with token %d", t.path.Entry, t.lock, t.path.Peer, t.path.Token)
	}
	return fmt.Sprintf("Lock %q: %s, %s, %s", t.lock, count(len(t.peers), "peer", "peers"), count(len(t.entries(0, len(t.rows))), "entry", "entries"),
		count(len(t.arrows), "message", "messages"))
}

// entry is an entry within the rows that are looked at.
type entry struct {
	who   int
	token algo.Token
	at    time.Time
}

func (t *Timeline) entries(from, to int) []entry {
	var list []entry
	for _, r := range t.rows[from:to] {
		for _, st := range r.steps {
			for _, m := range st.marks {
				if m.kind == trace.Enter {
					list = append(list, entry{st.who, m.token, st.at})
				}
			}
		}
	}
	return list
}

// describe says in sentences what the rows show, to who cannot see them.
func (s *sheet) describe(from, to int) string {
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "Space-time diagram: a lifeline for each of %s (%s); time runs downwards, from %s ms to %s ms since the beginning.",
		count(len(s.peers), "peer", "peers"), s.names(), s.ms(s.rows[from].at), s.ms(s.rows[to-1].until))
	entries := s.entries(from, to)
	for i, e := range entries {
		if i == most {
			fmt.Fprintf(&b, " And %d more.", len(entries)-most)
			break
		}
		fmt.Fprintf(&b, " %s enters with token %d at %s ms.", s.peers[e.who], e.token, s.ms(e.at))
	}
	sent, lost := 0, 0
	for _, a := range s.arrows {
		if f := a.first(); f.row >= from && f.row < to {
			sent++
			if a.fate == dropped {
				lost++
			}
		}
	}
	fmt.Fprintf(&b, " %s", count(sent, "message", "messages"))
	if lost > 0 {
		fmt.Fprintf(&b, ", %d of them dropped", lost)
	}
	b.WriteString(".")
	for _, r := range s.rows[from:to] {
		for _, st := range r.steps {
			for _, m := range st.marks {
				if m.worthTelling() {
					fmt.Fprintf(&b, " %s %s at %s ms.", s.peers[st.who], m.said(), s.ms(st.at))
				}
			}
		}
	}
	return b.String()
}

func (t *Timeline) names() string {
	var names []string
	for i, name := range t.peers {
		if i >= t.traces {
			name += " (without a trace)"
		}
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

// word is what stands beside a mark.
func (m mark) word() string {
	switch m.kind {
	case trace.Enter:
		return fmt.Sprintf("token %d", m.token)
	case trace.Cancel:
		return "gives up"
	case trace.Lost:
		return "lost"
	case trace.Crash:
		return "killed"
	case trace.Stop:
		return "stops"
	case trace.Start:
		if m.again {
			return "starts again"
		}
		return "starts"
	}
	return ""
}

// worthTelling says that a mark belongs into a description.
func (m mark) worthTelling() bool {
	return m.kind == trace.Crash || m.kind == trace.Lost || m.kind == trace.Cancel || m.again
}

// said is the same in a sentence.
func (m mark) said() string {
	switch m.kind {
	case trace.Lost:
		return "loses the lock"
	case trace.Crash:
		return "is killed"
	case trace.Cancel:
		return "gives up waiting"
	}
	return m.word()
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(milli(d), 'f', 2, 64) + " ms"
}
