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
// from the Welcome that answers a's own dial of b's address. A Hello that claims
// another incarnation waits (pending) until a has dialed again and found that
// incarnation there; only then a says Ready. So Ready from b says that both know
// each other.
//
// An address is configured, or heard of (Locate). What is heard may be wrong, so
// it never touches a link that is up. A peer of which nobody has said where it is
// is not dialed, and so has no link, whatever it says itself.
//
// # Sessions
//
// A Link is a session between two incarnations. Packets are kept until they
// are acknowledged, and sent again on the next stream; the receiver puts
// doubles aside by their number. When a session cannot be kept (too much has
// piled up, or one side has forgotten) its number grows. Each side learns the
// other's number from Ready; who is behind follows, who is ahead dials again;
// and each announces a new Link with Contact.
//
// # Peers that come and go
//
// In an open cluster (Config.Open) the voters are known beforehand, and agreed on
// in the handshake; all others come and go, by Add and Remove, on each side when
// it hears of it. A Hello of somebody who was not added is refused, and he tries
// again. Add dials him at once, and its Hello lets him dial back at once. An open
// and a closed cluster refuse each other: what in one is all peers, in the other
// is not.
//
// Remove forgets all about a peer, and the other side may not notice: it still
// has its half of the last session, with packets to send again and the number of
// the last one received. A new session must not be taken for that one. It would
// if it had the same number, so no number is used twice between two processes:
//
//   - what was removed leaves its largest session of all incarnations in the
//     floor, one for the whole transport, so that names leave nothing else behind;
//   - a peer that is added begins above the floor, and so does each incarnation
//     that is found of it. Nothing that either side has of an earlier link reaches
//     that number: not what this side had, by the floor; and a session that the
//     other side has begun above it, and this one never joined, has carried
//     nothing, and may be joined now;
//   - who is behind follows, as ever. So it is all the same whether one side has
//     removed the other, or both, and which of them was first;
//   - each Hello and Welcome says the sender's floor. Both begin above the larger
//     one, so that peers with unlike pasts have one contact, not two.
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
	process uint64       // see Hello.Process
	handler node.Handler // set by Start, before any goroutine runs

	ctx      context.Context // ends all streams
	cancel   context.CancelCauseFunc
	draining chan struct{}  // closed when Close begins
	runs     sync.WaitGroup // the peers' run
	streams  sync.WaitGroup // all other goroutines

	// changing is held while peers are added and removed, so that one is added
	// again only when nothing is told any more of what it was. It is taken
	// before peer.mu.
	changing sync.Mutex
	made     uint64 // peers so far; for chance
	floor    uint64 // largest session that a removed peer has had

	// mu is taken after peer.mu, and nothing else is taken under it.
	mu      sync.Mutex
	peers   map[algo.PeerName]*peer  // the others
	addrs   map[algo.PeerName]string // as Locate said
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
		addrs:    make(map[algo.PeerName]string),
		ctx:      ctx,
		cancel:   cancel,
		draining: make(chan struct{}),
	}
	for _, m := range t.members {
		if m.Name != cfg.Self {
			t.peers[m.Name] = t.newPeer(m.Name)
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
	t.changing.Lock() // who removes a peer may be about to tell Handler what was dropped
	defer t.changing.Unlock()

	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.cancel(&leftError{t.cfg.Self})
	t.streams.Wait()
	for _, p := range t.peers { // which Add changes no more
		p.end(fmt.Errorf("%s is closed", t.cfg.Self))
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
// again. That somebody is not yet known is nothing to warn of.
func (t *Transport) logRefusal(r *Refusal) {
	if r.Cause == CauseUnknown {
		return
	}
	t.mu.Lock()
	again := t.refused == r.Text
	t.refused = r.Text
	t.mu.Unlock()
	if !again {
		t.cfg.Logger.Warn("refused a link", "reason", r.Text)
	}
}

// peer returns another peer, or nil.
func (t *Transport) peer(name algo.PeerName) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[name]
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
