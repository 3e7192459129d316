package sim

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Explorer takes every interleaving of a small cluster, breadth first, so that
// the first rule it sees broken is broken by a shortest run.
//
// Liveness comes for nothing. Every step but a fault grows a Lamport clock, and
// faults are numbered, so no run comes back to a state: the states form a
// graph without circles. If exploring ends, all runs are finite, and each ends
// in a state where nothing can happen by itself. It is enough that nobody waits
// in any of those. Where exploring is cut off at MaxStates, the states that
// were not gone into are settled instead, some of them.
type Explorer struct {
	Config
	Met       bool // begin with all first contacts made
	Requests  int  // of each peer for each lock
	Askers    int  // how many peers request at all, the first ones; 0: all of them
	Cancels   int  // in all, like the faults
	Restarts  int
	Losses    int
	Wipes     int
	Replaces  int
	Downs     int
	Leaves    int
	Passes    int // of Config.Tick each
	MaxStates int // 0: no bound
}

// Report is what an exploration came to.
type Report struct {
	States      int
	Transitions int
	Depth       int  // the longest of the shortest ways to a state
	Complete    bool // every state was reached and gone into
	Settled     int  // states from which a second act was played
	Elapsed     time.Duration
	Failure     *Failure // nil if no rule was broken
}

func (e Explorer) String() string {
	name := fmt.Sprintf("%d peers, %d requests each", len(e.Peers), e.Requests)
	if len(e.Locks) > 1 {
		name += fmt.Sprintf(" of %d locks", len(e.Locks))
	}
	if e.Askers > 0 {
		name += fmt.Sprintf(" of %d", e.Askers)
	}
	if e.Open {
		name += fmt.Sprintf(", %d vote", len(e.Voters))
	}
	if !e.Met {
		name += ", first contacts"
	}
	for _, f := range [...]struct {
		what string
		max  int
	}{{"cancels", e.Cancels}, {"restarts", e.Restarts}, {"losses", e.Losses}, {"wipes", e.Wipes}, {"restarts in good order", e.Replaces},
		{"links believed down", e.Downs}, {"peers taken for gone", e.Leaves}, {"times " + time.Duration(e.Tick).String(), e.Passes}} {
		if f.max > 0 {
			name += fmt.Sprintf(", %d %s", f.max, f.what)
		}
	}
	return name
}

func (r Report) String() string {
	s := fmt.Sprintf("%d states, %d transitions, depth %d, %.1fs", r.States, r.Transitions, r.Depth, r.Elapsed.Seconds())
	if !r.Complete && r.Failure == nil {
		s += ", cut off"
	}
	if r.Settled > 0 {
		s += fmt.Sprintf(", %d settled", r.Settled)
	}
	return s
}

// budget is what may still be wanted and go wrong.
type budget struct {
	requests [maxPeers][maxLocks]uint8
	others   [Pass + 1]uint8 // by kind of step, of all peers
}

// spend says whether the budget allows a step, and takes it off.
func (b *budget) spend(s Step) bool {
	of := &b.others[s.Op]
	switch s.Op {
	case Request:
		of = &b.requests[s.Peer][s.Lock]
	case Cancel, Restart, Lose, Wipe, Replace, Down, Leave, Pass:
	default:
		return true
	}
	if *of == 0 {
		return false
	}
	*of--
	return true
}

// append encodes the budget; set undoes it and returns what follows.
func (b *budget) append(peers, locks int, dst []byte) []byte {
	for i := range peers {
		dst = append(dst, b.requests[i][:locks]...)
	}
	return append(dst, b.others[:]...)
}

func (b *budget) set(peers, locks int, src []byte) []byte {
	for i := range peers {
		src = src[copy(b.requests[i][:locks], src):]
	}
	return src[copy(b.others[:], src):]
}

// way says how a state was reached first.
type way struct {
	from int32 // index of the state before; -1 at the start
	step Step
}

// exploration is an Explorer at work. A state is a number, its place in ways,
// and while it is to be gone into, an encoding.
type exploration struct {
	Explorer
	net    *Network // set to one state after the other
	budget budget
	seen   map[sum]struct{}
	ways   []way // in the order in which states were reached
	report Report
	quiet  int // states in which nothing can happen by itself
	buf    []byte
}

// level is a list of states, encoded one after the other. Their places in ways
// follow each other.
type level struct {
	first  int32
	states []byte
	count  int
}

// Run explores.
func (e Explorer) Run() Report {
	x := exploration{Explorer: e, seen: make(map[sum]struct{})}
	if x.MaxStates == 0 {
		x.MaxStates = math.MaxInt32
	}
	begun := time.Now()
	if err := x.start(); err != nil {
		x.report.Failure = &Failure{Config: x.Config, Reason: err}
	} else {
		x.run()
	}
	x.report.States = len(x.ways)
	x.report.Elapsed = time.Since(begun)
	return x.report
}

func (x *exploration) start() error {
	n, err := NewNetwork(x.Config)
	if err != nil {
		return err
	}
	x.net = n
	if x.Met {
		if err := n.MakeContact(); err != nil {
			return err
		}
	}
	n.remember()
	x.budget.others = [...]uint8{Cancel: uint8(x.Cancels), Restart: uint8(x.Restarts), Lose: uint8(x.Losses),
		Wipe: uint8(x.Wipes), Replace: uint8(x.Replaces), Down: uint8(x.Downs), Leave: uint8(x.Leaves), Pass: uint8(x.Passes)}
	for i := range n.peers {
		for l := range n.locks {
			if x.Askers == 0 || i < x.Askers {
				x.budget.requests[i][l] = uint8(x.Requests)
			}
		}
	}
	return nil
}

func (x *exploration) run() {
	var next level
	x.reach(way{from: -1}, &next)
	for next.count > 0 {
		if len(x.ways) >= x.MaxStates {
			x.settle(next)
			return
		}
		this := next
		next = level{first: this.first + int32(this.count)}
		rest := this.states
		for i := range this.count {
			var ok bool
			if rest, ok = x.expand(this.first+int32(i), rest, &next); !ok {
				return
			}
		}
		if next.count > 0 {
			x.report.Depth++
		}
	}
	x.report.Complete = true
}

// reach takes note of the state that the network is in, if it is new.
func (x *exploration) reach(w way, next *level) {
	x.buf = x.budget.append(len(x.net.peers), len(x.net.locks), x.net.appendState(x.buf[:0]))
	id := x.net.memo.hash.sum(x.buf)
	if _, old := x.seen[id]; old {
		return
	}
	x.seen[id] = struct{}{}
	x.ways = append(x.ways, w)
	next.states = append(next.states, x.buf...)
	next.count++
}

// load sets the network to the first state of b and returns the rest.
func (x *exploration) load(b []byte) []byte {
	return x.budget.set(len(x.net.peers), len(x.net.locks), x.net.setState(b))
}

// expand takes every step from the first state in b, whose place is at. It
// returns the rest of b, and false if a rule was broken.
func (x *exploration) expand(at int32, b []byte, next *level) (rest []byte, ok bool) {
	rest = x.load(b)
	var steps [maxSteps]Step
	quiet := true // nothing can happen by itself
	moved := false
	for _, s := range x.net.Enabled(steps[:0]) {
		quiet = quiet && !s.Op.fair()
		if moved {
			x.load(b)
		}
		if moved = x.budget.spend(s); !moved {
			continue
		}
		if _, err := x.net.Do(s); err != nil {
			x.report.Failure = x.failure(way{from: at, step: s}, err)
			return rest, false
		}
		x.report.Transitions++
		x.reach(way{from: at, step: s}, next)
	}
	if quiet {
		if err := x.checkQuiet(b); err != nil {
			x.report.Failure = x.failure(way{from: at}, err)
			return rest, false
		}
	}
	return rest, true
}

// checkQuiet checks that nobody waits in a state in which nothing can happen by
// itself; or, if time can, that everybody gets in when it does: in some of
// those states, for that takes long.
func (x *exploration) checkQuiet(b []byte) error {
	const every = 1000
	x.load(b)
	if x.TTL == 0 {
		return x.net.checkServed()
	}
	if x.quiet++; x.quiet%every != 1 {
		return nil
	}
	x.report.Settled++
	return x.net.Settle(settleLimit, nil)
}

// maxSteps is more than the steps of a small network at one time.
const maxSteps = 64

// settle checks that from the states of a level everybody gets in.
func (x *exploration) settle(l level) {
	const most = 1000
	every := max(1, l.count/most)
	rest := l.states
	for i := range l.count {
		rest = x.load(rest)
		if i%every != 0 {
			continue
		}
		x.report.Settled++
		if err := x.net.Settle(settleLimit, nil); err != nil {
			x.report.Failure = x.failure(way{from: l.first + int32(i)}, err)
			return
		}
	}
}

// failure retraces the way to a state; the last step is zero if the state
// itself is at fault.
func (x *exploration) failure(last way, reason error) *Failure {
	f := &Failure{Config: x.Config, Reason: reason}
	if x.Met {
		if n, err := NewNetwork(x.Config); err == nil {
			f.Steps, _ = n.meet()
		}
	}
	met := len(f.Steps)
	for w := last; ; w = x.ways[w.from] {
		if w.step.Op != 0 {
			f.Steps = append(f.Steps, w.step)
		}
		if w.from < 0 {
			break
		}
	}
	slices.Reverse(f.Steps[met:])
	f.Settle = last.step.Op == 0
	return f
}
