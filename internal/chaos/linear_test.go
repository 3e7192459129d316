package chaos

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Histories that no lock may show are refused, and those that one may are not.
func TestModel(t *testing.T) {
	for _, c := range []struct {
		name string
		ops  []op
		ok   bool
	}{
		{"one after the other", []op{{locked, 0, 1, 1, 2}, {unlocked, 0, 1, 3, 4}, {locked, 1, 2, 5, 6}, {unlocked, 1, 2, 7, 8}}, true},
		{"handed over while it is unlocked", []op{{locked, 0, 1, 1, 2}, {locked, 1, 2, 3, 6}, {unlocked, 0, 1, 5, 7}}, true},
		{"two holders", []op{{locked, 0, 1, 1, 2}, {locked, 1, 2, 3, 4}, {unlocked, 0, 1, 5, 6}}, false},
		{"two holders, one of whom never leaves", []op{{locked, 0, 1, 1, 2}, {locked, 1, 2, 3, 4}}, false},
		{"the token goes back", []op{{locked, 0, 7, 1, 2}, {unlocked, 0, 7, 3, 4}, {locked, 1, 6, 5, 6}}, false},
		{"the token comes twice", []op{{locked, 0, 7, 1, 2}, {unlocked, 0, 7, 3, 4}, {locked, 1, 7, 5, 6}}, false},
		{"tokens may skip", []op{{locked, 0, 7, 1, 2}, {unlocked, 0, 7, 3, 4}, {locked, 1, 1 << 40, 5, 6}}, true},
		{"requests at once, granted in the other order", []op{{locked, 0, 9, 1, 9}, {locked, 1, 8, 2, 4}, {unlocked, 1, 8, 5, 6}}, true},
		{"unlocked by who has not", []op{{locked, 0, 1, 1, 2}, {unlocked, 1, 2, 3, 4}}, false},
		{"unlocked twice", []op{{locked, 0, 1, 1, 2}, {unlocked, 0, 1, 3, 4}, {unlocked, 0, 1, 5, 6}}, false},
		{"lost, then somebody else", []op{{locked, 0, 1, 1, 2}, {locked, 1, 2, 3, 4}, {lost, 0, 1, 1, 9}}, true},
		{"lost before Lock returned", []op{{locked, 0, 1, 1, 8}, {locked, 1, 2, 2, 4}, {lost, 0, 1, 1, 9}}, true},
		{"lost, and yet unlocked with success", []op{{locked, 0, 1, 1, 2}, {locked, 1, 2, 3, 4}, {unlocked, 0, 1, 5, 6}, {lost, 0, 1, 1, 7}}, false},
		{"killed inside, then somebody else", []op{{locked, 0, 1, 1, 2}, {gone, 0, 1, 1, forever}, {locked, 1, 2, 3, 4}}, true},
		{"killed inside, then nobody", []op{{locked, 0, 1, 1, 2}, {gone, 0, 1, 1, forever}}, true},
		{"killed inside, then two", []op{{locked, 0, 1, 1, 2}, {gone, 0, 1, 1, forever}, {locked, 1, 2, 3, 4}, {locked, 2, 3, 5, 6}}, false},
		{"killed inside, then a smaller token", []op{{locked, 0, 5, 1, 2}, {gone, 0, 5, 1, forever}, {locked, 1, 4, 3, 4}}, false},
		{"an error has no effect", []op{{locked, 0, 1, 1, 2}, {failed, 1, 0, 3, 4}, {unlocked, 0, 1, 5, 6}, {failed, 1, 0, 7, 8}}, true},
	} {
		want := porcupine.Illegal
		if c.ok {
			want = porcupine.Ok
		}
		if got := linearizable(c.ops, time.Minute); got != want {
			t.Errorf("%s: %s", c.name, got)
		}
		for size := 1; size < 4; size++ {
			if got := cut(c.ops, size); got != want {
				t.Errorf("%s, cut into windows of %d: %s", c.name, size, got)
			}
		}
	}
}

// cut judges a history in windows of a size.
func cut(history []op, size int) porcupine.CheckResult {
	list, ok := windows(history, size)
	if !ok {
		return porcupine.Illegal
	}
	for _, w := range list {
		if got := w.check(time.Minute); got != porcupine.Ok {
			return got
		}
	}
	return porcupine.Ok
}

// TestWindows compares the judgement in windows with that of the whole, for
// random histories: what a lock could have shown, with one time or token moved.
func TestWindows(t *testing.T) {
	verdicts := make(map[porcupine.CheckResult]int)
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		history := randomHistory(random, 12)
		if o := &history[random.IntN(len(history))]; seed%4 != 0 {
			switch random.IntN(3) {
			case 0:
				o.token = max(1, o.token+random.Uint64N(5)-2)
			case 1:
				o.call = random.Int64N(o.ret)
			default:
				o.ret = o.call + 1 + random.Int64N(60)
			}
		}
		whole := window{ops: history}.check(time.Minute)
		if whole != porcupine.Ok && seed%4 == 0 {
			t.Fatalf("seed %d: %s, it was not touched\n%v", seed, whole, history)
		}
		for _, size := range []int{1, 2, 5, 9} {
			if got := cut(history, size); got != whole {
				t.Fatalf("seed %d: %s in windows of %d, %s as a whole\n%v", seed, got, size, whole, history)
			}
		}
		verdicts[whole]++
	}
	if verdicts[porcupine.Ok] < 600 || verdicts[porcupine.Illegal] < 300 {
		t.Errorf("the histories are too much alike: %v", fmt.Sprint(verdicts))
	}
}

// randomHistory is what some peers see of a lock that n of them enter.
func randomHistory(random *rand.Rand, n int) []op {
	var history []op
	now := int64(100)
	for token := uint64(1); token <= uint64(n); token++ {
		peer := random.IntN(4)
		granted := now + 1 + random.Int64N(10)
		left := granted + 1 + random.Int64N(10)
		enter := op{locked, peer, token, granted - random.Int64N(30), granted + random.Int64N(left-granted)}
		end := op{unlocked, peer, token, enter.ret + random.Int64N(left-enter.ret), left + random.Int64N(30)}
		switch random.IntN(6) {
		case 0:
			end.what, end.call = lost, enter.call
		case 1:
			end.what, end.call, end.ret = gone, enter.call, forever
		}
		history = append(history, enter, end)
		if random.IntN(4) == 0 {
			history = append(history, op{failed, peer, 0, granted, left + 3})
		}
		now = left
	}
	return history
}
