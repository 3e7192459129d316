package link

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
)

// Version is the version of the protocol; VersionMin is the oldest that is
// still spoken, always the one before. (There is none before the first.)
const (
	Version    = 1
	VersionMin = 1
)

const (
	// MaxPacket bounds one packet and MaxBatch what is put into one frame
	// before the next one is begun, in bytes. A frame is at most their sum.
	MaxPacket = 4 << 20
	MaxBatch  = 1 << 20
	// maxBatchPackets bounds the packets of one frame, and so the memory that
	// a stream keeps for reuse.
	maxBatchPackets = 4096

	// Acknowledgements come with heartbeats, and when this much has come in
	// since the last one: often enough to keep queues short, and seldom enough
	// to cost nothing.
	ackPackets = 256
	ackBytes   = 256 << 10

	// Between attempts to reach a peer: twice as long each time, up to the
	// maximum, less a random part of up to half.
	pauseMin = 50 * time.Millisecond
	pauseMax = 2 * time.Second
	// pauseRest is that maximum while the peer is taken for dead. It still is
	// looked for: whoever takes it for dead may be wrong.
	pauseRest = 30 * time.Second

	// maxSession bounds the sessions that another peer may speak of, so that
	// numbers that grow from there never wrap.
	maxSession = 1 << 62

	// drainTime bounds how long Close waits until others have acknowledged.
	drainTime = 2 * time.Second

	// silentBeats is after how many heartbeat intervals in which nothing was
	// heard a stream counts as broken.
	silentBeats = 3
)

// Config says what a transport is for. All peers of a cluster must agree on
// Cluster, Algorithm, Open, Votes, TTL and Drift: their handshakes see to it.
type Config struct {
	Self        algo.PeerName
	Incarnation algo.Incarnation
	// Clock is where the Lamport clock of this incarnation starts: at or above
	// every time that earlier ones used.
	Clock algo.Time
	// Open lets peers without a vote come and go, by Add and Remove. In a
	// closed cluster these do nothing.
	Open bool
	// Votes says how many votes each peer has in quorums. It names all peers,
	// Self too. If Open, it names only those with a vote, and Self.
	Votes     map[algo.PeerName]int
	Cluster   string
	Algorithm string
	// TTL is how long a lease lasts. Heartbeats come every TTL/8, and a
	// connection on which three of them are missing is given up.
	TTL time.Duration
	// Drift bounds by how much the rates of two peers' clocks differ, in parts
	// per million.
	Drift int64
	// Leases says that the algorithm has them: then the TTL must leave room for
	// round trips.
	Leases bool

	// Outdated is told when a peer has, at this peer's address, met a later
	// incarnation than this one: the clock or the state it came from was set
	// back. There are no links with that peer until this one has been started
	// again with an incarnation above known. It must not block. May be nil.
	Outdated func(known algo.Incarnation)
	Logger   *slog.Logger // for what Handler is not told; nil discards
	Seed     uint64       // of the chance in pauses between attempts
	Limits   Limits

	// Size estimates the bytes of a message, never too low. It panics when it
	// does not know the kind. Nil counts messages as small.
	Size func(algo.Message) int
}

// Limits bounds what waits for one peer: sent and not yet acknowledged, or not
// yet sent. Over it the link ends. The zero value stands for the defaults.
type Limits struct {
	Packets int // 65536
	Bytes   int // 16 MiB
}

func (c *Config) validate() error {
	if err := c.Self.Check(); err != nil {
		return err
	}
	if _, ok := c.Votes[c.Self]; !ok {
		return fmt.Errorf("peer %s is not in its own list of peers", c.Self)
	}
	for name, votes := range c.Votes {
		if err := name.Check(); err != nil {
			return err
		}
		if c.Open && votes == 0 && name != c.Self {
			return fmt.Errorf("%s has no vote, and where peers without a vote come and go, the list of voters does not name them", name)
		}
	}
	if c.Incarnation == 0 {
		return fmt.Errorf("incarnations start at 1")
	}
	if c.TTL < 8*time.Millisecond {
		return fmt.Errorf("a TTL of %v is too short, it must be 8ms or more", c.TTL)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Limits.Packets == 0 {
		c.Limits.Packets = 1 << 16
	}
	if c.Limits.Bytes == 0 {
		c.Limits.Bytes = 16 << 20
	}
	return nil
}

// members returns those on whom all peers must agree.
func (c *Config) members() []Member {
	var members []Member
	for name, votes := range c.Votes {
		if votes > 0 || !c.Open {
			members = append(members, Member{name, votes})
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return members
}

// PacketSize estimates what a packet takes on the wire.
func (c *Config) PacketSize(p *node.Packet) int {
	n := 48 + len(p.Lock) // field tags and lengths, number, time
	if c.Size != nil {
		n += c.Size(p.Message)
	}
	return n
}
