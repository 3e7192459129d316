package service

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/clock"
)

// drain tells no client of a lease any more, and waits until none believes in one: each
// has given back what it had, or what it was told has ended. Only then may a hold be
// given back that its client has not.
func (a *sessions) drain() {
	a.turnAway()
	said := false
	for {
		a.mu.Lock()
		var until algo.Instant
		for _, s := range a.byID {
			for _, w := range s.wishes {
				until = max(until, w.told)
			}
		}
		a.mu.Unlock()
		left := until.Sub(clock.Now())
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(time.Duration(left), drainQuiet))
		select {
		case <-timer.C:
			if !said && left > algo.Duration(drainQuiet) {
				said = true
				a.warn(a.awaited(time.Duration(left)))
			}
		case <-a.released:
		}
		timer.Stop()
	}
}

// drainQuiet is how long drain waits before it says for whom.
const drainQuiet = 2 * time.Second

// awaited says for whom drain waits.
func (a *sessions) awaited(left time.Duration) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var holds []string
	for _, s := range a.byID {
		for _, w := range s.wishes {
			if w.told > clock.Now() {
				holds = append(holds, strings.TrimSuffix(fmt.Sprintf("%s (%s)", w.lock, w.options.Label), " ()"))
			}
		}
	}
	slices.Sort(holds)
	more := ""
	if n := len(holds) - maxAwaited; n > 0 {
		holds, more = holds[:maxAwaited], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("waits until programs have given back what they hold, for %s at most: %s%s", left.Round(time.Second), strings.Join(holds, ", "), more)
}

// maxAwaited is how many holds are named at a time.
const maxAwaited = 5

// turnAway ends the calls that wait.
func (a *sessions) turnAway() {
	a.mu.Lock()
	a.closed = true
	var calls []*call
	for _, s := range a.byID {
		for _, w := range s.wishes {
			calls = append(calls, w.waiting...)
			w.waiting = nil
		}
	}
	a.mu.Unlock()
	for _, c := range calls {
		c.finish(conch.ErrClosed)
	}
}

// signal tells drain that something was given back.
func (a *sessions) signal() {
	select {
	case a.released <- struct{}{}:
	default:
	}
}
