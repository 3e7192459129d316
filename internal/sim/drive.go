package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
)

// driver lets time pass in a network: what is on its way arrives, peers wake,
// callers act. The agenda has a number for each of these, in this order, n
// being the number of peers:
//
//	n*n of each pair: the oldest message arrives
//	n*n of each pair: a peer has contact with the other
//	n*n of each pair: a peer changes its mind about the link to the other
//	n of each peer: it wakes
//	n*locks of each caller: it asks, gives up, leaves, or has waited too long
//	of faults: one begins or ends; and the next one is drawn
type driver struct {
	net     *Network
	rng     *rand.Rand
	delay   Span
	load    Load
	agenda  agenda
	peers   []runner
	links   []channel // from*n+to
	callers []caller  // peer*locks+lock
	exits   []exit    // by lock
	silent  bool      // callers ask for nothing any more
	taken   int       // steps

	// In the first act.

	plan   *faultPlan // nil in the second
	faults [faultSlots]fault
	stats  *Stats
	steps  *[]Step // where to take note of every step, if not nil

	// In the second act.

	begun   algo.Duration
	bound   algo.Duration // how long one may wait
	longest algo.Duration // that anybody has waited since the act began
	limit   int           // how many steps are enough; 0: any number
	out     []bool        // by peer: it is out of reach, and need not get in; nil: nobody is
	seen    func(Event)   // is told of every step, if not nil
}

// runner is a peer as a program that runs.
type runner struct {
	halted int          // by so many faults: it does nothing at all
	wake   algo.Instant // what it has last said it waits for
}

// channel is one direction of a link.
type channel struct {
	cut    int           // by so many faults: what is on it stays there
	slow   algo.Duration // messages take so many times longer; 0 counts as 1
	deaf   bool          // while it is cut, its sender does not notice
	latest algo.Duration // when the last message on it arrives
}

// caller is what uses a lock at a peer.
type caller struct {
	hot    bool
	phase  phase
	since  algo.Duration // when it asked
	bound  algo.Duration // how long it may wait; in the second act
	missed bool          // it had something to do while its peer was halted
}

// exit is when a lock was last left by a holder, until somebody enters.
type exit struct {
	at  algo.Duration
	has bool
}

func newDriver(n *Network, rng *rand.Rand, delay Span, load Load) *driver {
	size, locks := len(n.names), len(n.locks)
	d := &driver{
		net: n, rng: rng, delay: delay, load: load,
		agenda:  newAgenda(3*size*size + size + size*locks + faultSlots + 1),
		peers:   make([]runner, size),
		links:   make([]channel, size*size),
		callers: make([]caller, size*locks),
		exits:   make([]exit, locks),
	}
	for i := range d.callers {
		d.callers[i].hot = rng.IntN(100) < load.Hot
		d.callers[i].since = n.passed
	}
	return d
}

// Numbers of what can be on the agenda.

func (d *driver) arrival(i, j int) int { return i*len(d.peers) + j }
func (d *driver) contact(i, j int) int { return (len(d.peers)+i)*len(d.peers) + j }
func (d *driver) opinion(i, j int) int { return (2*len(d.peers)+i)*len(d.peers) + j }
func (d *driver) waking(i int) int     { return 3*len(d.peers)*len(d.peers) + i }
func (d *driver) calling(c int) int    { return d.waking(len(d.peers)) + c }
func (d *driver) failing(f int) int    { return d.calling(len(d.callers)) + f }

// adopt puts on the agenda what follows from the state that the network is in.
func (d *driver) adopt() {
	for i := range d.peers {
		for j := range d.peers {
			if i == j {
				continue
			}
			for _, q := range d.net.pair(i, j).queue {
				q.due = 0
			}
			d.post(i, j)
		}
	}
	d.refreshAll()
	for i := range d.peers {
		d.peers[i].wake = algo.Never
		d.followPeer(i)
		for l := range d.net.locks {
			if c := i*len(d.net.locks) + l; d.callers[c].phase == idle {
				d.call(c)
			}
		}
	}
}

// run lets time pass until a moment, or until there is nothing more to happen.
func (d *driver) run(until algo.Duration) error {
	for more := true; more; {
		var err error
		if more, err = d.advance(until); err != nil {
			return err
		}
	}
	if d.plan == nil {
		return nil
	}
	return d.pass(until)
}

// advance lets the next thing happen, unless it is later than until. It is
// false if nothing did.
func (d *driver) advance(until algo.Duration) (bool, error) {
	id, at, ok := d.agenda.first()
	if !ok || at > until || d.enough() {
		return false, nil
	}
	d.agenda.drop(id)
	if err := d.pass(at); err != nil {
		return false, err
	}
	return true, d.happen(id)
}

func (d *driver) enough() bool { return d.limit > 0 && d.taken >= d.limit }

func (d *driver) pass(to algo.Duration) error {
	if to <= d.net.passed {
		return nil
	}
	return d.do(Step{Op: Pass, Time: to - d.net.passed})
}

// happen does what was on the agenda.
func (d *driver) happen(id int) error {
	n := len(d.peers)
	i, j := id/n%n, id%n
	s := Step{Peer: uint8(i), Other: uint8(j)}
	switch kind := id / (n * n); {
	case kind == 0:
		s.Op = Deliver
	case kind == 1:
		s.Op = Contact
	case kind == 2:
		s.Op = Down
		if d.net.pair(i, j).down {
			s.Op = Up
		}
	case id < d.calling(0):
		return d.do(Step{Op: Wake, Peer: uint8(id - d.waking(0))})
	case id < d.failing(0):
		return d.act(id - d.calling(0))
	default:
		return d.fail(id - d.failing(0))
	}
	return d.do(s)
}

// do takes a step and puts on the agenda what follows from it.
func (d *driver) do(s Step) error {
	if d.steps != nil {
		*d.steps = append(*d.steps, s)
	}
	e, err := d.net.Do(s)
	if d.seen != nil {
		d.seen(e)
	}
	if d.taken++; err != nil {
		return err
	}
	i, j := int(s.Peer), int(s.Other)
	switch s.Op {
	case Pass:
		return nil
	case Lose:
		d.refreshPair(i, j)
		return nil
	case Restart, Wipe, Replace:
		d.refreshPeer(i)
	case Deliver:
		d.refreshArrival(i, j)
		i = j
	case Contact, Down, Up, Leave:
		d.refreshPair(i, j)
	case Wake:
		if err := d.net.checkWake(i); err != nil {
			return err
		}
	}
	for _, o := range e.Outputs {
		if o.Kind == algo.Send {
			d.post(i, slices.Index(d.net.names, o.To))
		}
		if d.stats != nil {
			d.stats.count(o)
		}
	}
	d.followPeer(i)
	return nil
}

// post decides when new messages on a link arrive.
func (d *driver) post(i, j int) {
	queue, link := d.net.pair(i, j).queue, &d.links[d.arrival(i, j)]
	first := len(queue)
	for first > 0 && queue[first-1].due == 0 {
		first--
	}
	if first == len(queue) {
		return
	}
	for _, q := range queue[first:] {
		link.latest = max(link.latest, d.net.passed+max(1, link.slow)*d.delay.draw(d.rng), 1)
		q.due = link.latest
	}
	if first == 0 {
		d.refreshArrival(i, j)
	}
}

// hold makes what is on a link arrive not before it could have if it had been
// sent now.
func (d *driver) hold(i, j int) {
	link := &d.links[d.arrival(i, j)]
	soonest := d.net.passed + d.delay.draw(d.rng)
	for _, q := range d.net.pair(i, j).queue {
		q.due = max(q.due, soonest)
		link.latest = max(link.latest, q.due)
	}
}

// refreshArrival puts the arrival of the oldest message on a link on the agenda.
func (d *driver) refreshArrival(i, j int) {
	queue := d.net.pair(i, j).queue
	if len(queue) == 0 || d.halted(j) || d.links[d.arrival(i, j)].cut > 0 || queue[0].link != d.net.pair(j, i).link {
		d.agenda.drop(d.arrival(i, j))
		return
	}
	d.agenda.set(d.arrival(i, j), max(d.net.passed, queue[0].due))
}

// refreshPair brings the agenda up to date about the links between two peers.
func (d *driver) refreshPair(i, j int) {
	for _, p := range [...][2]int{{i, j}, {j, i}} {
		i, j := p[0], p[1]
		d.refreshArrival(i, j)
		there, back, p := d.links[d.arrival(i, j)], d.links[d.arrival(j, i)], d.net.pair(i, j)
		cut := there.cut+back.cut > 0 || d.halted(i) || d.halted(j)
		d.refresh(d.contact(i, j), p.link != p.now && !cut, 1)
		// Who hears nothing for a while believes the worst, and who is not
		// heard, too, if it expects answers.
		down := back.cut > 0 || d.halted(j) || there.cut > 0 && !there.deaf
		patience := d.net.TTL / 5
		if !down {
			patience = 1
		}
		d.refresh(d.opinion(i, j), p.link != 0 && p.down != down && !d.halted(i), patience)
	}
}

// refresh puts something on the agenda, some time after now, or takes it off.
func (d *driver) refresh(id int, wanted bool, after algo.Duration) {
	switch {
	case !wanted:
		d.agenda.drop(id)
	case !d.agenda.has(id):
		after += algo.Duration(d.rng.Int64N(int64(after)/2 + 1))
		d.agenda.set(id, d.net.passed+after+d.delay.draw(d.rng))
	}
}

func (d *driver) refreshPeer(i int) {
	for j := range d.peers {
		if j != i {
			d.refreshPair(i, j)
		}
	}
}

func (d *driver) refreshAll() {
	for i := range d.peers {
		for j := range i {
			d.refreshPair(i, j)
		}
	}
}

func (d *driver) halted(i int) bool { return d.peers[i].halted > 0 }

// followPeer brings the agenda up to date about what a peer does by itself.
func (d *driver) followPeer(i int) {
	locks := len(d.net.locks)
	for l := range locks {
		if c := i*locks + l; d.callers[c].phase != d.net.peers[i].phase[l] {
			d.note(i, l)
			d.call(c)
		}
	}
	id, p := d.waking(i), &d.peers[i]
	wake := d.net.peers[i].process.Wake()
	switch {
	case wake == algo.Never || p.halted > 0:
		d.agenda.drop(id)
	case wake != p.wake || !d.agenda.has(id):
		late := 1 + algo.Duration(d.rng.Int64N(int64(d.net.TTL)/1000+1))
		d.agenda.set(id, max(d.net.passed, d.net.moment(i, wake))+late)
	}
	p.wake = wake
}

// moment says when a peer's clock reads at, in real time; now if it has already.
func (n *Network) moment(i int, at algo.Instant) algo.Duration {
	rate := algo.Duration(0)
	if i < len(n.Rates) {
		rate = algo.Duration(n.Rates[i])
	}
	t := n.passed
	for left := at.Sub(n.now(i)); left > 0; left = at.Sub(n.reading(i, t)) {
		// Rates are small, so this falls just short, and a few more steps do.
		t += max(1, left-left/1_000_000*rate)
	}
	return t
}

// checkWake checks that a peer has nothing to do with a time that is past once
// it has looked at its clock: it would look again and again.
func (n *Network) checkWake(i int) error {
	if n.due(i) {
		return fmt.Errorf("%s has looked at its clock, and still waits for a time that is past", n.names[i])
	}
	return nil
}

// act lets a caller do what it wanted to do.
func (d *driver) act(c int) error {
	i, l := c/len(d.net.locks), c%len(d.net.locks)
	a := &d.callers[c]
	if d.halted(i) {
		a.missed = true
		return nil
	}
	s := Step{Peer: uint8(i), Lock: uint8(l)}
	switch a.phase {
	case idle:
		s.Op = Request
		a.since = d.net.passed
	case waiting:
		if d.plan == nil && d.out != nil && d.out[i] {
			d.call(c)
			return nil
		}
		if d.plan == nil {
			return fmt.Errorf("for %v nothing has gone wrong, and %s has waited for the last %v, at most %v are allowed; %s",
				time.Duration(d.net.passed-d.begun), d.net.names[i], time.Duration(d.net.passed-a.since), time.Duration(a.bound), d.net.waiters())
		}
		s.Op = Cancel
	case inside:
		s.Op = Release
	}
	return d.do(s)
}

// note takes note that a caller has got further.
func (d *driver) note(i, l int) {
	a := &d.callers[i*len(d.net.locks)+l]
	before := a.phase
	a.phase = d.net.peers[i].phase[l]
	switch {
	case a.phase == inside:
		d.noteEntry(i, l, a)
	case before == waiting && d.stats != nil:
		d.stats.Cancels++ // or its peer died
	}
	if before == inside {
		d.exits[l] = exit{at: d.net.passed, has: true}
	}
}

func (d *driver) noteEntry(i, l int, a *caller) {
	wait := d.net.passed - a.since
	if d.out == nil || !d.out[i] {
		d.longest = max(d.longest, wait)
	}
	last := &d.exits[l]
	if s := d.stats; s != nil {
		unit := float64(d.delay.mean())
		s.Entries++
		s.ByPeer[i]++
		s.Wait.note(float64(wait) / unit)
		if last.has && a.since < last.at {
			s.Handoff.note(float64(d.net.passed-last.at) / unit)
		}
	}
	last.has = false
}

// call puts on the agenda what a caller does next.
func (d *driver) call(c int) {
	a, id := &d.callers[c], d.calling(c)
	d.agenda.drop(id)
	var after algo.Duration
	switch a.phase {
	case idle:
		if d.silent {
			return
		}
		if !a.hot {
			after = d.load.Think.draw(d.rng)
		}
	case waiting:
		switch {
		case d.plan == nil:
			after, a.bound = d.bound, d.bound
		case d.rng.IntN(100) < d.load.Cancels:
			after = d.load.Patience.draw(d.rng)
		default:
			return
		}
	case inside:
		after = d.load.Work.draw(d.rng)
	}
	d.agenda.set(id, d.net.passed+after)
}

// stopCallers lets nobody ask any more.
func (d *driver) stopCallers() {
	d.silent = true
	for c, a := range d.callers {
		if a.phase == idle {
			d.agenda.drop(d.calling(c))
		}
	}
}
