package check

import (
	"time"

	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// oracle judges a whole trace at once, in the most obvious way: it builds the
// graph of all events, closes it over, and compares every pair of holds. It
// expects a record that is whole and in order.
func oracle(t tracetest.Trace) *judgement {
	j := &judgement{graph: newGraph(t)}
	j.turns(j.set)
	clocks := newOffsets(j.graph)
	j.contradict = clocks.back || !clocks.possible()
	order := j.order(clocks)
	for i, a := range j.holds {
		for k, b := range j.holds[:i] {
			if a.lock != b.lock {
				continue
			}
			v := j.compare(b, a, clocks, j.set)
			j.set(exclusion, v)
			if v == False || v == Unknown && !order[i][k] && !order[k][i] && j.chained != False {
				j.chained = v
			}
		}
	}
	j.links(j.set)
	return j
}

// judgement is what the oracle thinks of a run.
type judgement struct {
	*graph
	worst [ruleCount]Verdict

	// chained is the verdict on exclusion of whoever infers that two holds were
	// one after the other from a third that was between them. The checker can,
	// if it comes across the third in time; so both answers are right.
	chained    Verdict
	contradict bool // the clocks cannot all have run at one rate
}

func (j *judgement) set(r rule, v Verdict) {
	if j.worst[r] != False && v != "" {
		j.worst[r] = v
	}
}

// allows says whether v is a right answer to r.
func (j *judgement) allows(r rule, v Verdict) bool {
	right := func(want Verdict) bool { return v == want || want == "" && v == True }
	switch {
	case j.worst[r] == False:
		return v == False
	case (r == exclusion || r == tokens) && j.contradict:
		return v != False
	case r == exclusion && right(j.chained):
		return true
	case r == tokens && j.worst[exclusion] != "" && v == True:
		return true // a doubt that only clocks raise is not looked for behind a doubt about exclusion
	}
	return right(j.worst[r])
}

// node is an event with all that happened before it.
type node struct {
	trace.Event
	prev, sent int // indexes of the event before it and of its send; -1
}

type graph struct {
	nodes  []node
	before [][]bool // before[i][j]: i happened before j, or is j
	peers  map[int][]int
	holds  []stayed
}

type stayed struct {
	lock       string
	enter, end int // end: the exit, the loss, or the start that shows a death; -1
	how        ending
	who        int
	token      uint64

	leased    bool
	givenBack bool      // its caller did not know of it
	deadline  time.Time // by the holder's clock, as all times here
	over      time.Time // when it was over at the latest; zero: nobody knows
}

func newGraph(t tracetest.Trace) *graph {
	g := &graph{peers: make(map[int][]int)}
	sends := make(map[trace.MessageID]int)
	for k, name := range t.Names() {
		prev := -1
		for _, e := range t[name] {
			i := len(g.nodes)
			g.nodes = append(g.nodes, node{Event: e, prev: prev, sent: -1})
			g.peers[k] = append(g.peers[k], i)
			if e.Kind == trace.Send {
				sends[e.Message.ID] = i
			}
			prev = i
		}
	}
	for i := range g.nodes {
		if n := &g.nodes[i]; n.Kind == trace.Receive {
			n.sent = sends[n.Message.ID]
		}
	}
	g.before = make([][]bool, len(g.nodes))
	for i := range g.nodes {
		g.before[i] = make([]bool, len(g.nodes))
	}
	for j := range g.nodes {
		g.past(j, g.before)
	}
	return g
}

// past marks everything before j, by walking back.
func (g *graph) past(j int, before [][]bool) {
	todo := []int{j}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if i < 0 || before[i][j] {
			continue
		}
		before[i][j] = true
		todo = append(todo, g.nodes[i].prev, g.nodes[i].sent)
	}
}

// turns walks through each peer's events of each lock and collects the holds.
func (g *graph) turns(set func(rule, Verdict)) {
	for k := range len(g.peers) {
		asking := map[string]bool{}
		inside := map[string]int{} // index into holds, plus one
		leave := func(lock string, end int, how ending) {
			h := &g.holds[inside[lock]-1]
			h.end, h.how = end, how
			h.over = g.over(h)
			inside[lock] = 0
		}
		for _, i := range g.peers[k] {
			e := &g.nodes[i]
			switch e.Kind {
			case trace.Request:
				if asking[e.Lock] || inside[e.Lock] > 0 {
					set(requests, False)
				}
				asking[e.Lock] = true
			case trace.Cancel, trace.Enter:
				if !asking[e.Lock] {
					set(requests, False)
				}
				asking[e.Lock] = false
				if e.Kind == trace.Enter {
					if inside[e.Lock] > 0 {
						set(exclusion, False)
						leave(e.Lock, -1, unseen)
					}
					g.holds = append(g.holds, stayed{
						lock: e.Lock, enter: i, end: -1, how: unended, who: k, token: uint64(e.Token),
						leased: e.Lease > 0, deadline: e.At.Add(e.Lease),
					})
					inside[e.Lock] = len(g.holds)
				}
			case trace.Extend:
				g.extend(inside[e.Lock], e, set)
			case trace.Exit, trace.Lost:
				if inside[e.Lock] == 0 {
					set(requests, False)
					continue
				}
				if g.holds[inside[e.Lock]-1].token != uint64(e.Token) {
					set(tokens, False)
				}
				how := exited
				if e.Kind == trace.Lost {
					how = lost
				}
				g.holds[inside[e.Lock]-1].givenBack = e.Reason == trace.GivenBack
				leave(e.Lock, i, how)
			case trace.Start, trace.Stop, trace.Crash:
				for lock, h := range inside {
					if h > 0 {
						leave(lock, i, died)
						if e.Kind == trace.Stop {
							set(requests, False)
						}
					}
				}
				for lock := range asking {
					if asking[lock] && e.Kind == trace.Stop {
						set(requests, False)
					}
					asking[lock] = false
				}
			}
		}
	}
}

// compare judges two holds of one lock: their tokens, and whether they were
// one after the other, which it returns.
func (g *graph) compare(a, b stayed, clocks *offsets, set func(rule, Verdict)) Verdict {
	knew, known := g.before[a.enter][b.enter], g.before[b.enter][a.enter]
	if a.token == b.token || knew && b.token < a.token || known && a.token < b.token {
		set(tokens, False)
	}
	if g.ordered(a, b) || g.ordered(b, a) {
		return ""
	}
	if a.leased || b.leased {
		return g.compareLeased(a, b, clocks, set)
	}
	switch {
	case a.how == exited && b.how == exited, a.how == exited && knew, b.how == exited && known:
		return False
	}
	return Unknown
}

// ordered says that messages show that x was over when y began.
func (g *graph) ordered(x, y stayed) bool {
	return x.how != unseen && x.end >= 0 && g.before[x.end][y.enter]
}

// links judges every pair of messages between two peers.
func (g *graph) links(set func(rule, Verdict)) {
	receipts := map[trace.MessageID]int{}
	dropped := map[trace.MessageID]bool{}
	for i := range g.nodes {
		n := &g.nodes[i]
		switch n.Kind {
		case trace.Receive:
			if _, ok := receipts[n.Message.ID]; ok {
				set(fifo, False)
			}
			receipts[n.Message.ID] = i
		case trace.Drop:
			dropped[n.Message.ID] = true
		}
	}
	for i := range g.nodes {
		s := &g.nodes[i]
		if s.Kind != trace.Send || dropped[s.Message.ID] {
			continue
		}
		for j := i + 1; j < len(g.nodes); j++ {
			later := &g.nodes[j]
			if later.Kind != trace.Send || later.Peer != s.Peer || later.Message.To != s.Message.To || later.Incarnation != s.Incarnation {
				continue
			}
			rl, ok := receipts[later.Message.ID]
			if !ok {
				continue
			}
			rs, ok := receipts[s.Message.ID]
			switch {
			case ok && rs > rl:
				set(fifo, False)
			case ok:
			case g.firstHeard(rl): // s may have gone to an earlier incarnation
			case !g.stopped(s):
				set(fifo, Unknown)
			default:
				set(fifo, False)
			}
			if !ok {
				break // the first one received after s decides
			}
		}
	}
}

// firstHeard says that r is the first receipt from its sender in an
// incarnation of the receiver that is not its first.
func (g *graph) firstHeard(r int) bool {
	starts := 0
	for i := range g.nodes {
		switch n := &g.nodes[i]; {
		case n.Peer != g.nodes[r].Peer:
		case i == r:
			return starts > 1
		case n.Kind == trace.Start:
			starts++
		case n.Kind == trace.Receive && n.Message.From == g.nodes[r].Message.From && n.Incarnation == g.nodes[r].Incarnation:
			return false
		}
	}
	return false
}

// stopped says that the incarnation which sent s has stopped.
func (g *graph) stopped(s *node) bool {
	for i := range g.nodes {
		if n := &g.nodes[i]; n.Kind == trace.Stop && n.Peer == s.Peer && n.Incarnation == s.Incarnation {
			return true
		}
	}
	return false
}
