// Package node is the runtime around the algorithms: it owns a peer's Lamport
// clock and its Process, feeds the Process one input at a time, and carries out
// what follows. Local callers queue here for locks, first come first served.
//
// A peer is one sequential process, as Lamport's paper has it: one mutex guards
// the clock, the Process and the record of events, and whoever brings an input
// (a caller, a link's reader) takes the step itself. A step is short and,
// but for the rare raise of the clock's ceiling, does no I/O, so nobody waits long, and a message is answered without a change of
// goroutine.
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
	Self        algo.PeerName
	Incarnation algo.Incarnation
	Peers       []algo.PeerName // the others
	Process     algo.Process
	Transport   Transport
	Recorder    trace.Recorder // nil records nothing
	Logger      *slog.Logger   // for what is no event; nil discards
	Clock       Ceiling
}

// Ceiling bounds a peer's Lamport clock: no time above it is used before a
// higher one is safe, so that the next incarnation, which starts at the
// ceiling, uses no time twice.
type Ceiling interface {
	// Start returns the time at which this incarnation's clock starts. Every
	// time that earlier incarnations used is at most this.
	Start() algo.Time
	// Raise makes a higher ceiling safe, at least t, and returns it.
	Raise(t algo.Time) (algo.Time, error)
}

// Node runs one incarnation of a peer.
type Node struct {
	cfg  Config
	done chan struct{} // closed when callers are served no more
	idle chan struct{} // closed when the watch has ended

	mu      sync.Mutex
	ended   bool  // no caller is served any more; done is closed
	closing bool  // Close was called
	failure error // why the node can take no more steps, if so
	clock   algo.Clock
	ceiling algo.Time
	sent    uint64 // packets numbered so far
	peers   map[algo.PeerName]*peer
	locks   map[string]*lock
	out     []algo.Output // reused by every step
	event   trace.Event   // reused by every record
	message trace.Message // likewise
}

// peer is what the runtime knows of another peer.
type peer struct {
	incarnation algo.Incarnation
	link        Link // nil before the first contact
	up          bool
	since       time.Time // when up last changed
	reason      string    // why it is down
}

// Start starts a node and its transport.
func Start(cfg Config) (*Node, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		cfg:     cfg,
		done:    make(chan struct{}),
		idle:    make(chan struct{}),
		clock:   algo.ClockAt(cfg.Clock.Start()),
		ceiling: cfg.Clock.Start(),
		peers:   make(map[algo.PeerName]*peer, len(cfg.Peers)),
		locks:   make(map[string]*lock),
	}
	for _, p := range cfg.Peers {
		n.peers[p] = &peer{since: time.Now(), reason: "no contact yet"}
	}
	n.mu.Lock()
	n.record(trace.Event{Kind: trace.Start})
	n.unlock()
	if err := cfg.Transport.Start(n); err != nil {
		return nil, fmt.Errorf("start links: %w", err)
	}
	go n.watch()
	return n, nil
}

// Close gives up what is held and wanted here, lets the links drain, and ends
// the node. Waiting callers get ErrClosed; contexts of holds end with it.
func (n *Node) Close() error {
	n.mu.Lock()
	first := !n.closing
	n.closing = true
	if first {
		n.giveUp()
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
	n.mu.Unlock()
	if n.cfg.Recorder != nil {
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
