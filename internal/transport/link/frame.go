package link

import (
	"context"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
)

// Stream carries frames both ways, each way in order, until it breaks. One
// goroutine sends, another one receives. Errors are shown to people.
type Stream interface {
	// Send keeps nothing of f, nor of what f points to.
	Send(f *Frame) error
	// Recv overwrites f. What f points to may be overwritten by the next Recv.
	Recv(f *Frame) error
	// Close frees what a stream made by Dial holds.
	Close()
}

// Carrier makes streams.
type Carrier interface {
	// Dial opens a stream to a peer at an address. The stream breaks when ctx
	// ends.
	Dial(ctx context.Context, to algo.PeerName, addr string) (Stream, error)
	// Where says where a peer is looked for while nobody has said, by Locate,
	// where it is. Empty: nowhere.
	Where(to algo.PeerName) string
}

// Kind says what a frame is.
type Kind uint8

// The dialer of a stream sends one HelloFrame, then PacketsFrames once it has
// a ReadyFrame, and BeatFrames all along. The other side answers with a
// WelcomeFrame and, when it is ready for packets, a ReadyFrame, then with
// BeatFrames; or it sends one RefusedFrame and ends the stream.
const (
	HelloFrame   Kind = iota + 1 // Hello
	WelcomeFrame                 // Hello
	RefusedFrame                 // Refusal
	ReadyFrame                   // Session, Number
	PacketsFrame                 // Packets
	BeatFrame                    // dialer: Ask, Leaving; the other side: Number
)

// Frame is what a stream carries. It is a union: Kind says what is set.
type Frame struct {
	Kind    Kind
	Hello   *Hello
	Refusal *Refusal
	Packets []node.Packet
	Session uint64 // of the link, from 1
	Number  uint64 // of the last packet received in the session, 0 for none
	Ask     bool   // answer with a BeatFrame at once
	Leaving bool   // the peer is closing in good order
}

// Hello says who somebody is, and what must be equal for a link. It is also
// what a welcome says.
type Hello struct {
	Version     uint32 // the newest version of the protocol it speaks
	VersionMin  uint32 // and the oldest
	Cluster     string
	Algorithm   string
	Open        bool     // see Config.Open
	Members     []Member // sorted by name; if Open, those with a vote
	TTL         time.Duration
	Drift       int64 // in parts per million
	From        algo.PeerName
	To          algo.PeerName // whom it believes to be talking to
	Incarnation algo.Incarnation

	// Clock is where the Lamport clock of this incarnation started.
	Clock algo.Time

	// Known is the largest incarnation of the other that this peer has found
	// at the other's address, 0 for none.
	Known algo.Incarnation
	// Process is a number that each process takes at random. Two processes
	// that were started from copies of one directory have the same incarnation,
	// but not the same Process. KnownProcess is that of Known.
	Process, KnownProcess uint64
	// KnewEarlier, in a welcome: this peer has had contact with an incarnation
	// of the other before the one that says hello.
	KnewEarlier bool

	// Floor: sessions with the other begin above it. Both begin above the larger
	// of the two, so that they agree on the first one and need no second.
	Floor uint64
}

// Member is a peer as far as it belongs to the cluster's identity.
type Member struct {
	Name  algo.PeerName
	Votes int
}

// Cause says what a refusal is about.
type Cause uint8

const (
	CauseVersion Cause = iota + 1
	CauseCluster
	CauseAlgorithm
	CauseMembers
	CauseTTL
	CauseName        // not the peer that was looked for, or no peer of this cluster
	CauseTwins       // two processes run under one name
	CauseIncarnation // a later incarnation of one of the two is known
	CauseDrift
	CauseOpen    // only one of the two clusters is open
	CauseUnknown // not found yet, which time may mend
)

// Refusal says why there is no link, and how to mend it.
type Refusal struct {
	Cause Cause
	Text  string
}

func (r *Refusal) Error() string { return r.Text }
