package linktest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/internal/node"
)

// Patience bounds every wait of a test. Inside a bubble it costs nothing.
const Patience = 30 * time.Second

// Handler is a node.Handler that keeps what it is told, and fails the test at
// once when a promise is broken.
type Handler struct {
	t    testing.TB
	name algo.PeerName

	// OnReceive, if set, is called with every batch, outside of mu.
	OnReceive func(from algo.PeerName, link node.Link, packets []node.Packet)
	// OnContact, if set, likewise.
	OnContact func(peer algo.PeerName, link node.Link)

	// Set by StartWith.
	network   Network
	transport Transport

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when anything changes
	closed  bool
	sent    uint64 // packets numbered so far
	peers   map[algo.PeerName]*Peer
}

// Peer is what a Handler was told about one peer.
type Peer struct {
	busy     bool // a call about it is under way
	gone     bool // Remove has returned
	last     uint64
	Link     node.Link
	Contacts []Contact
	Sessions []Session // one for each contact
	Up       bool
	Ups      int
	Reason   string   // the last
	Reasons  []string // all
	Received []uint64 // numbers, over all links
	Dropped  []uint64
}

// Contact is one call of Handler.Contact.
type Contact struct {
	Incarnation algo.Incarnation
	KnewMe      bool
}

// Session is what went over one link.
type Session struct {
	Incarnation    algo.Incarnation // of the other
	Sent, Received []uint64
}

// NewHandler returns a handler for the peer of that name.
func NewHandler(t testing.TB, name algo.PeerName) *Handler {
	return &Handler{t: t, name: name, changed: make(chan struct{}), peers: make(map[algo.PeerName]*Peer)}
}

// begin and end enclose every call about a peer.
func (h *Handler) begin(name algo.PeerName, what string) *Peer {
	h.mu.Lock()
	p := h.peerLocked(name)
	if h.closed {
		h.t.Errorf("%s: %s about %s after Close has returned", h.name, what, name)
	}
	if p.busy {
		h.t.Errorf("%s: %s about %s while another call about it is under way", h.name, what, name)
	}
	if p.gone {
		h.t.Errorf("%s: %s about %s after Remove has returned", h.name, what, name)
	}
	p.busy = true
	return p
}

func (h *Handler) end(p *Peer) {
	p.busy = false
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
}

func (h *Handler) peerLocked(name algo.PeerName) *Peer {
	p := h.peers[name]
	if p == nil {
		p = &Peer{}
		h.peers[name] = p
	}
	return p
}

// Contact implements node.Handler.
func (h *Handler) Contact(c node.Contact) {
	name, incarnation, link := c.Peer, c.Incarnation, c.Link
	p := h.begin(name, "Contact")
	defer h.end(p)
	if n := len(p.Contacts); n > 0 && p.Contacts[n-1].Incarnation > incarnation {
		h.t.Errorf("%s: contact with incarnation %d of %s after %d", h.name, incarnation, name, p.Contacts[n-1].Incarnation)
	}
	if link == p.Link {
		h.t.Errorf("%s: contact with %s on the same link", h.name, name)
	}
	p.Contacts = append(p.Contacts, Contact{incarnation, c.KnewMe})
	p.Sessions = append(p.Sessions, Session{Incarnation: incarnation})
	p.Link, p.last = link, 0
	if h.OnContact != nil {
		h.mu.Unlock()
		h.OnContact(name, link)
		h.mu.Lock()
	}
}

// Receive implements node.Handler.
func (h *Handler) Receive(name algo.PeerName, link node.Link, packets []node.Packet) {
	p := h.begin(name, "Receive")
	defer h.end(p)
	if link != p.Link || link == nil {
		h.t.Errorf("%s: packets of %s on a link that is not the present one", h.name, name)
	}
	if len(packets) == 0 {
		h.t.Errorf("%s: an empty batch from %s", h.name, name)
	}
	session := &p.Sessions[len(p.Sessions)-1]
	for _, packet := range packets {
		session.Received = append(session.Received, packet.Number)
		if packet.Number <= p.last {
			h.t.Errorf("%s: packet %d of %s after %d", h.name, packet.Number, name, p.last)
		}
		p.last = packet.Number
		p.Received = append(p.Received, packet.Number)
		if want := Packet(packet.Number); packet != want {
			h.t.Errorf("%s: from %s came %v, sent was %v", h.name, name, packet, want)
		}
	}
	if h.OnReceive != nil {
		h.mu.Unlock()
		h.OnReceive(name, link, packets)
		h.mu.Lock()
	}
}

// Up implements node.Handler.
func (h *Handler) Up(name algo.PeerName) {
	p := h.begin(name, "Up")
	defer h.end(p)
	if p.Up || p.Link == nil {
		h.t.Errorf("%s: %s is up twice, or without a link", h.name, name)
	}
	p.Up, p.Reason = true, ""
	p.Ups++
}

// Down implements node.Handler.
func (h *Handler) Down(name algo.PeerName, reason string) {
	p := h.begin(name, "Down")
	defer h.end(p)
	if reason == "" {
		h.t.Errorf("%s: %s is down without a reason", h.name, name)
	}
	p.Up, p.Reason = false, reason
	p.Reasons = append(p.Reasons, reason)
}

// Dropped implements node.Handler.
func (h *Handler) Dropped(name algo.PeerName, packets []node.Packet) {
	p := h.begin(name, "Dropped")
	defer h.end(p)
	for _, packet := range packets {
		p.Dropped = append(p.Dropped, packet.Number)
	}
}

// BeforeSend implements node.Handler.
func (h *Handler) BeforeSend() {}

// Packet returns the packet that tests send under a number: what is in it
// follows from the number.
func Packet(number uint64) node.Packet {
	stamp := algo.Stamp{Time: algo.Time(number * 3), Peer: "a", Incarnation: algo.Incarnation(number % 5)}
	p := node.Packet{Number: number, Time: algo.Time(number * 7), Message: ricartagrawala.Request{Stamp: stamp}}
	if number%4 != 0 {
		p.Lock = fmt.Sprintf("lock-%d", number%10)
		p.Message = ricartagrawala.Reply{Stamp: stamp}
	}
	return p
}

// Send sends as many packets to a peer, on the present link.
func (h *Handler) Send(to algo.PeerName, count int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.peerLocked(to)
	session := &p.Sessions[len(p.Sessions)-1]
	for range count {
		h.sent++
		session.Sent = append(session.Sent, h.sent)
		p.Link.Send(Packet(h.sent))
	}
}

// Transport returns the transport that Start has started.
func (h *Handler) Transport() Transport { return h.transport }

// Add adds a peer and says where it is.
func (h *Handler) Add(name algo.PeerName) {
	h.mu.Lock()
	h.peerLocked(name).gone = false
	h.mu.Unlock()
	h.transport.Add(name)
	h.transport.Locate(name, h.network.Where(h.name, name))
}

// Remove removes a peer. From then on no call about it may come.
func (h *Handler) Remove(name algo.PeerName) {
	h.transport.Remove(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.peerLocked(name)
	if p.busy {
		h.t.Errorf("%s: Remove returns while a call about %s is under way", h.name, name)
	}
	if strings.Contains(p.Reason, fmt.Sprintf("%s takes %s for gone", h.name, name)) {
		h.t.Errorf("%s: is told that %s, which it removes, is down: %s", h.name, name, p.Reason)
	}
	p.gone, p.Up, p.Reason, p.Link = true, false, "", nil
}

// Sent returns the number of the last packet.
func (h *Handler) Sent() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent
}

// Peer returns a copy of what is known of a peer.
func (h *Handler) Peer(name algo.PeerName) Peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := *h.peerLocked(name)
	p.Contacts = slices.Clone(p.Contacts)
	p.Sessions = slices.Clone(p.Sessions)
	p.Reasons = slices.Clone(p.Reasons)
	p.Received = slices.Clone(p.Received)
	p.Dropped = slices.Clone(p.Dropped)
	return p
}

// Wait waits until cond is true of a peer.
func (h *Handler) Wait(name algo.PeerName, what string, cond func(p *Peer) bool) {
	h.t.Helper()
	timeout := time.After(Patience)
	for {
		ok, changed := h.look(name, cond)
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			p := h.Peer(name)
			h.t.Fatalf("%s waits in vain until %s %s; it has contacts %v, up %t, received %d packets, dropped %d, reasons %q",
				h.name, name, what, p.Contacts, p.Up, len(p.Received), len(p.Dropped), p.Reasons)
		}
	}
}

// waitDelivered waits until packet number last of sender has come to receiver
// on the present link (and returns true), or sender was told that it will not.
func waitDelivered(sender, receiver *Handler, last uint64) bool {
	receiver.t.Helper()
	timeout := time.After(Patience)
	for {
		arrived, received := receiver.look(sender.name, func(p *Peer) bool {
			n := len(p.Sessions)
			return n > 0 && slices.Contains(p.Sessions[n-1].Received, last)
		})
		dropped, told := sender.look(receiver.name, func(p *Peer) bool { return slices.Contains(p.Dropped, last) })
		if arrived || dropped {
			return arrived
		}
		select {
		case <-received:
		case <-told:
		case <-timeout:
			receiver.t.Fatalf("packet %d of %s has neither come to %s nor been dropped", last, sender.name, receiver.name)
		}
	}
}

// calm sends packets until one comes through: after faults, some may still be
// dropped.
func calm(sender, receiver *Handler) {
	sender.t.Helper()
	for range 20 {
		sender.WaitUp(receiver.name)
		sender.Send(receiver.name, 1)
		if waitDelivered(sender, receiver, sender.Sent()) {
			return
		}
	}
	sender.t.Errorf("%s and %s do not come to rest", sender.name, receiver.name)
}

// look evaluates cond for a peer, and returns what is closed at the next change.
func (h *Handler) look(name algo.PeerName, cond func(p *Peer) bool) (bool, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return cond(h.peerLocked(name)), h.changed
}

// WaitUp waits until a peer is up.
func (h *Handler) WaitUp(name algo.PeerName) {
	h.t.Helper()
	h.Wait(name, "is up", func(p *Peer) bool { return p.Up })
}

// WaitDown waits until a peer is down for a reason that contains words.
func (h *Handler) WaitDown(name algo.PeerName, words string) {
	h.t.Helper()
	h.Wait(name, "is down with "+words, func(p *Peer) bool { return !p.Up && strings.Contains(p.Reason, words) })
}

// WaitReceived waits until the packets up to a number have come from a peer.
func (h *Handler) WaitReceived(name algo.PeerName, number uint64) {
	h.t.Helper()
	h.Wait(name, fmt.Sprintf("has sent packet %d", number), func(p *Peer) bool {
		return number == 0 || len(p.Received) > 0 && p.Received[len(p.Received)-1] >= number
	})
}

// WantAll checks that exactly the packets from first to last have come.
func (h *Handler) WantAll(name algo.PeerName, first, last uint64) {
	h.t.Helper()
	got := h.Peer(name).Received
	i := slices.Index(got, first)
	if i < 0 {
		i = len(got)
	}
	for n := first; n <= last; n++ {
		if i >= len(got) || got[i] != n {
			h.t.Fatalf("%s has not got packet %d of %s, from %d to %d: %v", h.name, n, name, first, last, got)
		}
		i++
	}
	if i != len(got) {
		h.t.Fatalf("%s has got more of %s than from %d to %d: %v", h.name, name, first, last, got)
	}
}
