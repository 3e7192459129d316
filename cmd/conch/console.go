package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/conchlock/conch"
)

const consoleHelp = `lock NAME     wait for the lock, and enter
unlock NAME   leave it, or stop waiting for it
status        the locks held or wanted here, and for whom they wait
peers         the other peers
help          this`

// console carries out typed commands. Each lock can be held or wanted by it
// once.
type console struct {
	peer *conch.Peer
	out  *lines

	mu    sync.Mutex
	locks map[string]*typedLock
}

// typedLock is a lock that somebody typed a command for.
type typedLock struct {
	hold   *conch.Hold        // nil while waiting
	cancel context.CancelFunc // ends the waiting
}

func newConsole(peer *conch.Peer, out *lines) *console {
	return &console{peer: peer, out: out, locks: make(map[string]*typedLock)}
}

// read carries out commands until the input ends, which ends nothing else.
func (c *console) read(ctx context.Context, in io.Reader) {
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		c.do(ctx, scanner.Text())
	}
	if err := scanner.Err(); err != nil && ctx.Err() == nil {
		c.out.printf("no more commands are read: %v", err)
	}
}

// do carries out one line.
func (c *console) do(ctx context.Context, line string) {
	verb, name, _ := strings.Cut(strings.TrimSpace(line), " ")
	name = strings.TrimSpace(name)
	switch {
	case verb == "":
	case verb == "lock" && name != "":
		c.lock(ctx, name)
	case verb == "unlock" && name != "":
		c.unlock(name)
	case verb == "lock" || verb == "unlock":
		c.out.printf("%s what? Write %s NAME", verb, verb)
	case verb == "status":
		c.status()
	case verb == "peers":
		c.peers()
	case verb == "help":
		c.out.printf("%s", consoleHelp)
	default:
		c.out.printf("unknown command %q; type help for the commands", verb)
	}
}

// lock waits for a lock in the background.
func (c *console) lock(ctx context.Context, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.locks[name] != nil {
		c.out.printf("%s: you hold it or wait for it already", name)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &typedLock{cancel: cancel}
	c.locks[name] = l
	c.out.printf("%s: waiting", name)
	go c.wait(ctx, name, l)
}

func (c *console) wait(ctx context.Context, name string, l *typedLock) {
	asked := time.Now()
	hold, err := c.peer.Mutex(name).Lock(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, context.Canceled):
		c.out.printf("%s: gave up", name)
	case err != nil:
		c.out.printf("%v", err)
	case ctx.Err() != nil: // entered and given up at the same moment
		hold.Unlock()
		c.out.printf("%s: gave up", name)
	default:
		l.hold = hold
		context.AfterFunc(hold.Context(), func() { c.ended(name, l) })
		c.out.printf("%s: entered after %s, token %d", name, time.Since(asked).Round(100*time.Microsecond), hold.Token())
		return
	}
	delete(c.locks, name)
}

// ended says that a hold is lost, if that is how it has ended. Nobody here works
// inside, so the lock can go on at once.
func (c *console) ended(name string, l *typedLock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := l.hold.Unlock(); c.locks[name] == l && errors.Is(err, conch.ErrLost) {
		delete(c.locks, name)
		c.out.printf("%s: %v", name, err)
	}
}

func (c *console) unlock(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.locks[name]
	switch {
	case l == nil:
		c.out.printf("%s: you neither hold it nor wait for it", name)
	case l.hold == nil:
		l.cancel() // wait says the rest
	default:
		delete(c.locks, name)
		l.cancel()
		if err := l.hold.Unlock(); err != nil {
			c.out.printf("%s: %v", name, err)
			return
		}
		c.out.printf("%s: left", name)
	}
}

func (c *console) status() {
	s := c.peer.Status()
	if s.Abstains > 0 {
		c.out.printf("has just started: grants nothing for another %s, until what it may have granted before has expired", s.Abstains.Round(time.Millisecond))
	}
	if len(s.Locks) == 0 {
		c.out.printf("no lock is held or wanted here")
	}
	for _, l := range s.Locks {
		since := time.Since(l.Since).Round(time.Millisecond)
		if l.Label != "" {
			c.out.printf("%s: held by %s", l.Name, l.Label)
		}
		switch {
		case l.Held && !l.Deadline.IsZero():
			c.out.printf("%s: held for %s, token %d, leased for another %s, %d more waiting here",
				l.Name, since, l.Token, time.Until(l.Deadline).Round(time.Millisecond), l.Waiters)
		case l.Held:
			c.out.printf("%s: held for %s, token %d, %d more waiting here", l.Name, since, l.Token, l.Waiters)
		case len(l.WaitsFor) > 0:
			c.out.printf("%s: wanted for %s, %d waiting here; waits for %s", l.Name, since, l.Waiters, strings.Join(l.WaitsFor, ", "))
		default:
			c.out.printf("%s: wanted for %s, %d waiting here", l.Name, since, l.Waiters)
		}
	}
	c.peers()
}

func (c *console) peers() {
	s := c.peer.Status()
	c.out.printf("this is peer %s at %s, listening on %s%s", s.Name, s.Addr, s.Listen, mute(s.Voter))
	for _, p := range s.Peers {
		since := time.Since(p.Since).Round(time.Second)
		if p.Up {
			c.out.printf("peer %s at %s: up for %s%s", p.Name, p.Addr, since, mute(p.Voter))
		} else {
			c.out.printf("peer %s at %s: down for %s%s: %s", p.Name, p.Addr, since, mute(p.Voter), p.Reason)
		}
	}
}

// mute says that a peer has no vote.
func mute(voter bool) string {
	if voter {
		return ""
	}
	return " (its vote does not count)"
}
