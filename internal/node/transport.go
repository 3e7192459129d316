package node

import "github.com/conchlock/conch/algo"

// Packet is a message on its way between two peers, with what the runtime
// adds to it.
type Packet struct {
	// Number counts the packets of one incarnation of the sender over all its
	// links, from 1. With the sender's name and incarnation it is the
	// message's id in traces; and because it grows along every link, links
	// use it to put aside doubles and to say how far they have heard.
	Number  uint64
	Time    algo.Time // the sender's Lamport clock at the event that sent it
	Lock    string    // the lock it is about; empty if about no single one
	Message algo.Message
	Upkeep  bool // no entry needs it
}

// Transport carries packets between this peer and the others. The node is
// started with one; internal/transport is the real one, over gRPC, and
// internal/transport/memory keeps the same promises in process.
//
// A transport makes links by itself. A Link joins one incarnation of this
// peer to one incarnation of another. On it packets come in the order they
// were sent, each once, none lost, however often the connection below breaks.
// Where that can no longer be kept (the other side has restarted, too much
// has piled up) the link ends: a new one is announced with Contact, and what
// was still on the old one is given to Dropped.
type Transport interface {
	// Start begins to make links and to call h. Calls about one peer come one
	// after the other; calls about different peers may come at once.
	Start(h Handler) error
	// Add begins to make links with a peer that has no vote, where such peers
	// come and go: h may be told of it before Add returns. Remove ends the
	// links with it. What was still on them is given to Dropped, what is sent
	// on them later is discarded; h is not told that the peer is down. When
	// Remove returns, no call of h about the peer is under way or will come,
	// unless it is added again: that is a new beginning, in which h may even
	// be told of an earlier incarnation than before.
	//
	// Both do nothing when that is so already, nor for this peer itself, nor
	// for those that it was started with: they are always there. They wait for
	// calls of h, so they must not be called from within one, nor while
	// anything is held that h waits for.
	Add(peer algo.PeerName)
	Remove(peer algo.PeerName)
	// Close drains the links for a short while, ends them, and returns when
	// no call of h is under way or will ever come again.
	Close() error
}

// Link is one end of the way between two incarnations.
type Link interface {
	// Send queues p. It never blocks and never fails: what cannot be
	// delivered because the link has ended is given to Handler.Dropped.
	// Calls must come in the order of Packet.Number.
	Send(p Packet)
}

// Contact is what the handshake of a new link has brought to light.
type Contact struct {
	Peer        algo.PeerName
	Incarnation algo.Incarnation // to which the link leads
	Clock       algo.Time        // where the Lamport clock of that incarnation started
	KnewMe      bool             // it has known an earlier incarnation of this peer, and has not removed it since
	Link        Link
}

// Handler is what a transport tells the node. None of its methods blocks for
// long, and none calls back into the transport except to Send.
type Handler interface {
	// Contact announces a link. It replaces every earlier link to that peer; no
	// packet of an earlier one is received afterwards, nor is one that came on
	// an earlier one received again.
	Contact(c Contact)
	// Receive hands over packets of the link, in order. The slice is the
	// transport's again after the call.
	Receive(peer algo.PeerName, link Link, packets []Packet)
	// Up says that packets can now be exchanged with the peer both ways;
	// Down that they cannot, and why, in words for people. They change
	// nothing about the link's promises.
	Up(peer algo.PeerName)
	Down(peer algo.PeerName, reason string)
	// Dropped says that packets were discarded, because one end's incarnation
	// was gone or the link had ended.
	Dropped(peer algo.PeerName, packets []Packet)
	// BeforeSend is called by a link's writer before packets leave the
	// process, so that what led to them can be recorded first.
	BeforeSend()
}
