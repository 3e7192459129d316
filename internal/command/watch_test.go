package command

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// seen is a look at the hold at a time since the start, and what must come of it.
type seen struct {
	at, deadline time.Duration // no deadline: -1
	ended        bool
	want         order
	wake         time.Duration // when it wants to look again; -1: not by time
}

// TestWatch plays what can become of a lease.
func TestWatch(t *testing.T) {
	start := time.Now()
	for name, c := range map[string]struct {
		killAfter time.Duration
		looks     []seen
	}{
		"renewed all the time": {5000 * ms, []seen{
			{0, 3000 * ms, false, carryOn, 2000 * ms},
			{2000 * ms, 5000 * ms, false, carryOn, 4000 * ms},
			{4000 * ms, 7000 * ms, false, carryOn, 6000 * ms},
		}},
		"not renewed": {5000 * ms, []seen{
			{0, 3000 * ms, false, carryOn, 2000 * ms},
			{2000 * ms, 3000 * ms, false, finish, 2750 * ms},
			{2749 * ms, 3000 * ms, false, finish, 2750 * ms},
			{2750 * ms, 3000 * ms, false, kill, 2750 * ms},
		}},
		"a short patience": {100 * ms, []seen{
			{0, 3000 * ms, false, carryOn, 2750 * ms}, // no later than the margin
			{2750 * ms, 3000 * ms, false, kill, 2750 * ms},
		}},
		"a patience of half a second": {500 * ms, []seen{
			{0, 3000 * ms, false, carryOn, 2500 * ms},
			{2500 * ms, 3000 * ms, false, finish, 2750 * ms},
		}},
		"a short lease": {5000 * ms, []seen{
			{0, 300 * ms, false, carryOn, 200 * ms},
			{200 * ms, 300 * ms, false, finish, 270 * ms},
			{270 * ms, 300 * ms, false, kill, 270 * ms},
		}},
		"renewed after it was asked to end": {5000 * ms, []seen{
			{0, 3000 * ms, false, carryOn, 2000 * ms},
			{2000 * ms, 3000 * ms, false, finish, 2750 * ms},
			{2750 * ms, 5500 * ms, false, carryOn, 4500 * ms},
			{4500 * ms, 5500 * ms, false, finish, 5250 * ms}, // the time runs anew
		}},
		"renewed, but for too short a time": {5000 * ms, []seen{
			{0, 3000 * ms, false, carryOn, 2000 * ms},
			{2000 * ms, 3000 * ms, false, finish, 2750 * ms},
			{2750 * ms, 3500 * ms, false, finish, 3250 * ms},
			{3250 * ms, 3500 * ms, false, kill, 3250 * ms},
		}},
		"ended though its lease lasts": {500 * ms, []seen{
			{0, 3000 * ms, false, carryOn, 2500 * ms},
			{1000 * ms, 4000 * ms, true, finish, 1500 * ms},
			{1500 * ms, 4000 * ms, true, kill, 1500 * ms},
		}},
		"found to be over": {5000 * ms, []seen{
			{0, 3000 * ms, false, carryOn, 2000 * ms},
			{9000 * ms, 3000 * ms, true, kill, 2750 * ms},
		}},
		"no lease": {500 * ms, []seen{
			{0, -1, false, carryOn, -1},
			{9000 * ms, -1, true, finish, 9500 * ms},
			{9500 * ms, -1, true, kill, 9500 * ms},
		}},
		"no patience": {0, []seen{
			{0, -1, false, carryOn, -1},
			{1000 * ms, -1, true, kill, 1000 * ms},
		}},
	} {
		w := watch{killAfter: c.killAfter}
		for _, s := range c.looks {
			var deadline, wake time.Time
			if s.deadline >= 0 {
				deadline = start.Add(s.deadline)
			}
			if s.wake >= 0 {
				wake = start.Add(s.wake)
			}
			got, at := w.look(start.Add(s.at), deadline, s.ended)
			if got != s.want || !at.Equal(wake) {
				t.Errorf("%s, after %v: order %d, again %v; want %d, %v", name, s.at, got, at.Sub(start), s.want, s.wake)
			}
		}
	}
}

// TestWatchLasts says when a command that was stopped may go on.
func TestWatchLasts(t *testing.T) {
	now := time.Now()
	w := watch{longest: time.Second}
	for _, c := range []struct {
		deadline time.Time
		ended    bool
		want     bool
	}{
		{time.Time{}, false, true},
		{time.Time{}, true, false},
		{now.Add(200 * ms), false, true},
		{now.Add(200 * ms), true, false},
		{now.Add(100 * ms), false, false}, // within the margin
		{now.Add(-100 * ms), false, false},
	} {
		if got := w.lasts(now, c.deadline, c.ended); got != c.want {
			t.Errorf("%v, ended %v: %v", c.deadline, c.ended, got)
		}
	}
}
