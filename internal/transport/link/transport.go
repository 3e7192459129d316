// Package link keeps the promises of node.Transport over streams that break:
// FIFO order, no loss and no doubles between two incarnations of two peers. It
// knows nothing of how streams are made; internal/transport carries them over
// gRPC, internal/transport/memory within the process.
//
// # Streams
//
// Each peer dials every other one and sends its packets on the stream it has
// dialed; the other side of that stream only answers. So two peers have two
// streams, and each is set up like this, here from a to b:
//
//	a ── Hello ──────────▶ b    who I am, which incarnation of you I know
//	a ◀────────── Welcome ── b   the same of b; or Refused, and why
//	a ◀──────────── Ready ── b   the session, and the last packet b has of it
//	a ── Packets, Beat ──▶ b
//	a ◀───────────── Beat ── b   with the last packet received
//
// # Who is who
//
// The address is the authority on identity: a knows an incarnation of b only
// from the Welcome that answers a's own dial of b's configured address. A
// Hello that claims another incarnation waits (pending) until a has dialed
// again and found that incarnation there; only then a says Ready. So Ready
// from b says that both know each other.
//
// # Sessions
//
// A Link is a session between two incarnations. Packets are kept until they
// are acknowledged, and sent again on the next stream; the receiver puts
// doubles aside by their number. When a session cannot be kept (too much has
// piled up, or one side has forgotten) its number grows. Each side learns the
// other's number from Ready; who is behind follows, who is ahead dials again;
// and each announces a new Link with Contact.
package link

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
)

// Transport is a node.Transport over the streams of a Carrier. Streams that
// others dial are handed to Serve.
type Transport struct {
	cfg     Config
	carrier Carrier
	members []Member
	beat    time.Duration
	process uint64                  // see Hello.Process
	peers   map[algo.PeerName]*peer // the others
	handler node.Handler            // set by Start, before any goroutine runs

	ctx      context.Context // ends all streams
	cancel   context.CancelCauseFunc
	draining chan struct{}  // closed when Close begins
	runs     sync.WaitGroup // the peers' run
	streams  sync.WaitGroup // all other goroutines

	mu      sync.Mutex
	started bool
	closing bool
	ended   bool   // no stream may begin any more
	refused string // what was last logged, to log it once
}

// New returns a transport that is not yet started.
func New(cfg Config, carrier Carrier) (*Transport, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	t := &Transport{
		cfg:      cfg,
		carrier:  carrier,
		members:  cfg.members(),
		beat:     cfg.TTL / 8,
		process:  rand.Uint64(), // not from Seed: copies of a directory have the same
		peers:    make(map[algo.PeerName]*peer),
		ctx:      ctx,
		cancel:   cancel,
		draining: make(chan struct{}),
	}
	for i, m := range t.members {
		if m.Name != cfg.Self {
			t.peers[m.Name] = newPeer(t, m.Name, rand.New(rand.NewPCG(cfg.Seed, uint64(i))))
		}
	}
	return t, nil
}

// Start implements node.Transport. Serve may be called only after it.
func (t *Transport) Start(h node.Handler) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started || t.closing {
		return fmt.Errorf("the transport of %s was started before", t.cfg.Self)
	}
	t.started = true
	t.handler = h
	for _, p := range t.peers {
		t.runs.Go(p.run)
	}
	return nil
}

// Close implements node.Transport. It returns when every goroutine has ended,
// so the carrier must still break streams that Serve has returned from.
func (t *Transport) Close() error {
	t.mu.Lock()
	first := !t.closing
	t.closing = true
	t.mu.Unlock()
	if first {
		close(t.draining)
	}
	t.runs.Wait()

	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.cancel(&leftError{t.cfg.Self})
	t.streams.Wait()
	for _, p := range t.peers {
		p.close()
	}
	return nil
}

// drains says that Close has begun.
func (t *Transport) drains() bool {
	select {
	case <-t.draining:
		return true
	default:
		return false
	}
}

// enter counts a goroutine that Close shall wait for; streams.Done ends it. It
// returns false if it is too late to begin.
func (t *Transport) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || !t.started {
		return false
	}
	t.streams.Add(1)
	return true
}

// logRefusal logs why somebody was turned away, once when he comes again and
// again.
func (t *Transport) logRefusal(r *Refusal) {
	t.mu.Lock()
	again := t.refused == r.Text
	t.refused = r.Text
	t.mu.Unlock()
	if !again {
		t.cfg.Logger.Warn("refused a link", "reason", r.Text)
	}
}

// leftError says that a peer has ended its links in good order.
type leftError struct{ peer algo.PeerName }

func (e *leftError) Error() string { return string(e.peer) + " has left" }

// ProtocolError says that the other side has sent what it must not send.
type ProtocolError struct{ Text string }

func (e *ProtocolError) Error() string { return e.Text }

func protocolError(format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}
