package check

import (
	"time"

	"github.com/conchlock/conch/internal/trace"
)

// offsets is what can be said of the peers' clocks: that of one is ahead of
// another's by at most the time between the two lines of a message. It keeps
// all of these and asks each time whether there are clocks that fit.
type offsets struct {
	peers  int
	atMost []difference
	back   bool // somebody's own clock has been set back
}

// difference says that to's clock is ahead of from's by at most d.
type difference struct {
	from, to int
	d        time.Duration
}

func newOffsets(g *graph) *offsets {
	k := &offsets{peers: len(g.peers)}
	who := make([]int, len(g.nodes))
	for peer, nodes := range g.peers {
		for _, i := range nodes {
			who[i] = peer
		}
	}
	for i, n := range g.nodes {
		if n.prev >= 0 && n.At.Before(g.nodes[n.prev].At) {
			k.back = true
		}
		if n.sent >= 0 {
			k.atMost = append(k.atMost, difference{who[n.sent], who[i], n.At.Sub(g.nodes[n.sent].At)})
		}
	}
	return k
}

// possible says that there are clocks that fit all that is known, and more
// (Bellman and Ford: to lower an offset that is too large ends, or never does).
func (k *offsets) possible(more ...difference) bool {
	ahead := make([]time.Duration, k.peers)
	for range k.peers + 1 {
		fits := true
		for _, list := range [...][]difference{k.atMost, more} {
			for _, x := range list {
				if limit := ahead[x.from] + x.d; ahead[x.to] > limit {
					ahead[x.to], fits = limit, false
				}
			}
		}
		if fits {
			return true
		}
	}
	return false
}

// after says that x was over when y began, whatever the clocks were.
func (k *offsets) after(x, y stayed, began time.Time) bool {
	if x.over.IsZero() || !k.possible() {
		return false
	}
	return !k.possible(difference{y.who, x.who, x.over.Sub(began) - 1})
}

// over says when h was over at the latest.
func (g *graph) over(h *stayed) time.Time {
	switch {
	case !h.leased || h.how == unseen || h.how == unended:
		return time.Time{}
	case h.how == exited, h.how == lost && g.nodes[h.end].At.Before(h.deadline):
		return g.nodes[h.end].At
	}
	return h.deadline
}

// extend takes an extension; inside is the index of the peer's hold, plus one.
func (g *graph) extend(inside int, e *node, set func(rule, Verdict)) {
	if inside == 0 {
		set(requests, False)
		return
	}
	h := &g.holds[inside-1]
	switch until := e.At.Add(e.Lease); {
	case uint64(e.Token) != h.token:
		set(tokens, False)
	case !h.leased || until.After(h.deadline):
		h.leased, h.deadline = true, until
	}
}

// order says for each two holds whether the first was over when the second
// began, by messages, by the clocks, or since it was so with others between.
func (g *graph) order(clocks *offsets) [][]bool {
	n := len(g.holds)
	first := make([][]bool, n)
	for i, a := range g.holds {
		first[i] = make([]bool, n)
		for j, b := range g.holds {
			first[i][j] = i != j && a.lock == b.lock && (g.ordered(a, b) || clocks.after(a, b, g.nodes[b.enter].At))
		}
	}
	for via := range n {
		for i := range n {
			for j := range n {
				first[i][j] = first[i][j] || first[i][via] && first[via][j]
			}
		}
	}
	return first
}

// compareLeased judges two holds that no message puts one after the other.
func (g *graph) compareLeased(a, b stayed, clocks *offsets, set func(rule, Verdict)) Verdict {
	if g.together(a, b) || g.together(b, a) {
		return False
	}
	if clocks.after(b, a, g.nodes[a.enter].At) {
		a, b = b, a
	} else if !clocks.after(a, b, g.nodes[b.enter].At) {
		return Unknown
	}
	if b.token < a.token {
		set(tokens, Unknown)
	}
	return ""
}

// together says that in every order that the messages allow, somebody was
// inside when another entered: a was still there when it knew of b, and b had
// not left before a came.
func (g *graph) together(a, b stayed) bool {
	stillThere := func(x, y stayed) bool { return x.how == exited && g.before[y.enter][x.end] }
	return stillThere(a, b) && (g.before[a.enter][b.enter] || stillThere(b, a))
}

// fate is what a report must say of a hold that ended without an exit.
type fate struct {
	lock  string
	peer  string
	token uint64
	how   string
	next  string
	after int64
}

// fates lists them, for a run in which no token comes twice.
func (g *graph) fates() map[fate]bool {
	list := make(map[fate]bool)
	for _, h := range g.holds {
		var from time.Time
		how := "killed"
		switch {
		case h.how == lost && h.leased:
			how, from = "lost", h.over
		case h.how == lost:
			how, from = "lost", g.nodes[h.end].At
		case h.how != died || g.nodes[h.end].Kind == trace.Stop:
			continue
		case g.nodes[h.end].Kind == trace.Crash:
			from = g.nodes[h.end].At
		default:
			from = g.nodes[g.nodes[h.end].prev].At
		}
		x := fate{lock: h.lock, peer: string(g.nodes[h.enter].Peer), token: h.token, how: how}
		least := uint64(0)
		for _, other := range g.holds {
			if e := &g.nodes[other.enter]; other.lock == h.lock && other.token > h.token && (least == 0 || other.token < least) {
				least, x.next, x.after = other.token, string(e.Peer), e.At.Sub(from).Nanoseconds()
			}
		}
		list[x] = true
	}
	return list
}

// withHolds collects the holds and judges nothing.
func (g *graph) withHolds() *graph {
	g.turns(func(rule, Verdict) {})
	return g
}
