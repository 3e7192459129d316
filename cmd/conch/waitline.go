package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/conchlock/conch/view"
)

// waitLine is the one line at a terminal that says what a wish waits for. It is written
// over and over, and gone in the end.
type waitLine struct {
	out   io.Writer
	lock  string
	width func() int
	stop  chan struct{}
	done  chan struct{}

	mu    sync.Mutex
	known bool
	place int
	seen  view.Lock
}

func newWaitLine(out io.Writer, lock string) *waitLine {
	l := &waitLine{out: out, lock: lock, width: func() int { return terminalWidth(out) }, stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// tell is told what the wish waits for.
func (l *waitLine) tell(place int, seen view.Lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.place, l.seen = true, place, seen
	l.write(time.Now())
}

// run brings the line up to date as time passes.
func (l *waitLine) run() {
	defer close(l.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			l.mu.Lock()
			if l.known {
				l.write(now)
			}
			l.mu.Unlock()
		case <-l.stop:
			return
		}
	}
}

// end takes the line away.
func (l *waitLine) end() {
	close(l.stop)
	<-l.done
	if l.known {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
}

// write writes the line. l.mu is held.
func (l *waitLine) write(now time.Time) {
	text := []rune(waitingFor(l.lock, l.place, &l.seen, now))
	if most := l.width() - 1; most > 0 && len(text) > most {
		text = append(text[:most-1], '…')
	}
	fmt.Fprintf(l.out, "\r\x1b[K%s", string(text))
}

// waitingFor says in a line what a wish waits for.
func waitingFor(lock string, place int, l *view.Lock, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "waiting for %s: %s", lock, heldBy(l, now))
	if place > 0 {
		fmt.Fprintf(&b, "; number %d of %d in the queue", place, len(l.Waiters)+l.More)
	} else {
		fmt.Fprintf(&b, "; %d in the queue", len(l.Waiters)+l.More)
	}
	if l.Holder != nil && l.Holder.Label != "" {
		b.WriteString("; by " + l.Holder.Label)
	}
	return b.String()
}

// heldBy says in a few words who has a lock.
func heldBy(l *view.Lock, now time.Time) string {
	switch h := l.Holder; {
	case h != nil && h.Silent:
		return fmt.Sprintf("held at %s for %s, which does not answer", h.Peer, age(now.Sub(h.Since)))
	case h != nil:
		return fmt.Sprintf("held at %s for %s", h.Peer, age(now.Sub(h.Since)))
	case l.Lent != nil:
		return fmt.Sprintf("%s may hold it and does not answer, for another %s at most", l.Lent.Peer, age(l.Lent.Until.Sub(now)))
	case len(l.Waiters) > 0 && len(l.Waiters[0].WaitsFor) > 0:
		return "held by nobody, an answer of " + strings.Join(l.Waiters[0].WaitsFor, ", ") + " is missing"
	}
	return "held by nobody"
}

// isTerminal says that somebody sees what is written.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth is how many columns there are; 0 if that is not known.
func terminalWidth(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}
