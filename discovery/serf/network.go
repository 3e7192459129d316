package serf

import (
	"fmt"
	"log"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// Network is a preset for how far peers are from each other. All peers of a
// cluster should have the same.
type Network uint8

const (
	// LAN: answers come within half a second. A failure is noticed in 5 to 10
	// seconds, a goodbye in one or two, for a packet or two a second.
	LAN Network = iota
	// WAN: answers come within three seconds. A failure is noticed in half
	// a minute to one.
	WAN
	// Loopback: peers on one machine, as in a demo or a test. They form a cluster in
	// well under a second and notice a failure in one to two, for dozens of packets a
	// second. A machine that is busy for half a second gives false alarms.
	Loopback
)

func (n Network) String() string {
	switch n {
	case LAN:
		return "lan"
	case WAN:
		return "wan"
	case Loopback:
		return "loopback"
	}
	return "unknown network"
}

// ParseNetwork is the inverse of String.
func ParseNetwork(text string) (Network, error) {
	for n := LAN; n <= Loopback; n++ {
		if n.String() == text {
			return n, nil
		}
	}
	return 0, fmt.Errorf("network %q: write lan, wan or loopback", text)
}

// pace is how often what is not serf's is done.
type pace struct {
	first, longest time.Duration // pauses between attempts to join somebody who does not answer
	gap            time.Duration // between any two attempts that fail
	dial           time.Duration // until a connection stands: whoever is cut off holds the others up
	keys           time.Duration // how often the keyring is looked at
	stands         time.Duration // until a word that contradicts an earlier one is believed: longer than it takes to notice a failure
}

func (n Network) pace() pace {
	switch n {
	case WAN:
		return pace{first: 2 * time.Second, longest: time.Minute, gap: 500 * time.Millisecond, dial: 10 * time.Second, keys: 5 * time.Second, stands: 3 * time.Minute}
	case Loopback:
		return pace{first: 50 * time.Millisecond, longest: time.Second, gap: 10 * time.Millisecond, dial: time.Second, keys: 250 * time.Millisecond, stands: 5 * time.Second}
	}
	return pace{first: time.Second, longest: 30 * time.Second, gap: 250 * time.Millisecond, dial: 3 * time.Second, keys: 5 * time.Second, stands: 30 * time.Second}
}

// Leave waits for the two messages that say goodbye, then for their spreading: two
// seconds at most.
const (
	goodbye = 700 * time.Millisecond
	spread  = 500 * time.Millisecond
)

const never = 10 * 365 * 24 * time.Hour

// config makes serf's configuration. Serf's own attempts to reconnect are switched
// off, as the seeker makes its own: by serf's they would be two at a time.
func (n Network) config(w *wire, at place, ring *memberlist.Keyring, logger *log.Logger) *serf.Config {
	m := n.memberlist()
	m.Transport = w
	m.BindAddr, m.BindPort = at.bind.Addr().String(), int(at.bind.Port())
	m.AdvertiseAddr, m.AdvertisePort = at.advertise.Addr().String(), int(at.advertise.Port())
	m.Keyring = ring
	m.Logger, m.LogOutput = logger, nil
	conf := &serf.Config{
		MemberlistConfig: m, Logger: logger,
		BroadcastTimeout: goodbye, LeavePropagateDelay: spread,
		ProtocolVersion:    serf.ProtocolVersionMax, // and the gate checks names
		DisableCoordinates: true, EnableNameConflictResolution: false,
		EventBuffer: 64, QueryBuffer: 64, UserEventSizeLimit: 512,
		QueryTimeoutMult: 16, QueryResponseSizeLimit: 1024, QuerySizeLimit: 1024,
		QueueCheckInterval: 30 * time.Second, QueueDepthWarning: 1024, MaxQueueDepth: 4096,
		RecentIntentTimeout: 5 * time.Minute, FlapTimeout: time.Minute, ReconnectInterval: never,
	}
	// Reaping costs nobody its chance to come back, so it need not wait for a day,
	// and what is kept of peers that came once and are gone stays little.
	conf.ReapInterval, conf.ReconnectTimeout, conf.TombstoneTimeout = 15*time.Second, time.Hour, 10*time.Minute
	if n == Loopback {
		conf.ReapInterval, conf.ReconnectTimeout, conf.TombstoneTimeout = time.Second, time.Minute, 10*time.Second
	}
	return conf
}

// memberlist is the pace of the gossip. A peer may take over the address of a dead
// one of its name after two probes more, so that a false alarm alone does not give
// the name away.
func (n Network) memberlist() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	switch n {
	case WAN:
		m = memberlist.DefaultWANConfig()
	case Loopback:
		m.TCPTimeout = time.Second
		m.ProbeInterval, m.ProbeTimeout = 250*time.Millisecond, 100*time.Millisecond
		m.SuspicionMult, m.SuspicionMaxTimeoutMult = 3, 2
		m.GossipInterval, m.GossipToTheDeadTime = 25*time.Millisecond, 5*time.Second
		m.PushPullInterval, m.RetransmitMult = time.Second, 6
		m.EnableCompression = false
	}
	m.DeadNodeReclaimTime = 2 * m.ProbeInterval
	return m
}
