package chaos

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// resource is what the locks protect. It keeps the highest token that it has
// seen for each lock, refuses smaller ones, and writes down in its own order
// what its clients tell it. They reach it through a socket in the file system,
// which no network namespace and no cut link is in the way of. A client says one
// line at a time and waits for the answer, so that what it says before a call
// comes before the call, and what it says after the return comes after it.
type resource struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and made anew at every write
	conns   map[net.Conn]bool
	moment  int64
	books   map[string]*book
}

// book is what the resource knows of one lock.
type book struct {
	highest  uint64
	inside   int // the peer of the hold whose writes it took last, -1 once that said that it has left
	writes   []write
	entries  []entry
	entered  []time.Time // by peer: the last entry
	history  []op
	answered map[uint64]what // by token: how the hold ended
	catching chan *visit     // if not nil, the next first write of a hold is held up
}

// write is one write, taken or refused.
type write struct {
	peer  int
	token uint64
	taken bool
}

// entry is the first write of a hold that was taken.
type entry struct {
	peer   int
	token  uint64
	at     time.Time
	beside uint64 // the hold before, if its client had not said yet that it leaves
}

// visit is a client that waits inside for the answer to its write.
type visit struct {
	peer   int
	token  uint64
	answer chan string // what to do next: one of the advice below; never blocks
}

// The advice that comes with an answer.
const (
	goOn  = "on"   // as it likes
	stay  = "stay" // stay inside until the hold ends
	again = "once" // write once more, without a look at the hold's context
)

func newResource(t *testing.T, path string, peers int, locks []string) *resource {
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	r := &resource{listener: l, changed: make(chan struct{}), conns: make(map[net.Conn]bool), books: make(map[string]*book)}
	for _, lock := range locks {
		r.books[lock] = &book{inside: -1, entered: make([]time.Time, peers), answered: make(map[uint64]what)}
	}
	r.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			r.mu.Lock()
			r.conns[c] = true
			r.mu.Unlock()
			r.serving.Go(func() { r.serve(t, c) })
		}
	})
	t.Cleanup(r.close)
	return r
}

// close ends the resource and all that its clients are told. A second call has
// no effect.
func (r *resource) close() {
	r.listener.Close()
	r.mu.Lock()
	for c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.serving.Wait()
}

// client is one connection: one peer's use of one lock.
type client struct {
	r     *resource
	b     *book
	peer  int
	call  int64 // of Lock; 0 if it is not asking and has nothing
	token uint64
	leave int64 // the call of Unlock
	fresh bool  // the hold has not written yet
}

func (r *resource) serve(t *testing.T, conn net.Conn) {
	in := bufio.NewScanner(conn)
	var c client
	for in.Scan() {
		answer, err := c.line(r, strings.Fields(in.Text()))
		if err != nil {
			t.Errorf("the resource was told %q: %v", in.Text(), err)
			break
		}
		if _, err := fmt.Fprintln(conn, answer); err != nil {
			break // its process has ended
		}
	}
	r.mu.Lock()
	delete(r.conns, conn)
	if c.token != 0 {
		c.end(gone, forever)
	}
	r.mu.Unlock()
	conn.Close()
}

// line takes one line of a client and returns the answer to it.
func (c *client) line(r *resource, words []string) (string, error) {
	if len(words) != 2 {
		return "", fmt.Errorf("want two words")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moment++
	switch verb, arg := words[0], words[1]; verb {
	case "peer":
		var err error
		c.r = r
		c.peer, err = strconv.Atoi(arg)
		return goOn, err
	case "lock":
		c.b = r.books[arg]
		c.call = r.moment
	case "got":
		token, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return "", err
		}
		c.token, c.fresh = token, true
		c.b.history = append(c.b.history, op{locked, c.peer, token, c.call, r.moment})
	case "failed":
		c.b.history = append(c.b.history, op{failed, c.peer, 0, c.call, r.moment})
	case "write":
		return c.write(), nil
	case "unlock":
		c.leave = r.moment
		if c.b.inside == c.peer && c.b.highest == c.token {
			c.b.inside = -1
		}
	case "left":
		how, ok := map[string]what{"unlocked": unlocked, "lost": lost}[arg]
		if !ok {
			return "", fmt.Errorf("unlock: %s", arg)
		}
		c.end(how, r.moment)
	default:
		return "", fmt.Errorf("unknown")
	}
	return goOn, nil
}

// end ends the client's hold in the book.
func (c *client) end(how what, ret int64) {
	call := c.call
	if how == unlocked {
		call = c.leave
	}
	c.b.history = append(c.b.history, op{how, c.peer, c.token, call, ret})
	c.b.answered[c.token] = how
	if c.b.inside == c.peer && c.b.highest == c.token {
		c.b.inside = -1
	}
	c.token = 0
}

// write takes a write or refuses it. If somebody wants to catch a client inside,
// the answer waits until that has been done; the lock of the resource does not.
func (c *client) write() string {
	b, r := c.b, c.r
	taken := c.token >= b.highest
	b.writes = append(b.writes, write{c.peer, c.token, taken})
	if !taken {
		return "refused"
	}
	if c.fresh {
		e := entry{peer: c.peer, token: c.token, at: time.Now()}
		if b.inside >= 0 {
			e.beside = b.highest
		}
		b.highest, b.inside = c.token, c.peer
		b.entries = append(b.entries, e)
		b.entered[c.peer] = e.at
		close(r.changed)
		r.changed = make(chan struct{})
	}
	if b.catching == nil || !c.fresh {
		c.fresh = false
		return goOn
	}
	c.fresh = false
	v := &visit{c.peer, c.token, make(chan string, 1)}
	b.catching <- v
	b.catching = nil
	r.mu.Unlock()
	defer r.mu.Lock()
	return <-v.answer
}

// catch waits until a client has just entered a lock, and keeps it inside until
// its visit is answered.
func (r *resource) catch(ctx context.Context, lock string) (*visit, error) {
	r.mu.Lock()
	caught := make(chan *visit, 1)
	r.books[lock].catching = caught
	r.mu.Unlock()
	select {
	case v := <-caught:
		return v, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("nobody enters %s: %w", lock, ctx.Err())
	}
}

// await waits until ok, which is called under the resource's lock after writes.
func (r *resource) await(ctx context.Context, ok func() bool) error {
	for {
		r.mu.Lock()
		done, changed := ok(), r.changed
		r.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// insiders says, by peer, who is inside some lock now.
func (r *resource) insiders() map[int]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := make(map[int]bool)
	for _, b := range r.books {
		in[b.inside] = true
	}
	return in
}
