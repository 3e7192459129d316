package chaos

import (
	"sync"
	"testing"
	"time"
)

// pulse measures how late this machine is: it wants to run every few
// milliseconds, and notes when it could not. Limits of time are for the peers;
// when the machine does other things, they may be late by as much.
type pulse struct {
	mu   sync.Mutex
	gaps []gap
}

type gap struct {
	at   time.Time // its end
	late time.Duration
}

const beat = 10 * time.Millisecond

func newPulse(t *testing.T) *pulse {
	p := &pulse{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			now := time.Now()
			if late := now.Sub(last) - beat; late > beat {
				p.mu.Lock()
				p.gaps = append(p.gaps, gap{now, late})
				p.mu.Unlock()
			}
			last = now
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return p
}

// late returns by how much the machine was late in all between two moments.
func (p *pulse) late(from, to time.Time) (sum time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.gaps {
		if g.at.After(from) && g.at.Add(-g.late).Before(to) {
			sum += g.late
		}
	}
	return sum
}
