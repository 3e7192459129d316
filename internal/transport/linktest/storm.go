package linktest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
)

// storm is a run of a and b under every fault there is. It keeps all their
// incarnations, to compare at the end what was sent with what came.
type storm struct {
	t     *testing.T
	n     Network
	r     *rand.Rand
	tide  bool                         // a and b come and go
	lives map[algo.PeerName][]*Handler // in order of incarnation, from 1
	stop  map[algo.PeerName]func()
}

// Storm has two acts: faults of all kinds, drawn from the seed, with up to the
// given time between them; then everything is healed, and what is sent must
// arrive. Over each link must have come a prefix of what was sent on it, over
// the last ones all.
func Storm(t *testing.T, n Network, seed uint64, between time.Duration) {
	s := &storm{t: t, n: n, r: rand.New(rand.NewPCG(seed, 77))}
	s.run(between)
}

// Tide is a Storm in which each of the two takes the other for gone again and
// again, and finds it again, without the other's knowing.
func Tide(t *testing.T, n Network, seed uint64, between time.Duration) {
	s := &storm{t: t, n: n, r: rand.New(rand.NewPCG(seed, 78)), tide: true}
	s.run(between)
}

func (s *storm) run(between time.Duration) {
	n := s.n
	s.lives, s.stop = make(map[algo.PeerName][]*Handler), make(map[algo.PeerName]func())
	s.start("a")
	s.start("b")
	for range 40 {
		s.fault()
		if between > 0 {
			<-time.After(time.Duration(s.r.Int64N(int64(between))))
		}
		s.send("a", "b", s.r.IntN(60))
		s.send("b", "a", s.r.IntN(60))
	}
	n.Heal("a", "b")
	n.Heal("b", "a")
	a, b := s.now("a"), s.now("b")
	if s.tide {
		a.Add("b")
		b.Add("a")
	}
	lastContact(a, "b", algo.Incarnation(len(s.lives["b"])))
	lastContact(b, "a", algo.Incarnation(len(s.lives["a"])))
	for range 2 { // what the first packets find out may begin a last session
		calm(a, b)
		calm(b, a)
	}
	s.compare("a", "b")
	s.compare("b", "a")
}

func (s *storm) now(name algo.PeerName) *Handler { return s.lives[name][len(s.lives[name])-1] }

func (s *storm) start(name algo.PeerName) {
	h := NewHandler(s.t, name)
	h.OnContact = func(peer algo.PeerName, _ node.Link) { h.Send(peer, 3) }
	s.lives[name] = append(s.lives[name], h)
	cfg := small(brief(Config(name, algo.Incarnation(len(s.lives[name])))))
	if s.tide {
		cfg = opened(cfg, "c") // which is not there: a and b may both be removed
	}
	s.stop[name] = StartWith(s.t, s.n, cfg, false, h)
	if s.tide {
		h.Add(other(name))
	}
}

func other(name algo.PeerName) algo.PeerName {
	if name == "a" {
		return "b"
	}
	return "a"
}

func (s *storm) fault() {
	from := []algo.PeerName{"a", "b"}[s.r.IntN(2)]
	to := other(from)
	if s.tide && s.r.IntN(2) == 0 {
		s.turn(s.now(from), to)
		return
	}
	switch s.r.IntN(10) {
	case 0:
		s.n.Crash(from)
		s.stop[from]()
		s.start(from)
	case 1:
		s.stop[from]()
		s.start(from)
	case 2:
		s.n.Cut(from, to)
	case 3:
		s.n.Stall(from, to)
	case 4, 5:
		s.n.CutAfter(from, to, s.r.IntN(300))
	default:
		s.n.Heal(from, to)
	}
}

// turn lets a peer go or come, or both: then the other may not notice.
func (s *storm) turn(h *Handler, other algo.PeerName) {
	if what := s.r.IntN(4); what > 0 {
		h.Remove(other)
		if what == 1 {
			return
		}
	}
	h.Add(other)
}

// send sends on the present link, if there is one.
func (s *storm) send(from, to algo.PeerName, count int) {
	if h := s.now(from); h.Peer(to).Link != nil {
		h.Send(to, count)
	}
}

// compare holds what came from a peer against what it has sent, and what the
// peer was told about having been known against the contacts of the other.
func (s *storm) compare(from, to algo.PeerName) {
	s.t.Helper()
	for incarnation := range s.lives[from] {
		s.compareLife(from, to, algo.Incarnation(incarnation+1))
	}
	if !s.tide { // else what was known is forgotten again and again
		s.compareKnown(from, to)
	}
	last := s.now(to).Peer(from).Sessions
	if got, sent := last[len(last)-1], s.now(from).Peer(to).Sessions; len(got.Received) != len(sent[len(sent)-1].Sent) {
		s.t.Errorf("over the last link from %s came %d packets, sent were %d", from, len(got.Received), len(sent[len(sent)-1].Sent))
	}
}

// compareLife looks at what one incarnation has sent: on each link of a receiver
// has come the beginning of what was sent on one link, and on no other link of
// any receiver anything of that.
func (s *storm) compareLife(from, to algo.PeerName, incarnation algo.Incarnation) {
	s.t.Helper()
	sessions := s.lives[from][incarnation-1].Peer(to).Sessions
	came := make(map[int]bool) // what was sent on which of sessions
	for i, receiver := range s.lives[to] {
		for _, got := range receiver.Peer(from).Sessions {
			if got.Incarnation != incarnation || len(got.Received) == 0 {
				continue
			}
			k := slices.IndexFunc(sessions, func(sent Session) bool { return slices.Contains(sent.Sent, got.Received[0]) })
			if k < 0 {
				s.t.Errorf("%s/%d has got packets of %s/%d that were never sent: %v", to, i+1, from, incarnation, got.Received)
				continue
			}
			sent := sessions[k]
			if sent.Incarnation != algo.Incarnation(i+1) {
				s.t.Errorf("%s/%d has got packets that were for incarnation %d", to, i+1, sent.Incarnation)
			}
			if len(got.Received) > len(sent.Sent) || !slices.Equal(got.Received, sent.Sent[:len(got.Received)]) {
				s.t.Errorf("%s/%d has got from %s/%d %v, sent were %v", to, i+1, from, incarnation, got.Received, sent.Sent)
			}
			if came[k] {
				s.t.Errorf("%s has got %v of %s/%d on two links", to, got.Received, from, incarnation)
			}
			came[k] = true
		}
	}
}

func (s *storm) compareKnown(from, to algo.PeerName) {
	s.t.Helper()
	for i, life := range s.lives[from] {
		for _, c := range life.Peer(to).Contacts {
			others := s.lives[to][c.Incarnation-1].Peer(from).Contacts
			knew := slices.ContainsFunc(others, func(o Contact) bool { return o.Incarnation < algo.Incarnation(i+1) })
			if c.KnewMe != knew {
				s.t.Errorf("%s/%d was told that %s/%d knew it: %t, true is %t", from, i+1, to, c.Incarnation, c.KnewMe, knew)
			}
		}
	}
}

func small(cfg link.Config) link.Config {
	cfg.Limits = link.Limits{Packets: 100}
	return cfg
}
