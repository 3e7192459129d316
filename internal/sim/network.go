// Package sim drives algorithms by hand, by chance and exhaustively, and
// checks after every step what a mutex must keep.
//
// A [Network] is a small cluster whose every step is somebody's explicit
// choice. [Random] chooses by a seed, [Explorer] takes every choice there is, a
// [Scenario] reads them from a file. All three run the algo.Process that
// production runs; nothing is modelled twice.
package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
)

// NewProcess starts one incarnation of a peer.
type NewProcess = func(algo.Setup) algo.Process

const (
	maxPeers = 31
	maxLocks = 3
	minTTL   = algo.Duration(100 * time.Millisecond) // as for real peers
)

// Config says what a network is made of.
type Config struct {
	Algorithm string // its name, for people
	New       NewProcess
	Peers     []algo.PeerName // 1 to 31
	Locks     []string        // 1 to 3; one called "lock" if empty
	Clock     []algo.Time     // where each peer's Lamport clock starts; 0 if absent
	Twins     bool            // compare every step with that of a clone

	// The rest is for algorithms that know time. Without a TTL none passes.

	Voters []algo.PeerName // all peers if empty
	Open   bool            // peers without a vote come and go: nobody knows of them before there is contact
	TTL    algo.Duration
	Linger algo.Duration
	Tick   algo.Duration   // what passes in a Pass that names no time
	Drift  int64           // the bound that peers are told, in parts per million
	Rates  []int64         // how much faster each peer's clock runs, in parts per million; 0 if absent
	Offset []algo.Duration // what each peer's clock reads at the start; 0 if absent
	Forget bool            // a restart forgets the Lamport clock, too
	// Invariant, if not nil, is checked after every step.
	Invariant func(peers []View) error
}

// View is a peer as invariants over several of them see it.
type View struct {
	Name    algo.PeerName
	Process algo.Process
	Now     algo.Instant // by its own clock
}

// Network is a cluster in which nothing happens by itself.
//
// Links are as the runtime promises them. A link joins one incarnation of one
// peer to one incarnation of another; on it messages come in order. It ends
// when one of the two restarts and when messages are lost. Each end learns of
// the next link by a contact, in its own time: until then what was sent on the
// old one may still arrive, afterwards it is gone.
type Network struct {
	Config
	names []algo.PeerName // sorted
	locks []string
	memo  *memo // nil unless exploring

	peers  []*local
	pairs  []pair               // what each peer has of each other, at from*len(peers)+to
	tokens [maxLocks]algo.Token // the largest of each lock so far
	passed algo.Duration        // since the start, in real time
	result result               // of the last step
	views  []View               // room for what invariants see
}

// pair is one peer's side of its links to another.
type pair struct {
	queue []queued         // on their way to the other
	now   uint32           // number of the present link; the same on both sides
	link  uint32           // the link this side has had contact on; 0: none yet
	first algo.Incarnation // the first incarnation of the other that this one has known; 0: none yet
	down  bool             // this side believes that the link is down
}

// queued is a packet on a link.
type queued struct {
	*packet
	link uint32
}

// NewNetwork starts the first incarnation of every peer. Nobody has had
// contact with anybody.
func NewNetwork(c Config) (*Network, error) {
	n := &Network{
		Config: c,
		names:  slices.Sorted(slices.Values(c.Peers)),
		locks:  slices.Clone(c.Locks),
	}
	if len(n.locks) == 0 {
		n.locks = []string{"lock"}
	}
	if err := n.valid(); err != nil {
		return nil, err
	}
	n.pairs = make([]pair, len(n.names)*len(n.names))
	for i := range n.pairs {
		n.pairs[i].now = 1
	}
	for i := range n.names {
		var clock algo.Clock
		if i < len(c.Clock) {
			clock = algo.ClockAt(c.Clock[i])
		}
		n.peers = append(n.peers, n.start(i, &local{clock: clock}, true, nil))
		if _, promises := n.peers[i].process.(algo.Keeper); promises && n.TTL == 0 {
			return nil, fmt.Errorf("%s lives by leases, and needs to know how long they are: write ttl 12s, say, before peers", n.Algorithm)
		}
		if err := n.peers[i].process.Check(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// valid refuses what no cluster is, and what the algorithms do not promise to
// bear: nothing could be learnt from what they then do.
func (n *Network) valid() error {
	if len(n.names) == 0 || len(n.names) > maxPeers {
		return fmt.Errorf("a network has 1 to %d peers, not %d", maxPeers, len(n.names))
	}
	if len(n.locks) > maxLocks {
		return fmt.Errorf("a network has at most %d locks, not %d", maxLocks, len(n.locks))
	}
	for i, lock := range n.locks {
		if slices.Contains(n.locks[:i], lock) {
			return fmt.Errorf("two locks are called %s", lock)
		}
	}
	for i, name := range n.names {
		if err := name.Check(); err != nil {
			return err
		}
		if i > 0 && n.names[i-1] == name {
			return fmt.Errorf("two peers are called %s", name)
		}
	}
	for i, v := range n.Voters {
		if !slices.Contains(n.names, v) {
			return fmt.Errorf("the voter %q is no peer", v)
		}
		if slices.Contains(n.Voters[:i], v) {
			return fmt.Errorf("%s votes twice", v)
		}
	}
	if n.Open && (n.TTL == 0 || len(n.Voters) == 0) {
		return fmt.Errorf("an open network has leases, and says who votes")
	}
	if n.TTL != 0 && n.TTL < minTTL {
		return fmt.Errorf("a TTL is at least %v, not %v", time.Duration(minTTL), time.Duration(n.TTL))
	}
	for _, r := range n.Rates {
		if max(r, -r) > n.Drift {
			return fmt.Errorf("a clock that is %d parts per million off is beyond the bound of %d", r, n.Drift)
		}
	}
	return nil
}

// Names lists n peers, sorted: a, b, c and so on; z1 and so on after z.
func Names(n int) []algo.PeerName {
	var names []algo.PeerName
	for i := range n {
		if i < 26 {
			names = append(names, algo.PeerName('a'+rune(i)))
		} else {
			names = append(names, algo.PeerName(fmt.Sprintf("z%d", i-25)))
		}
	}
	return names
}

func (n *Network) pair(from, to int) *pair { return &n.pairs[from*len(n.names)+to] }

// restart starts the next incarnation of a peer. What it knew is gone, and so
// is what was on its way to it. If it is wiped, so is what was on its disk. Last
// is what it left when it stopped in good order; nil if it died.
func (n *Network) restart(i int, wiped bool, last *stop) error {
	n.peers[i] = n.start(i, n.peers[i], wiped, last)
	if n.memo != nil {
		n.peers[i] = n.memo.intern(n.peers[i])
	}
	for j := range n.peers {
		if j != i {
			n.cut(i, j)
			p := n.pair(i, j)
			p.link, p.first, p.down = 0, 0, false
			n.pair(j, i).keep(0)
		}
	}
	return n.peers[i].process.Check()
}

// cut ends the link between two peers. What was sent on it may still arrive
// until its receiver has contact on the next.
func (n *Network) cut(i, j int) {
	there, back := n.pair(i, j), n.pair(j, i)
	there.now++
	back.now++
	there.keep(back.link)
	back.keep(there.link)
}

// leave lets peer i take peer j for gone: its end of the link is no more, and what
// it knew of j. The other end learns of that by the next contact.
func (n *Network) leave(i, j int) algo.Input {
	n.cut(i, j)
	p := n.pair(i, j)
	p.link, p.first, p.down = 0, 0, false
	n.pair(j, i).keep(0)
	return algo.Input{Kind: algo.Leave, From: n.names[j]}
}

// votes says that a peer's vote counts.
func (n *Network) votes(i int) bool {
	return len(n.Voters) == 0 || slices.Contains(n.Voters, n.names[i])
}

// keep drops the packets that are not on a link.
func (p *pair) keep(link uint32) {
	p.queue = slices.DeleteFunc(p.queue, func(q queued) bool { return q.link != link })
}

// send puts a message on its way.
func (n *Network) send(i int, to algo.PeerName, k *packet) error {
	j := slices.Index(n.names, to)
	if j < 0 || j == i {
		return fmt.Errorf("%s sends to %q", n.names[i], to)
	}
	p, back := n.pair(i, j), n.pair(j, i)
	switch {
	case p.link == 0:
		return fmt.Errorf("%s sends %s to %s before they had contact", n.names[i], Describe(k.message), to)
	case p.link != p.now && p.link != back.link:
		return nil // the link is gone
	}
	p.queue = append(p.queue, queued{packet: k, link: p.link})
	return nil
}

// contacts lists the contacts that are due.
func (n *Network) contacts() []Step {
	var steps []Step
	for i := range n.names {
		for j := range n.names {
			if s := (Step{Op: Contact, Peer: uint8(i), Other: uint8(j)}); n.refuse(s) == "" {
				steps = append(steps, s)
			}
		}
	}
	return steps
}

// MakeContact makes every contact that is due, and delivers what follows from
// that: between peers that have just started, the first ones.
func (n *Network) MakeContact() error {
	_, err := n.meet()
	return err
}

// meet makes every contact that is due, delivers what peers then say to each
// other, and lists the steps.
func (n *Network) meet() (steps []Step, err error) {
	for _, s := range n.contacts() {
		steps = append(steps, s)
		if _, err := n.Do(s); err != nil {
			return steps, err
		}
	}
	err = n.repeat(Op.isDeliver, settleLimit, func(e Event) { steps = append(steps, e.Step) })
	return steps, err
}

// PeerNames lists the peers in order; indices in steps refer to it.
func (n *Network) PeerNames() []algo.PeerName { return n.names }

// Queued counts what is on its way from one peer to another.
func (n *Network) Queued(i, j int) int { return len(n.pair(i, j).queue) }

// Inside says whether a peer is inside a lock.
func (n *Network) Inside(i, lock int) bool { return n.peers[i].phase[lock] == inside }

// Wants says whether a peer waits for a lock.
func (n *Network) Wants(i, lock int) bool { return n.peers[i].phase[lock] == waiting }
