// Package node is the runtime around the algorithms: it owns a peer's Lamport
// clock and its Process, feeds the Process one input at a time, and carries out
// what follows. Local callers queue here for locks, first come first served.
//
// A peer is one sequential process, as Lamport's paper has it: one mutex guards
// the clock, the Process and the record of events, and whoever brings an input
// (a caller, a link's reader, the timer) takes the step itself. A step is short
// and, but for the rare raise of the clock's ceiling or of the floor, does no
// I/O, so nobody waits long, and a message is answered without a change of
// goroutine.
//
// Where holds have leases, everything that comes in looks at the clock first:
// see lease.go. Contexts of holds end by time even while a step hangs: see
// guard.go.
package node

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

var (
	// ErrClosed is returned by operations on a node that is closed, or is
	// closed while they wait. They certainly did not happen.
	ErrClosed = errors.New("the peer is closed")
	// ErrLost is the cause with which a hold ends that nobody released.
	ErrLost = errors.New("the hold is lost")
)

// Config says what a node consists of.
type Config struct {
	// Setup is what the process begins with. Now is read from Clock.
	Setup     algo.Setup
	Algorithm string // its name, for the record
	New       func(algo.Setup) algo.Process
	// Clock reads this peer's own clock: it never goes back and counts time
	// asleep. A reading that is less than the last one counts as that. It is
	// called by several goroutines.
	Clock     func() algo.Instant
	Memory    Memory
	Transport Transport
	Recorder  trace.Recorder // nil records nothing
	Logger    *slog.Logger   // for what is no event; nil discards
}

// Memory keeps what must survive this incarnation. Its methods write to disk;
// when one fails the node fails, except that a stop that cannot be kept is only
// not kept.
type Memory interface {
	// Start returns the time at which this incarnation's Lamport clock starts.
	// Every time that earlier incarnations used is at most this.
	Start() algo.Time
	// Raise makes a higher ceiling of the Lamport clock safe, at least t, and
	// returns it. No time above the ceiling is used before, so that the next
	// incarnation, which starts there, uses no time twice.
	Raise(t algo.Time) (algo.Time, error)
	// RaiseFloor makes it safe that the next incarnation's Setup.Floor is at
	// least t.
	RaiseFloor(t algo.Token) error
	// Keep keeps, at a stop in good order at the instant now, what makes the
	// next incarnation's Setup Kept.
	Keep(promises []algo.Promise, now algo.Instant) error
}

// Node runs one incarnation of a peer.
type Node struct {
	cfg   Config
	self  algo.PeerName
	done  chan struct{} // closed when callers are served no more
	idle  chan struct{} // closed when the watch has ended
	timer *time.Timer   // wakes the watch, for the process
	over  chan struct{} // likewise, for holds to leave
	guard *guard        // of the holds that have a lease

	mu      sync.Mutex
	process algo.Process
	ended   bool  // no caller is served any more; done is closed
	closing bool  // Close was called
	failure error // why the node can take no more steps, if so
	clock   algo.Clock
	ceiling algo.Time
	floor   algo.Token
	sent    uint64 // packets numbered so far
	peers   map[algo.PeerName]*peer
	locks   map[string]*lock
	spare   *lock         // to be used again
	out     []algo.Output // reused by every step
	words   bool          // the recorder wants them
	event   trace.Event   // reused by every record
	message trace.Message // likewise

	recorded bool                     // something, in this turn
	now      algo.Instant             // the last reading of the clock
	at       time.Time                // the wall clock's, just before; zero: none in this turn
	read     bool                     // and no step has been taken since
	armed    algo.Instant             // when the timer fires, or earlier
	vacant   []*lock                  // whose hold was lost in this step
	settling bool                     // settle is at work
	moved    chan struct{}            // closed when something about the peers changes; nil if nobody waits for it
	stirred  map[string]chan struct{} // likewise, about a lock, or, under "", about any
}

// peer is what the runtime knows of another peer.
type peer struct {
	incarnation algo.Incarnation
	link        Link // nil before the first contact
	up          bool
	told        bool      // what the process was told about up
	since       time.Time // when up last changed
	reason      string    // why it is down
	reasons     []string  // that were recorded since up last changed
	suspected   string    // why somebody holds it for dead or gone; empty if nobody does
	gone        bool      // the process has been told that it left, and the transport is about to hear
}

// Start starts a node and its transport.
func Start(cfg Config) (*Node, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		cfg:     cfg,
		self:    cfg.Setup.Self,
		done:    make(chan struct{}),
		idle:    make(chan struct{}),
		timer:   time.NewTimer(time.Hour),
		over:    make(chan struct{}, 1),
		clock:   algo.ClockAt(cfg.Memory.Start()),
		ceiling: cfg.Memory.Start(),
		floor:   cfg.Setup.Floor,
		peers:   make(map[algo.PeerName]*peer, len(cfg.Setup.Others)),
		locks:   make(map[string]*lock),
		words:   !trace.Wordless(cfg.Recorder),
		now:     cfg.Clock(),
		armed:   algo.Never,
	}
	n.timer.Stop()
	n.guard = newGuard(cfg.Clock, margin(cfg.Setup.TTL), n.over)
	setup := cfg.Setup
	setup.Now = n.now
	n.process = cfg.New(setup)
	for _, p := range setup.Others {
		n.peers[p] = &peer{since: time.Now(), reason: noContact}
	}
	n.mu.Lock()
	n.record(trace.Event{Kind: trace.Start, Algorithm: cfg.Algorithm})
	n.arm()
	n.unlock()
	if err := cfg.Transport.Start(n); err != nil {
		return nil, fmt.Errorf("start links: %w", err)
	}
	go n.watch()
	return n, nil
}

// Close gives up what is held and wanted here, lets the process hand on what it
// keeps and the links drain, and ends the node. Waiting callers get ErrClosed;
// contexts of holds end with it.
func (n *Node) Close() error {
	n.mu.Lock()
	first := !n.closing
	n.closing = true
	if first {
		n.look()
		n.giveUp()
		n.stop()
		n.end()
	}
	n.unlock()
	<-n.idle
	if !first {
		return nil
	}
	err := n.cfg.Transport.Close()
	n.mu.Lock()
	if n.failure == nil {
		n.record(trace.Event{Kind: trace.Stop})
	}
	n.unlock()
	return err
}

// stop tells the process that it is the end, and keeps its promises. What still
// comes in while links drain adds none.
func (n *Node) stop() {
	n.step(algo.Input{Kind: algo.Stop}, trace.Event{})
	keeper, ok := n.process.(algo.Keeper)
	if !ok || n.failure != nil {
		return
	}
	promises, all := keeper.Promises()
	if !all {
		return // the next start is as after a crash
	}
	if err := n.cfg.Memory.Keep(promises, n.now); err != nil {
		n.cfg.Logger.Warn("the next start will be as after a crash", "error", err)
	}
}

// end turns callers away, those to come and those that wait.
func (n *Node) end() {
	if !n.ended {
		n.ended = true
		close(n.done)
	}
}

// unlock ends a turn with the node, and hands what was recorded in it on: a
// trace to the kernel, a log to its goroutine.
func (n *Node) unlock() {
	recorded := n.recorded
	n.recorded, n.read, n.at = false, false, time.Time{}
	n.mu.Unlock()
	if recorded {
		n.cfg.Recorder.Flush()
	}
}

// Done is closed when the node serves nobody any more; Err says why.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err returns ErrClosed, or why the node has failed; nil while it serves.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err()
}

func (n *Node) err() error {
	switch {
	case n.failure != nil:
		return n.failure
	case n.ended:
		return ErrClosed
	}
	return nil
}
