package sim

import (
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
)

// shrink leaves out steps, in smaller and smaller runs of them, as long as what
// remains still breaks a rule.
func (f *Failure) shrink() *Failure { return f.shrinkWithin(plainEffort) }

// plainEffort is some seconds, and more than most failures take: those whose
// second act never ends take settleLimit steps for each try.
const plainEffort = 3_000_000

// shrinkWithin does so until it has taken about so many steps. A time would be
// no bound: what is told has to be the same every time.
func (f *Failure) shrinkWithin(effort int) *Failure {
	if again := f.replay(f.Steps, &effort); again != nil {
		f = again
	}
	for size := len(f.Steps); size > 0 && effort > 0; {
		smaller := f.without(size, &effort)
		if smaller == nil {
			size /= 2
			continue
		}
		f = smaller
		size = min(size, len(f.Steps))
	}
	return f
}

// timedEffort is some ten seconds.
const timedEffort = 15_000_000

// shrinkTimed shrinks the failure of a timed run. If what its second act found
// is found where messages take no time, too, that makes the shorter story.
func (f *Failure) shrinkTimed() *Failure {
	effort := timedEffort
	if f.Calm != nil {
		plain := *f
		plain.Calm = nil
		if g := plain.replay(f.Steps, &effort); g != nil {
			f = g
		}
	}
	return f.shrinkWithin(effort)
}

// without tries to leave out size steps, wherever it can.
func (f *Failure) without(size int, effort *int) (shorter *Failure) {
	for at := 0; at+size <= len(f.Steps) && *effort > 0; {
		steps := slices.Concat(f.Steps[:at], f.Steps[at+size:])
		if g := f.replay(steps, effort); g != nil && len(g.Steps) < len(f.Steps) {
			f, shorter = g, g
		} else {
			at += size
		}
	}
	return shorter
}

// replay takes those of the steps that are possible, then plays the second act.
// It returns the failure, if there is one.
func (f *Failure) replay(steps []Step, effort *int) *Failure {
	n, err := NewNetwork(f.Config)
	if err != nil {
		return nil
	}
	g := *f
	g.Steps, g.Settle, g.Reason = make([]Step, 0, len(steps)), false, nil
	for _, s := range steps {
		if n.refuse(s) != "" {
			continue
		}
		g.take(s)
		*effort--
		if _, g.Reason = n.Do(s); g.Reason == nil && f.timed && s.Op == Wake {
			g.Reason = n.checkWake(int(s.Peer))
		}
		if g.Reason != nil {
			return &g
		}
	}
	if f.unsettled {
		return nil
	}
	if g.Reason = f.settle(n, func(Event) { *effort-- }); g.Reason != nil {
		g.Settle = true
		return &g
	}
	return nil
}

// take takes note of a step. Time that passes in one go is one step, within what
// a scenario can say.
func (f *Failure) take(s Step) {
	if last := len(f.Steps) - 1; s.Op == Pass && last >= 0 && f.Steps[last].Op == Pass {
		if d := f.Steps[last].Time + s.Time; d <= algo.Duration(time.Hour) {
			f.Steps[last].Time = d
			return
		}
	}
	f.Steps = append(f.Steps, s)
}
