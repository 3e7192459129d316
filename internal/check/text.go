package check

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteText writes the report for people: totals first, then the verdict with
// its reasons.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.totals(&b)
	r.rest(&b)
	r.verdict(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) totals(b *strings.Builder) {
	t := &r.Totals
	fmt.Fprintf(b, "%s, %s, %s in %s\n", count(t.Peers, "peer"), count(t.Locks, "lock"), plural(t.Entries, "entry", "entries"), shortTime(t.SpanNanoseconds))
	row(b, "messages", "%.2f an entry (%d for locks; upkeep %d, about no single lock %d)", t.PerEntry, t.Messages, t.Upkeep, t.NoLock)
	back := ""
	if t.Wait.ClockBack > 0 {
		back = fmt.Sprintf(" (a clock was set back during %d of them)", t.Wait.ClockBack)
	}
	row(b, "waiting", "half of the requests at most %s, 99 in 100 at most %s, longest %s%s",
		shortTime(t.Wait.P50), shortTime(t.Wait.P99), shortTime(t.Wait.Max), back)
	if len(r.Locks) == 1 {
		l := &r.Locks[0]
		row(b, "fairness", "%.2f by entries, %.2f by mean waiting time (Jain's index, 1.00 is even); overtaken at most %s",
			l.JainEntries, l.JainWait, count(l.Overtaken, "time"))
		return
	}
	for i := range r.Locks {
		l := &r.Locks[i]
		if i == locksShown {
			row(b, "", "and %s more", count(t.Locks-i, "lock"))
			break
		}
		row(b, "", "lock %q: %s, %.2f messages an entry, longest wait %s, fairness %.2f, overtaken at most %s",
			l.Name, plural(l.Entries, "entry", "entries"), l.PerEntry, shortTime(l.Wait.Max), l.JainEntries, count(l.Overtaken, "time"))
	}
}

// locksShown is how many locks the text describes one by one.
const locksShown = 10

// brokenShown is how many holds without an exit the text tells of.
const brokenShown = 10

// rest writes what did not end as it should: deaths, losses, open requests.
func (r *Report) rest(b *strings.Builder) {
	t := &r.Totals
	for _, p := range r.Peers {
		if p.Kills > 0 {
			row(b, "killed", "%s, %s", p.Name, count(p.Kills, "time"))
		}
		if p.End == "the record ends" && p.Events > 0 {
			row(b, "no end", "the record of %s ends without a stop: it still runs, was killed, or could not write it", p.Name)
		}
	}
	if t.Cancelled+t.RequestsDied > 0 {
		row(b, "given up", "%s cancelled, %d ended with the death of the peer", count(t.Cancelled, "request"), t.RequestsDied)
	}
	if t.Lost+t.Died+t.Inside > 0 {
		row(b, "no exit", "%s lost, %d ended with the death of the peer, %d still there when the record ends", count(t.Lost, "hold"), t.Died, t.Inside)
	}
	for i, x := range r.Broken {
		if i == brokenShown {
			row(b, "", "and %s more", count(len(r.Broken)-i, "hold"))
			break
		}
		where := ""
		if len(r.Locks) > 1 {
			where = fmt.Sprintf("lock %q: ", x.Lock)
		}
		row(b, "", "%s%s", where, x.Text)
	}
	for _, o := range r.Open {
		row(b, "still waits", "%s, request %s for lock %q (%s)", o.Peer, o.Request, o.Lock, o.Line)
	}
	if more := t.Open - len(r.Open); more > 0 {
		row(b, "", "and %s more", count(more, "request"))
	}
}

func (r *Report) verdict(b *strings.Builder) {
	b.WriteByte('\n')
	switch r.Verdict {
	case True:
		b.WriteString("Verdict: sound. At no time were two in the critical section, and every request ")
		if r.Totals.Cancelled+r.Totals.RequestsDied+r.Totals.Open > 0 {
			b.WriteString("was answered or is listed above.\n")
		} else {
			b.WriteString("was answered.\n")
		}
	case False:
		b.WriteString("Verdict: NOT SOUND. A rule is broken, and the lines below prove it.\n")
	case Unknown:
		b.WriteString("Verdict: unknown. What was recorded does not suffice to say yes or no.\n")
	}
	for _, x := range r.Rules {
		word := map[Verdict]string{True: "holds", False: "BROKEN", Unknown: "unknown"}[x.Verdict]
		fmt.Fprintf(b, "  %-8s %s (by %s)\n", word, x.Name, x.Rests)
	}
	if len(r.Findings) > 0 {
		b.WriteByte('\n')
	}
	for _, f := range r.Findings {
		where := ""
		if f.Lock != "" {
			where = fmt.Sprintf(", lock %q", f.Lock)
		}
		fmt.Fprintf(b, "%s%s: %s\n", f.Rule, where, f.Text)
		for _, line := range f.Lines {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
	if r.Omitted > 0 {
		fmt.Fprintf(b, "and %s more\n", count(r.Omitted, "finding"))
	}
}

func row(b *strings.Builder, label, format string, args ...any) {
	fmt.Fprintf(b, "  %-11s "+format+"\n", append([]any{label}, args...)...)
}

func count(n int, what string) string { return plural(n, what, what+"s") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// shortTime writes a duration with two or three figures.
func shortTime(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d < time.Microsecond:
		return d.String()
	case d < time.Millisecond:
		return d.Round(100 * time.Nanosecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
