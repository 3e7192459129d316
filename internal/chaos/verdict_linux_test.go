package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/conchlock/conch/internal/check"
)

// judge says what became of a run that is over, and of every kind of evidence
// whether it is as it must be.
func (a *arena) judge() {
	began := time.Now()
	a.judgeLogs()
	a.judgeWrites()
	a.judgeOrders()
	a.judgeHistories()
	a.judgeTraces()
	a.judgeRecoveries()
	a.t.Logf("judged in %s; the machine was late by %s in all", round3(time.Since(began)), round3(a.pulse.late(a.began, began)))
}

// judgeLogs looks for what no fault excuses.
func (a *arena) judgeLogs() {
	for _, p := range a.peers {
		text, err := os.ReadFile(p.log)
		if err != nil {
			a.t.Error(err)
		}
		for _, bad := range []string{"panic:", "fatal error:", "DATA RACE"} {
			if at := bytes.Index(text, []byte(bad)); at >= 0 {
				a.t.Errorf("%s: %.1200s", p.name, text[at:])
			}
		}
	}
}

// judgeWrites looks at what the resource took, in its own order: between the
// first and the last write of a hold nobody else's was taken, and no write was
// refused whose hold was good until it was unlocked.
func (a *arena) judgeWrites() {
	for _, lock := range a.locks {
		b := a.res.books[lock]
		owners := make(map[uint64]int)
		closed := make(map[uint64]bool) // somebody else's write was taken after it
		last, refused := uint64(0), 0
		wrong := complaints{a: a}
		for _, w := range b.writes {
			if owner, known := owners[w.token]; known && owner != w.peer {
				wrong.add("%s: token %d was used by %s and by %s", lock, w.token, a.peers[owner].name, a.peers[w.peer].name)
			}
			owners[w.token] = w.peer
			if !w.taken {
				refused++
				if b.answered[w.token] == unlocked {
					wrong.add("%s: %s wrote with token %d, after a larger one, and yet its Unlock says that it held the lock", lock, a.peers[w.peer].name, w.token)
				}
				continue
			}
			if closed[w.token] || w.token < last {
				wrong.add("%s: the write of %s with token %d was taken after one with token %d", lock, a.peers[w.peer].name, w.token, last)
			}
			if w.token != last {
				closed[last] = true
			}
			last = w.token
		}
		wrong.end()
		a.judgeFence(lock)
		ends := make(map[what]int)
		for _, how := range b.answered {
			ends[how]++
		}
		a.t.Logf("%s: %d holds wrote, %d were unlocked, %d lost, %d ended with their process; %d of %d writes were refused; the last token is %d",
			lock, len(b.entries), ends[unlocked], ends[lost], ends[gone], refused, len(b.writes), last)
	}
}

// judgeFence wants to see that holders that were stopped inside, and wrote once
// more when they could, were refused: else the fence was not put to the test.
func (a *arena) judgeFence(lock string) {
	for i, r := range a.rounds {
		if r.lock != lock || r.advice != again {
			continue
		}
		refused := func(w write) bool { return w.token == r.token && !w.taken }
		if !slices.ContainsFunc(a.res.books[lock].writes, refused) {
			a.t.Errorf("round %d, %s: nothing that %s wrote with token %d was refused, and it was stopped for longer than its lease",
				i+1, r.name, a.peers[r.victims[0]].name, r.token)
		}
	}
}

// judgeOrders wants to see that holds were ended by order, and told so, and that nobody
// got in before they had left where nothing else was wrong: then their leases lasted.
func (a *arena) judgeOrders() {
	ended := a.ordered()
	for i, r := range a.rounds {
		told, left := 0, 0
		for lock, tokens := range ended {
			for token, at := range tokens {
				switch {
				case at.Before(r.began) || at.After(r.healed):
				case a.res.books[lock].answered[token] == lost:
					told++
				default: // it had just left, or its process did not live to hear of it
					left++
				}
			}
		}
		if !r.ends {
			continue
		}
		a.t.Logf("round %d, %s: %d holds were ended by order, and %d were ending anyhow", i+1, r.name, told, left)
		if told == 0 {
			a.t.Errorf("round %d, %s: no hold was ended by order", i+1, r.name)
		}
		if r.holder || a.pulse.late(r.began, r.healed) > ttl/4 {
			continue
		}
		wrong := complaints{a: a}
		for lock, b := range a.res.books {
			for _, e := range b.entries {
				if at, yes := ended[lock][e.beside]; yes && e.at.After(r.began) && e.at.Before(r.healed) {
					wrong.add("round %d, %s: %s entered %s with token %d, and %d, ended by order %s before, had not left", i+1, r.name, a.peers[e.peer].name, lock, e.token, e.beside, e.at.Sub(at))
				}
			}
		}
		wrong.end()
	}
}

// ordered reads from the audit logs which holds were ended by order, by lock and token,
// and when.
func (a *arena) ordered() map[string]map[uint64]time.Time {
	ended := make(map[string]map[uint64]time.Time)
	for _, p := range a.peers {
		text, err := os.ReadFile(filepath.Join(p.task.Config.Dir, "audit.log"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			a.t.Error(err)
		}
		for line := range bytes.Lines(text) {
			var o struct {
				At    time.Time `json:"ts"`
				What  string    `json:"event"`
				Lock  string    `json:"lock"`
				Token uint64    `json:"token"`
			}
			if err := json.Unmarshal(line, &o); err != nil {
				a.t.Errorf("%s: audit.log: %q: %v", p.name, line, err)
			} else if o.What == "end done" {
				if ended[o.Lock] == nil {
					ended[o.Lock] = make(map[uint64]time.Time)
				}
				ended[o.Lock][o.Token] = o.At
			}
		}
	}
	return ended
}

// complaints are errors of one kind. The first ones are told, all are counted.
type complaints struct {
	a *arena
	n int
}

func (c *complaints) add(format string, args ...any) {
	if c.n++; c.n <= 5 {
		c.a.t.Errorf(format, args...)
	}
}

func (c *complaints) end() {
	if c.n > 5 {
		c.a.t.Errorf("and %d more like that", c.n-5)
	}
}

// judgeHistories asks whether what the clients saw is linearizable.
func (a *arena) judgeHistories() {
	for _, lock := range a.locks {
		history := a.res.books[lock].history
		kinds := make(map[what]int)
		for _, o := range history {
			kinds[o.what]++
		}
		switch got := linearizable(history, time.Minute); got {
		case porcupine.Ok:
			a.t.Logf("%s: %d operations are linearizable, %d of them locks that were given up", lock, len(history), kinds[failed])
		default:
			a.t.Errorf("%s: whether %d operations are linearizable: %s", lock, len(history), got)
		}
	}
}

// judgeTraces has the traces checked as conch check does.
func (a *arena) judgeTraces() {
	report, err := check.Dir(a.traces)
	if err != nil {
		a.t.Error(err)
		return
	}
	if report.Verdict != check.True {
		a.t.Errorf("the traces are not sound: %s", report.Verdict)
		for _, f := range report.Findings[:min(len(report.Findings), 5)] {
			a.t.Logf("%s, %s: %s: %s %s", f.Rule, f.Verdict, f.Lock, f.Text, strings.Join(f.Lines, ", "))
		}
	}
	x := report.Totals
	a.t.Logf("traces: verdict %s, %d events, %d entries, %d exits, %d holds lost, %d died, %.1f messages an entry",
		report.Verdict, x.Events, x.Entries, x.Exits, x.Lost, x.Died, x.PerEntry)
}

// stall is the longest time in which nobody entered a lock, in one round.
type stall struct {
	r     *round
	lock  string
	role  role
	took  time.Duration
	bound time.Duration
}

// judgeRecoveries measures how long each lock stood still in each round.
func (a *arena) judgeRecoveries() {
	roles, err := a.roles()
	if err != nil {
		a.t.Error(err)
		return
	}
	var stalls []stall
	for i, r := range a.rounds {
		for _, lock := range a.locks {
			s := stall{r: r, lock: lock, role: roles[part{i, lock}]}
			if r.all {
				s.role = everybody
			}
			from, to, times := a.still(r, lock)
			s.took = to.Sub(from)
			s.bound = s.role.bound(len(r.victims))
			if late := a.pulse.late(from, to); s.took > s.bound+late {
				a.t.Errorf("round %d, %s: nobody entered %s for %s, at most %s should pass (and %s, for the machine was late) when %s had %s",
					i+1, r.name, lock, round3(s.took), s.bound, round3(late), a.names(r.victims), s.role)
			}
			stalls = append(stalls, s)
			if times > 1 {
				a.t.Logf("round %d, %s: %s stood still %d times", i+1, r.name, lock, times)
			}
		}
	}
	a.t.Logf("the longest time without an entry, by round and lock:\n%s", histogram(stalls))
	byName := make(map[string][]time.Duration)
	for _, r := range a.rounds {
		byName[r.name] = append(byName[r.name], r.settled.Sub(r.healed))
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		slices.Sort(byName[name])
		list := byName[name]
		fmt.Fprintf(&out, "  %-48s %2d times, median %s, longest %s\n", name, len(list), round3(list[len(list)/2]), round3(list[len(list)-1]))
	}
	a.t.Logf("from the end of a fault until everybody was inside again (at most %s):\n%s", settlesWithin, out.String())
}

// still returns the longest time in which nobody entered a lock, of those that
// began while the fault of a round lasted, and how many of half a TTL there were.
func (a *arena) still(r *round, lock string) (from, to time.Time, times int) {
	last := r.began
	if r.all {
		last = r.healed
	}
	until := r.healed
	for _, e := range a.res.books[lock].entries {
		if !e.at.After(last) {
			continue
		}
		if e.at.Sub(last) > to.Sub(from) {
			from, to = last, e.at
		}
		if e.at.Sub(last) > ttl/2 {
			times++
		}
		if last = e.at; last.After(until) {
			break
		}
	}
	return from, to, times
}

// buckets are the upper ends of the histogram's rows.
var buckets = []time.Duration{
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond,
	800 * time.Millisecond, time.Second, 1200 * time.Millisecond, 1500 * time.Millisecond, 2 * time.Second, 3 * time.Second, 5 * time.Second,
}

// histogram draws the stalls, by what the victims had of the lock.
func histogram(stalls []stall) string {
	byRole := make(map[role][]stall)
	for _, s := range stalls {
		byRole[s.role] = append(byRole[s.role], s)
	}
	var out strings.Builder
	for _, role := range slices.Sorted(maps.Keys(byRole)) {
		list := byRole[role]
		slices.SortFunc(list, func(x, y stall) int { return int(x.took - y.took) })
		longest := list[len(list)-1]
		fmt.Fprintf(&out, "  the victims had %s (at most %s): median %s, longest %s (%s)\n",
			role, longest.bound, round3(list[len(list)/2].took), round3(longest.took), longest.r.name)
		low := time.Duration(0)
		for _, high := range buckets {
			n := 0
			for _, s := range list {
				if s.took > low && s.took <= high {
					n++
				}
			}
			if n > 0 {
				fmt.Fprintf(&out, "    %5s to %-5s %3d %s\n", low, high, n, strings.Repeat("#", min(n, 60)))
			}
			low = high
		}
	}
	return out.String()
}
