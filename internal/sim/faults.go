package sim

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
)

// Faults is a set of kinds of faults that may happen in the first act of a timed
// run. The seed decides which of them do.
type Faults uint16

// The kinds of faults.
const (
	Delays   Faults = 1 << iota // messages on some links take many times longer
	Cuts                        // links, both ways, carry nothing for a while and lose nothing
	OneWay                      // the same one way; the sender notices, or does not
	Swizzles                    // all links of some peers are cut one by one and heal in another order
	Losses                      // a link breaks and loses what is on it; also where it was cut
	Crashes                     // a peer dies and comes back after a while
	Stops                       // a peer stops in good order and starts again; only of algorithms that keep promises
	Wipes                       // once in a run, it comes back with an empty disk; only with Leases: the others need Lamport clocks that survive
	Pauses                      // a peer does nothing at all for a while
	Clocks                      // clocks run at different rates, within the bound that peers are told
	Leaves                      // some take a peer that has no vote for gone, wrongly; only where such peers come and go

	NoFaults  Faults = 0
	AllFaults Faults = Leaves<<1 - 1
)

var faultNames = [...]string{"delay", "cut", "one-way", "swizzle", "loss", "crash", "stop", "wipe", "pause", "clocks", "leave"}

// FaultNames lists the kinds in the order of Stats.Faults.
func FaultNames() []string { return faultNames[:] }

// ParseFaults reads "none", "all" or names separated by commas.
func ParseFaults(s string) (Faults, error) {
	switch s {
	case "none":
		return NoFaults, nil
	case "all":
		return AllFaults, nil
	}
	var f Faults
	for name := range strings.SplitSeq(s, ",") {
		i := slices.Index(faultNames[:], name)
		if i < 0 {
			return 0, fmt.Errorf("no fault is called %q; there are: %s", name, strings.Join(faultNames[:], ", "))
		}
		f |= 1 << i
	}
	return f, nil
}

func (f Faults) String() string {
	switch f {
	case NoFaults:
		return "none"
	case AllFaults:
		return "all"
	}
	var names []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Kind is the place of a single fault in lists.
func (f Faults) Kind() int { return bits.TrailingZeros16(uint16(f)) }

// faultPlan says what goes wrong in a run, and how often.
type faultPlan struct {
	weight  [len(faultNames)]int
	gap     algo.Duration // between two faults, on average
	longest algo.Duration // that one lasts
	wiped   bool          // the one wipe has been
}

// drawFaults lets about half of the kinds happen, each rarely or often: a run
// in which everything fails all the time shows little.
func (t Timed) drawFaults(rng *rand.Rand) faultPlan {
	p := faultPlan{
		gap:     t.TTL * 16 >> rng.IntN(8),
		longest: t.TTL * 4 >> rng.IntN(6),
	}
	keeps := keeper(t.New, t.TTL)
	for i := range p.weight {
		kind := Faults(1) << i
		if kind == Leaves && (!t.Open || t.Peers == t.Voters) {
			continue
		}
		on := rng.IntN(2) == 0 || bits.OnesCount16(uint16(t.Faults)) == 1
		if weight := 1 << rng.IntN(4); on && t.Faults&kind&^Clocks != 0 && (t.Leases || kind != Wipes) && (keeps || kind != Stops) {
			p.weight[i] = weight
		}
	}
	return p
}

func (p *faultPlan) total() int {
	total := 0
	for _, w := range p.weight {
		total += w
	}
	return total
}

// String says what goes wrong; nothing if nothing does.
func (p *faultPlan) String() string {
	if p.total() == 0 {
		return ""
	}
	var kinds []string
	for i, w := range p.weight {
		if w > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %d", faultNames[i], w))
		}
	}
	return fmt.Sprintf("a fault every %v or so, for up to %v; weights: %s",
		time.Duration(p.gap), time.Duration(p.longest), strings.Join(kinds, ", "))
}

// faultSlots bounds how many faults there are at a time.
const faultSlots = 64

// fault is something that goes wrong for a while.
type fault struct {
	kind  Faults        // 0: the slot is free
	on    bool          // it has begun
	links [][2]int      // from, to: Delays, Cuts, OneWay
	lose  bool          // when it ends, so do these links
	deaf  bool          // OneWay: senders do not notice
	slow  algo.Duration // Delays
	peer  int           // Crashes, Stops, Wipes, Pauses
	lasts algo.Duration
}

// nextFault puts the next fault on the agenda, if there are to be any.
func (d *driver) nextFault() {
	if d.plan.total() > 0 {
		gap := 1 + d.rng.Int64N(2*int64(d.plan.gap)+1)
		d.agenda.set(d.failing(faultSlots), d.net.passed+algo.Duration(gap))
	}
}

// fail begins a fault, ends it, or draws the next one.
func (d *driver) fail(slot int) error {
	if slot == faultSlots {
		d.nextFault()
		return d.drawFault()
	}
	f := &d.faults[slot]
	switch {
	case f.on:
		return d.endFault(f)
	case f.kind == Stops && d.halted(f.peer):
		*f = fault{} // who does nothing at all does not stop in good order
		return nil
	}
	f.on = true
	d.agenda.set(d.failing(slot), d.net.passed+f.lasts)
	return d.beginFault(f)
}

// drawFault draws a fault by weight and lets it begin.
func (d *driver) drawFault() error {
	at, kind := d.rng.IntN(d.plan.total()), Faults(1)
	for i, w := range d.plan.weight {
		if at -= w; at < 0 {
			kind <<= i
			break
		}
	}
	if d.plan.wiped && kind == Wipes {
		kind = Crashes
	}
	n := len(d.peers)
	// Short ones are as frequent as long ones.
	f := fault{kind: kind, lasts: 1 + algo.Duration(d.rng.Int64N(int64(d.plan.longest>>d.rng.IntN(8)+1)))}
	f.peer = d.rng.IntN(n)
	switch {
	case kind == Stops:
		d.drawStops(f)
		return nil
	case kind&(Crashes|Wipes|Pauses) != 0:
		d.plan.wiped = d.plan.wiped || kind == Wipes
		if !d.halted(f.peer) {
			d.schedule(f, 0)
		}
		return nil
	case n == 1:
		return nil
	}
	other := (f.peer + 1 + d.rng.IntN(n-1)) % n
	lose := d.plan.weight[Losses.Kind()] > 0 && d.rng.IntN(4) == 0
	switch kind {
	case Losses:
		d.tally(kind)
		return d.lose(f.peer, other)
	case Leaves:
		d.tally(kind)
		return d.leave(f.peer, other)
	case Delays:
		f.slow = 2 << d.rng.IntN(6)
		f.links = d.drawLinks(f.peer, other, true)
	case Cuts:
		f.lose, f.links = lose, d.drawLinks(f.peer, other, true)
	case OneWay:
		f.lose, f.deaf, f.links = lose, d.rng.IntN(2) == 0, d.drawLinks(f.peer, other, false)
	case Swizzles:
		d.swizzle(f)
		return nil
	}
	d.schedule(f, 0)
	return nil
}

// drawLinks draws links of a peer: those to one other, those to all, or all
// between a group that it is in and the rest. Both is both ways.
func (d *driver) drawLinks(peer, other int, both bool) (links [][2]int) {
	add := func(i, j int) {
		links = append(links, [2]int{i, j})
		if both {
			links = append(links, [2]int{j, i})
		}
	}
	group := 1 << peer
	switch d.rng.IntN(4) {
	case 0, 1:
		add(peer, other)
		return links
	case 2:
		group = d.rng.IntN(1<<len(d.peers)) | 1<<peer
	}
	for i := range d.peers {
		for j := range d.peers {
			if group>>i&1 == 1 && group>>j&1 == 0 {
				add(i, j)
			}
		}
	}
	return links
}

// drawStops draws restarts in good order: of one peer; of one that has just
// started, after a crash or not, and may not know all that binds it; or of all, one
// after the other, as who replaces the program does it. Often they are quick.
func (d *driver) drawStops(f fault) {
	soon := func() algo.Duration { return algo.Duration(d.rng.Int64N(int64(d.net.TTL>>d.rng.IntN(12)) + 1)) }
	f.lasts = min(f.lasts, 1+soon())
	switch d.rng.IntN(4) {
	case 0:
		first := f
		first.kind = []Faults{Stops, Crashes}[d.rng.IntN(2)]
		if !d.halted(f.peer) {
			d.schedule(first, 0)
		}
		d.schedule(f, f.lasts+1+soon())
	case 1:
		gap, last := soon(), f.peer
		for k := range d.peers {
			f.peer = (last + k) % len(d.peers)
			d.schedule(f, algo.Duration(k)*(f.lasts+1+gap))
		}
	default:
		d.schedule(f, 0)
	}
}

// swizzle cuts the links of a peer one by one and lets them heal in another
// order.
func (d *driver) swizzle(f fault) {
	for j := range d.peers {
		if j == f.peer {
			continue
		}
		f := fault{kind: Swizzles, links: [][2]int{{f.peer, j}, {j, f.peer}}, lasts: f.lasts}
		begin := d.rng.Int64N(int64(f.lasts) + 1)
		f.lasts += algo.Duration(d.rng.Int64N(int64(f.lasts)+1) - begin)
		d.schedule(f, algo.Duration(begin))
	}
}

// schedule lets a fault begin some time from now, if there are not too many.
func (d *driver) schedule(f fault, from algo.Duration) {
	slot := slices.IndexFunc(d.faults[:], func(f fault) bool { return f.kind == 0 })
	if slot < 0 {
		return
	}
	d.faults[slot] = f
	d.agenda.set(d.failing(slot), d.net.passed+from)
}

func (d *driver) tally(kind Faults) {
	if d.stats != nil {
		d.stats.Faults[kind.Kind()]++
	}
}

func (d *driver) beginFault(f *fault) error {
	d.tally(f.kind)
	switch f.kind {
	case Crashes, Stops, Wipes, Pauses:
		return d.halt(f.peer, f.kind)
	}
	for _, l := range f.links {
		link := &d.links[d.arrival(l[0], l[1])]
		if f.kind == Delays {
			link.slow = max(link.slow, f.slow)
			continue
		}
		link.cut++
		link.deaf = f.deaf
		d.refreshPair(l[0], l[1])
	}
	return nil
}

// halt lets a peer do nothing. If it stops in good order it has done so before,
// and what starts again then sleeps: to the others it is all the same.
func (d *driver) halt(i int, kind Faults) error {
	if kind == Stops {
		if err := d.do(Step{Op: Replace, Peer: uint8(i)}); err != nil {
			return err
		}
	}
	d.peers[i].halted++
	d.agenda.drop(d.waking(i))
	d.refreshPeer(i)
	return nil
}

func (d *driver) endFault(f *fault) error {
	ended := *f
	*f = fault{}
	switch ended.kind {
	case Crashes, Stops, Wipes, Pauses:
		return d.resume(ended.peer, ended.kind)
	}
	for _, l := range ended.links {
		i, j := l[0], l[1]
		link := &d.links[d.arrival(i, j)]
		if ended.kind == Delays {
			link.slow = 0 // for others, too, that overlap
			continue
		}
		link.cut--
		d.hold(i, j)
		d.refreshPair(i, j)
		if ended.lose {
			if err := d.lose(i, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// resume lets a peer run again. What has arrived for it meanwhile, and what it
// wanted to do, comes in any order.
func (d *driver) resume(i int, kind Faults) error {
	d.peers[i].halted--
	for j := range d.peers {
		if j != i {
			d.hold(j, i)
		}
	}
	var err error
	switch kind {
	case Crashes:
		err = d.do(Step{Op: Restart, Peer: uint8(i)})
	case Wipes:
		err = d.do(Step{Op: Wipe, Peer: uint8(i)})
	default:
		d.refreshPeer(i)
		d.followPeer(i)
	}
	for l := range d.net.locks {
		c := i*len(d.net.locks) + l
		if a := &d.callers[c]; a.missed {
			a.missed = false
			if !d.agenda.has(d.calling(c)) {
				d.agenda.set(d.calling(c), d.net.passed+d.delay.draw(d.rng))
			}
		}
	}
	return err
}

// lose breaks the link between two peers, if they know of one.
func (d *driver) lose(i, j int) error {
	s := Step{Op: Lose, Peer: uint8(min(i, j)), Other: uint8(max(i, j))}
	if d.net.refuse(s) != "" {
		return nil
	}
	return d.do(s)
}

// leave lets one peer, or about half of them, take one for gone: the first that has
// no vote, from other on.
func (d *driver) leave(one, other int) error {
	n := len(d.peers)
	for d.net.votes(other) {
		other = (other + 1) % n
	}
	many := d.rng.IntN(2) == 0
	for i := range d.peers {
		s := Step{Op: Leave, Peer: uint8(i), Other: uint8(other)}
		if i != one && (!many || d.rng.IntN(2) == 0) || d.halted(i) || d.net.refuse(s) != "" {
			continue
		}
		if err := d.do(s); err != nil {
			return err
		}
		// It takes a while until somebody says that it is there after all.
		d.agenda.set(d.contact(i, other), d.net.passed+1+algo.Duration(d.rng.Int64N(int64(2*d.net.TTL>>d.rng.IntN(8))+1)))
	}
	return nil
}

// endFaults ends every fault that has begun, for the sake of who is dead.
func (d *driver) endFaults() error {
	for slot := range d.faults {
		f := &d.faults[slot]
		d.agenda.drop(d.failing(slot))
		if f.on {
			if err := d.endFault(f); err != nil {
				return err
			}
		}
	}
	d.agenda.drop(d.failing(faultSlots))
	return nil
}
