package chaos

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// what says which operation an op was, and how it ended for its caller.
type what uint8

const (
	locked   what = iota // Lock returned a hold with the token
	failed               // Lock returned an error: it has no effect
	unlocked             // Unlock returned nil: the hold has lasted until then
	lost                 // the caller was told that its hold had ended by itself
	gone                 // the caller's process ended before it knew
)

// op is one operation on a lock, as its caller saw it. Call and ret are
// moments of one clock; the operation took effect somewhere between them.
//
// A hold that ended without its caller's doing may have ended at any time since
// the caller asked for it: lost and gone begin with the call of Lock. A Lock
// that its process did not survive is no op at all: whether it was granted or
// not, nobody saw its token, and it kept nobody out whom the end of its hold, at
// any moment, would not let in again. An Unlock that its process did not survive
// is gone: the hold ended, by it or without it.
type op struct {
	what      what
	peer      int
	token     uint64
	call, ret int64
}

// forever is the ret of an op that never returned.
const forever = math.MaxInt64

// lockState is a lock that fences, as simple as it can be.
type lockState struct {
	last uint64 // the token given last
	held bool
}

// fencedLock is what Conch promises to be, one op after the other.
var fencedLock = porcupine.Model{
	Init: func() any { return lockState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, o := state.(lockState), input.(op)
		switch o.what {
		case locked:
			return !s.held && o.token > s.last, lockState{o.token, true}
		case failed:
			return true, s
		default:
			return s.held && o.token == s.last, lockState{s.last, false}
		}
	},
	DescribeOperation: func(input, _ any) string {
		o := input.(op)
		return fmt.Sprintf("%s %d", [...]string{"lock", "failed lock", "unlock", "lost", "gone"}[o.what], o.token)
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}

// linearizable says whether one lock could have behaved so. Unknown means that
// the time was not enough.
func linearizable(history []op, atMost time.Duration) porcupine.CheckResult {
	result, deadline := porcupine.Ok, time.Now().Add(atMost)
	list, ok := windows(history, windowOps)
	if !ok {
		return porcupine.Illegal
	}
	for _, w := range list {
		switch w.check(max(time.Until(deadline), time.Millisecond)) {
		case porcupine.Illegal:
			return porcupine.Illegal
		case porcupine.Unknown:
			result = porcupine.Unknown
		}
	}
	return result
}

// window is a part of a history that can be judged by itself.
type window struct {
	init lockState
	ops  []op
}

func (w window) check(atMost time.Duration) porcupine.CheckResult {
	model := fencedLock
	model.Init = func() any { return w.init }
	operations := make([]porcupine.Operation, len(w.ops))
	for i, o := range w.ops {
		operations[i] = porcupine.Operation{ClientId: o.peer, Input: o, Call: o.call, Return: o.ret}
	}
	return porcupine.CheckOperationsTimeout(model, operations, atMost)
}

// windowOps is how many ops a window has, about: the search keeps a set of all
// ops of its history with each step, so one long history would cost the square.
const windowOps = 500

// windows cuts a history where that loses nothing. When a Lock has returned, and
// its hold is unlocked later with success, then at the moment of that return the
// state of the lock is known. Ops with smaller tokens took effect before it, and
// those with larger ones after it, as did the Unlock. An op that has no time for
// that is a mistake already: the history is not ok.
func windows(history []op, size int) (list []window, ok bool) {
	unlocks := make(map[uint64]int64) // by token: the call
	for _, o := range history {
		if o.what == unlocked {
			unlocks[o.token] = o.call
		}
	}
	ops := slices.Clone(history)
	var init lockState
	for {
		slices.SortFunc(ops, func(a, b op) int { return cmp.Compare(a.ret, b.ret) })
		n := size
		for n < len(ops) && !(ops[n].what == locked && ops[n].ret < unlocks[ops[n].token]) {
			n++
		}
		if n >= len(ops) {
			return append(list, window{init, ops}), true
		}
		token, moment := ops[n].token, ops[n].ret
		var before, after []op
		for _, o := range ops {
			switch {
			case o.what == failed && o.ret <= moment: // without effect: either side will do
				before = append(before, o)
			case o.what == failed:
				after = append(after, o)
			case o.token < token || o.token == token && o.what == locked:
				if o.call > moment {
					return nil, false
				}
				o.ret = min(o.ret, moment)
				before = append(before, o)
			default:
				if o.ret < moment {
					return nil, false
				}
				o.call = max(o.call, moment)
				after = append(after, o)
			}
		}
		list = append(list, window{init, before})
		init, ops = lockState{token, true}, after
	}
}
