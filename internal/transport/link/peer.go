package link

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
)

// peer is what this transport knows of another peer. Its run goroutine dials,
// and watches over what it has dialed; readers of streams bring what they hear.
//
// Invariants, when mu is free:
// (1) in != nil ⇒ link != nil, and in carries incarnation known in this session;
// (2) out.link != nil ⇒ out.link == link, or out has been cancelled;
// (3) link != nil ⇒ known was found by an own dial;
// (4) known and, for one known, session only grow, and session > floor;
// (5) gone ⇒ link, in and pending are nil, and Handler is not told of the peer.
type peer struct {
	t     *Transport
	name  algo.PeerName
	rand  *rand.Rand // used by run only
	floor uint64     // no session with the peer was above it before it was added

	ctx     context.Context // of what run and the streams that it dials do
	stop    context.CancelCauseFunc
	done    chan struct{} // closed when run has ended
	resting atomic.Bool   // it is taken for dead

	wake   chan struct{} // tells run that packets were dropped or the link has ended
	redial chan struct{} // tells run not to pause
	queued chan struct{} // tells the writer that there are packets

	// mu guards what follows, and is held while Handler is called: so calls
	// about one peer come one after the other, in the order of what caused
	// them. Send, which Handler may call, does not take it.
	mu       sync.Mutex
	known    algo.Incarnation // largest that an own dial has found
	process  uint64           // the process that it was found in
	met      algo.Incarnation // first that Handler had contact with, 0 for none
	stray    algo.Incarnation // claimed in a Hello, and not found at the address
	knewMe   bool             // as the last Welcome said
	clock    algo.Time        // likewise: where the clock of known started
	session  uint64           // of the link between this incarnation and known, or of the next one
	largest  uint64           // session with those known before
	received uint64           // number of the last packet received in the session
	slow     bool             // its round trips are, for the TTL
	trip     time.Duration    // the last one that was measured, by a Welcome; 0: none
	out      *outgoing        // being dialed, or dialed
	in       *incoming        // said Ready to
	pending  *incoming        // waits until an own dial has found its incarnation
	up       bool
	reason   string // why it is down, as Handler was told
	gone     bool   // it was removed, or all is closed

	// sendMu guards what Send touches. It is taken after mu, and no other lock
	// is taken under it.
	sendMu  sync.Mutex
	link    *Link // nil without a session; written under mu and sendMu
	dropped []node.Packet
	closed  bool
}

// Link is one session between this incarnation and another peer's.
type Link struct {
	peer *peer
	// Guarded by peer.sendMu.
	queue queue
	ended string // why it has ended, empty while it has not
}

var _ node.Link = (*Link)(nil)

// signal leaves a token in a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Send implements node.Link. It never calls Handler itself: what it drops is
// reported by run. Of a peer that is gone nothing is reported any more.
func (l *Link) Send(packet node.Packet) {
	p := l.peer
	size := p.t.cfg.PacketSize(&packet)
	p.sendMu.Lock()
	if l.ended == "" && !l.queue.push(packet, size, p.t.cfg.Limits) {
		l.ended = fmt.Sprintf("%d packets of %d bytes wait for %s, more than the limit allows: the link begins anew", l.queue.len(), l.queue.bytes, p.name)
		p.dropped = l.queue.drain(p.dropped)
	}
	if l.ended == "" && size > MaxPacket {
		l.ended = fmt.Sprintf("a %s of %d bytes is over the limit of %d: the link to %s begins anew", packet.Message.Kind(), size, MaxPacket, p.name)
		p.dropped = l.queue.drain(p.dropped)
	} else if l.ended != "" && !p.closed {
		p.dropped = append(p.dropped, packet)
	}
	ended := l.ended != ""
	p.sendMu.Unlock()
	if ended {
		signal(p.wake)
	} else {
		signal(p.queued)
	}
}

// sweep reports dropped packets, and ends a link that Send could not keep.
func (p *peer) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != nil {
		p.sendMu.Lock()
		why := p.link.ended
		p.sendMu.Unlock()
		if why != "" {
			p.loseLinkLocked(why)
		}
	}
	p.reportDroppedLocked()
}

// newLinkLocked begins a session, and ends the one before.
func (p *peer) newLinkLocked(session uint64) {
	if p.link != nil {
		why := fmt.Sprintf("the link to %s begins anew", p.name)
		p.endLinkLocked(why)
		p.updateLocked(why)
	}
	p.session = session
	l := &Link{peer: p}
	p.sendMu.Lock()
	p.link = l
	p.sendMu.Unlock()
	if p.met == 0 {
		p.met = p.known
	}
	p.reason = "" // Contact sounds like up: if it stays down, that is news
	p.t.handler.Contact(node.Contact{Peer: p.name, Incarnation: p.known, Clock: p.clock, KnewMe: p.knewMe, Link: l})
}

// loseLinkLocked ends a session that can no longer be kept.
func (p *peer) loseLinkLocked(why string) {
	p.endLinkLocked(why)
	p.session++
	if p.out != nil && p.out.welcomed {
		p.out.cancel(fmt.Errorf("%s", why))
	}
	p.kick()
	p.updateLocked(why)
}

// endLinkLocked ends the link, if there is one, and the streams that carry it.
// What it held goes to Handler.Dropped, acknowledged or not: nobody knows.
func (p *peer) endLinkLocked(why string) {
	if p.in != nil {
		p.in.cancel(fmt.Errorf("%s", why))
		p.in = nil
	}
	p.received = 0
	if p.link == nil {
		return
	}
	if p.out != nil && p.out.link != nil {
		p.out.cancel(fmt.Errorf("%s", why))
		p.kick()
	}
	p.sendMu.Lock()
	if p.link.ended == "" {
		p.link.ended = why
	}
	p.dropped = p.link.queue.drain(p.dropped)
	p.link = nil
	p.sendMu.Unlock()
	p.reportDroppedLocked()
}

func (p *peer) reportDroppedLocked() {
	p.sendMu.Lock()
	dropped := p.dropped
	p.dropped = nil
	p.sendMu.Unlock()
	if len(dropped) > 0 {
		p.t.handler.Dropped(p.name, dropped)
	}
}

// maxReason bounds a reason, in bytes.
const maxReason = 1000

// printable makes a reason one line that can be shown: whoever is at an address that
// somebody has made up may have a part in it.
func printable(reason string) string {
	if len(reason) > maxReason {
		reason = reason[:maxReason] + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, reason)
}

// kick makes run dial without a pause. It may be called with or without mu.
func (p *peer) kick() { signal(p.redial) }

// updateLocked tells Handler whether packets can be exchanged both ways, if
// that or the reason why not is new. Without a reason it tells only that they
// can: whoever ended the stream is about to say why.
func (p *peer) updateLocked(reason string) {
	if p.gone {
		return
	}
	reason = printable(reason)
	up := p.in != nil && p.out != nil && p.out.link != nil && p.out.link == p.link && p.out.ctx.Err() == nil
	switch {
	case up && !p.up:
		p.up, p.reason = true, ""
		p.resting.Store(false)
		p.t.handler.Up(p.name)
	case !up && reason != "" && (p.up || reason != p.reason):
		p.up, p.reason = false, reason
		p.t.handler.Down(p.name, reason)
	}
}
