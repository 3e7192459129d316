package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/view"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// seen is a view with everything in it.
func seen() *view.View {
	return &view.View{
		Peer: "a", At: noon, More: 2,
		Locks: []view.Lock{
			{Name: "free", Waiters: []view.Waiter{{Peer: "c", Since: noon.Add(-time.Second), WaitsFor: []string{"a", "b"}}}},
			{
				Name:   "held",
				Holder: &view.Holder{Peer: "b", Token: 7, Label: "root@b: ./job", Since: noon.Add(-90 * time.Second), Deadline: noon.Add(4100 * time.Millisecond)},
				Waiters: []view.Waiter{
					{Peer: "a", Label: "first", Since: noon.Add(-time.Minute), WaitsFor: []string{"b"}},
					{Peer: "b", Label: "second", Since: noon.Add(-time.Hour)},
					{Peer: "a", Label: "third", Since: noon},
				},
				More: 5,
			},
			{Name: "lent", Lent: &view.Lent{Peer: "d", Until: noon.Add(3 * time.Second)}},
			{Name: "old", Holder: &view.Holder{Peer: "d", Token: 8, Since: noon, Silent: true}},
			{Name: "told", Holder: &view.Holder{Peer: "a", Token: 9, Since: noon, Deadline: noon.Add(time.Second), Ended: "the hold is lost: me has ended it: why"}},
		},
		Silent: []view.Silent{{Peer: "d", Reason: "connection refused", Since: noon.Add(-3 * time.Minute)}},
	}
}

func TestWriteLocks(t *testing.T) {
	var out bytes.Buffer
	writeLocks(&out, seen())
	writeSilent(&out, seen())
	want := `LOCK  HELD AT  FOR  LEASE  TOKEN  WAITING  BY
free  -        -    -      -      1        
held  b        1m   4s     7      8        root@b: ./job
lent  d?       -    3s     -      0        
old   d        0s   -      8      0        its peer does not answer
told  a        0s   1s     9      0        told to leave
and at least 2 more locks
no answer from d, for 3m: connection refused
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	out.Reset()
	writeLocks(&out, &view.View{Silent: seen().Silent})
	if got := out.String(); !strings.HasPrefix(got, "no lock is held or wanted, as far as is known\n") {
		t.Error(got)
	}
}

func TestWriteWhy(t *testing.T) {
	for name, want := range map[string]string{
		"held": `held is held at peer b, for 1m, with token 7
  by     root@b: ./job
  lease  another 4.1s, renewed while its peer reaches enough others
waiting, in this order as far as is known:
  1  at a  for 1m    for a message of b               first
  2  at b  for 1h0m  for the holder, at its own peer  second
  3  at a  for 0s    for those before it              third
  and 5 more
`,
		"free": `free is held by nobody, as far as is known
waiting, in this order as far as is known:
  1  at c  for 1s  for a message of a, b  
`,
		"lent": "lent may be held at peer d, which does not answer: others get in in 3s at the latest, unless it still reaches them\n",
		"old": `old is held at peer d, for 0s, with token 8
  lease  none: it stays until it leaves, and the peers wait for it; its peer does not answer any more
`,
		"told": `told is held at peer a, for 0s, with token 9
  lease  another 1s, and is not renewed
  ended  the hold is lost: me has ended it: why
`,
		"other": "other is held by nobody, as far as is known\n",
	} {
		var out bytes.Buffer
		writeWhy(&out, seen(), name)
		if got := out.String(); got != want+"no answer from d, for 3m: connection refused\n" {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestWaitingFor(t *testing.T) {
	v := seen()
	for name, want := range map[string]string{
		"held": "waiting for held: held at b for 1m; number 2 of 8 in the queue; by root@b: ./job",
		"free": "waiting for free: held by nobody, an answer of a, b is missing; number 2 of 1 in the queue",
		"lent": "waiting for lent: d may hold it and does not answer, for another 3s at most; number 2 of 0 in the queue",
		"old":  "waiting for old: held at d for 0s, which does not answer; number 2 of 0 in the queue",
	} {
		l := v.Lock(name)
		if got := waitingFor(name, 2, &l, noon); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	l := v.Lock("held")
	if got, want := waitingFor("held", 0, &l, noon), "waiting for held: held at b for 1m; 8 in the queue; by root@b: ./job"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The line is written over, fits the terminal, and is gone in the end.
func TestWaitLine(t *testing.T) {
	var out bytes.Buffer
	l := newWaitLine(&out, "held")
	l.width = func() int { return 20 }
	v := seen()
	l.tell(1, v.Lock("held"))
	l.end()
	if got, want := out.String(), "\r\x1b[Kwaiting for held: …\r\x1b[K"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	newWaitLine(&out, "x").end()
	if out.Len() != 0 {
		t.Errorf("a wait of no time is written: %q", out.String())
	}
}
