// Package relay is Conch's default algorithm: a quorum-leased token.
//
// A majority of voters lends a term of the lock to whoever wins their votes;
// inside a term there is one token, which goes straight from holder to next
// waiter, one message, while whoever has it keeps the lease alive. When it is
// lost, the lease ends and the next term begins, with higher numbers.
//
// docs/algorithms/relay.md is the specification; comments cite its rules by
// number. Each peer plays up to three parts in a lock, a file each: voter (rules
// 1 to 7), candidate (8 to 10) and owner of the token (11 to 16). What they share
// is in lock.go (rule 17).
package relay

import (
	"maps"
	"slices"

	"github.com/conchlock/conch/algo"
)

// block is how many numbers a voter lends at a time (rule 1). An owner that has
// used so many since its last renewal has to renew first. A term that ends by
// the clock skips a block, and that takes a TTL, 100 ms at least: so numbers do not
// outrun a wall clock in microseconds, from which a voter without a directory
// starts (section 6).
const block = 1 << 16

// floorStep is by how much the floor on disk is raised beyond need: a raise
// costs a sync, a restart costs what was left of it (section 6).
const floorStep = 15 * block

// Process is one peer's part in all its locks. It implements algo.Process.
//
// Invariants:
//
//	(1) no lock is kept that could be forgotten;
//	(2) the floor on disk is at least every ceiling that a live vote confirms;
//
// and for each lock
//
//	(3) inside only with the token, and only with a confirmed number;
//	(4) a request is open only outside, and is above the last that won, unless
//	    it is the one that won and has yet to enter;
//	(5) whoever is known to wait is a present incarnation's, and not served.
type Process struct {
	self        algo.PeerName
	incarnation algo.Incarnation
	open        bool                  // peers without a vote come and go
	names       []algo.PeerName       // all peers; elsewhere peers are indices into this. Empty where one has left
	places      map[algo.PeerName]int // where each is in names; never changed, but replaced
	me          int
	voters      []int         // sorted
	quorum      int           // a majority of the voters
	votes       bool          // this peer is a voter
	ttl, rests  algo.Duration // how long a token that nobody wants is kept
	drift       int64

	peers    []peer       // by index; the one at me is up
	abstains algo.Instant // no vote and no renewal before (rule 7)
	stopped  bool
	floor    algo.Token // on disk, or about to be
	folded   algo.Token // base of all locks that were forgotten, in one
	ballot   uint64     // counts votes, over all locks
	locks    map[string]*lock
	wakes    wakes

	// Of the present step.
	now  algo.Instant
	time algo.Time
	out  []algo.Output
}

// New returns the process of one incarnation.
func New(s algo.Setup) algo.Process {
	p := &Process{
		self:        s.Self,
		incarnation: s.Incarnation,
		ttl:         s.TTL,
		rests:       min(s.Linger, s.TTL/3), // rule 14
		drift:       s.Drift,
		floor:       s.Floor,
		folded:      s.Floor, // section 6: nothing at or below it is offered again
		locks:       make(map[string]*lock),
		now:         s.Now,
	}
	p.open = s.Open
	p.names = slices.Sorted(slices.Values(append(slices.Clone(s.Others), s.Self)))
	p.places = make(map[algo.PeerName]int, len(p.names))
	for i, name := range p.names {
		p.places[name] = i
	}
	p.me = p.index(s.Self)
	p.peers = make([]peer, len(p.names))
	p.peers[p.me] = peer{incarnation: s.Incarnation, up: true, stranger: true}
	for _, v := range s.Voters {
		p.voters = append(p.voters, p.index(v))
	}
	slices.Sort(p.voters)
	p.quorum = len(p.voters)/2 + 1
	p.votes = slices.Contains(p.voters, p.me)
	if !s.Kept {
		p.abstains = s.Now.Add(max(s.Bound, p.ttl+p.slack(p.ttl))) // rule 7
	}
	for _, promise := range s.Promises {
		p.restore(promise)
	}
	if len(p.peers) == 1 && !p.open {
		p.abstains = p.now // nobody has relied on it
	}
	return p
}

// slack is by how much two clocks can differ over d (section 2).
func (p *Process) slack(d algo.Duration) algo.Duration {
	return d/1_000_000*algo.Duration(2*p.drift) + d%1_000_000*algo.Duration(2*p.drift)/1_000_000
}

// Step implements algo.Process.
func (p *Process) Step(in algo.Input, out []algo.Output) []algo.Output {
	p.now, p.time, p.out = in.Now, in.Time, out
	switch in.Kind {
	case algo.Contact, algo.Up, algo.Down:
		p.link(in)
	case algo.Leave:
		p.leave(in)
	case algo.Tick:
		for len(p.wakes) > 0 && p.wakes[0].wake <= p.now {
			p.wakes[0].step(algo.Input{})
		}
	case algo.Stop:
		p.stop()
	case algo.Receive:
		from := p.index(in.From)
		switch m, newborn := in.Message.(Newborn); {
		case from < 0 || from == p.me || p.peers[from].incarnation == 0:
		case newborn:
			p.peers[from].newborn = m.To
			p.begin()
		default:
			l := p.lock(in.Lock)
			l.from = from
			l.step(in)
		}
	default:
		p.lock(in.Lock).step(in)
	}
	out, p.out = p.out, nil
	return out
}

// stop hands on or ends what this peer keeps. Its votes stay as they are: they
// are promises, and go to the next incarnation.
func (p *Process) stop() {
	p.stopped = true
	for _, l := range p.sorted() {
		l.step(algo.Input{Kind: algo.Stop})
	}
}

// Promises implements algo.Keeper. A voter that abstains does not know what an
// earlier incarnation has promised (rule 7).
func (p *Process) Promises() (list []algo.Promise, all bool) {
	if p.votes && p.now < p.abstains {
		return nil, false
	}
	for _, l := range p.sorted() {
		if v := l.vote; !v.term.IsZero() {
			list = append(list, algo.Promise{Lock: l.name, Term: v.term, Ballot: v.ballot, Ceiling: v.ceiling, Expiry: v.expiry})
		}
	}
	return list, true
}

// restore takes over a promise of the last incarnation.
func (p *Process) restore(m algo.Promise) {
	p.ballot = max(p.ballot, m.Ballot)
	if m.Expiry <= p.now {
		return // its ceiling is not above the floor
	}
	l := p.lock(m.Lock)
	l.vote = vote{term: m.Term, ballot: m.Ballot, ceiling: m.Ceiling, expiry: m.Expiry, owner: p.index(m.Term.Peer)}
	l.schedule()
}

// Abstains says until when this peer grants nothing.
func (p *Process) Abstains() algo.Instant {
	if !p.votes {
		return 0
	}
	return p.abstains
}

// Lent says to whom this voter has lent its vote for a lock, a candidate or whoever had
// the token last, and until when; empty if to nobody.
func (p *Process) Lent(lock string) (algo.PeerName, algo.Instant) {
	l := p.locks[lock]
	if l == nil || l.vote.term.IsZero() || l.vote.owner < 0 {
		return "", 0
	}
	return p.names[l.vote.owner], l.vote.expiry
}

// Lends lists the locks for which it has lent its vote, in no order.
func (p *Process) Lends() []string {
	var list []string
	for name, l := range p.locks {
		if !l.vote.term.IsZero() {
			list = append(list, name)
		}
	}
	return list
}

// Wake implements algo.Process.
func (p *Process) Wake() algo.Instant {
	if len(p.wakes) == 0 {
		return algo.Never
	}
	return p.wakes[0].wake
}

// WaitsFor implements algo.Process.
func (p *Process) WaitsFor(name string) []algo.PeerName {
	l := p.locks[name]
	if l == nil || l.own.IsZero() {
		return nil
	}
	return l.waitsFor()
}

// lock returns the lock of that name, made if need be.
func (p *Process) lock(name string) *lock {
	l := p.locks[name]
	if l == nil {
		l = &lock{
			Process: p,
			name:    name,
			voter:   voter{base: p.folded},
			waiting: make([]request, len(p.names)),
			place:   -1,
			met:     -1,
		}
		l.won = algo.Stamp{Time: max(p.time, 1) - 1, Peer: p.self, Incarnation: p.incarnation} // section 6
		p.locks[name] = l
	}
	return l
}

// forget drops a lock and keeps what must not be forgotten (section 6).
func (p *Process) forget(l *lock) {
	p.folded = max(p.folded, l.base)
	p.wakes.remove(l)
	delete(p.locks, l.name)
}

// sorted lists the locks in use by name, so that a run can be repeated.
func (p *Process) sorted() []*lock {
	list := make([]*lock, 0, len(p.locks))
	for _, name := range slices.Sorted(maps.Keys(p.locks)) {
		list = append(list, p.locks[name])
	}
	return list
}

// promise makes sure that the floor on disk is at least a ceiling that is
// about to be confirmed (section 6).
func (p *Process) promise(ceiling algo.Token) {
	if ceiling > p.floor {
		p.floor = ceiling + floorStep
		p.out = append(p.out, algo.Output{Kind: algo.Floor, Token: p.floor})
	}
}
