package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/memory"
)

// notes takes down what clients of nodes see.
type notes struct {
	mu      sync.Mutex
	moment  int64
	history []op
}

// now returns a moment later than all before.
func (n *notes) now() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.moment++
	return n.moment
}

// add notes an op that returns now, unless its ret says otherwise.
func (n *notes) add(o op) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.moment++
	if o.ret == 0 {
		o.ret = n.moment
	}
	n.history = append(n.history, o)
}

// village is nodes on a network in memory, in virtual time.
type village struct {
	t         *testing.T
	algorithm string
	names     []algo.PeerName
	network   *memory.Network
	began     time.Time
	started   algo.Incarnation
	homes     []*home
	notes     notes
	using     sync.WaitGroup
}

// home is what a peer keeps over its crashes: it is a node.Memory.
type home struct {
	mu    sync.Mutex
	safe  algo.Time
	floor algo.Token
	node  *node.Node
}

func (h *home) Start() algo.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.safe
}

func (h *home) Raise(t algo.Time) (algo.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.safe = t + 1000
	return h.safe, nil
}

func (h *home) RaiseFloor(t algo.Token) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.floor = max(h.floor, t)
	return nil
}

// Keep keeps nothing: here every end is a crash.
func (h *home) Keep([]algo.Promise, algo.Instant) error { return nil }

// start starts a peer's next incarnation, and a client of it.
func (v *village) start(i int, random *rand.Rand) {
	v.started++
	h, name := v.homes[i], v.names[i]
	process, err := roster.New(v.algorithm)
	if err != nil {
		v.t.Fatal(err)
	}
	links := v.network.Config(name, v.started)
	links.Clock, links.TTL = h.Start(), ttlInMemory
	transport, err := v.network.TransportWith(links)
	if err != nil {
		v.t.Fatal(err)
	}
	h.node, err = node.Start(node.Config{
		Setup: algo.Setup{
			Self: name, Incarnation: v.started, Voters: v.names,
			Others: slices.DeleteFunc(slices.Clone(v.names), func(o algo.PeerName) bool { return o == name }),
			TTL:    algo.Duration(links.TTL), Linger: algo.Duration(links.TTL) / 4, Drift: 1000,
			Floor: h.floor,
		},
		New:       process,
		Clock:     func() algo.Instant { return algo.Instant(time.Since(v.began)) },
		Memory:    h,
		Transport: transport,
	})
	if err != nil {
		v.t.Fatal(err)
	}
	n, own := h.node, rand.New(rand.NewPCG(random.Uint64(), 0))
	v.using.Go(func() { v.use(i, n, own) })
}

// ttlInMemory is the TTL of nodes in memory.
const ttlInMemory = 5 * time.Second

// use wants the lock again and again, until its node is closed.
func (v *village) use(peer int, n *node.Node, random *rand.Rand) {
	upTo := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	for {
		<-time.After(upTo(100 * time.Millisecond))
		patience := time.Minute
		if random.IntN(8) == 0 {
			patience = upTo(50 * time.Millisecond)
		}
		call := v.notes.now()
		ctx, cancel := context.WithTimeout(v.t.Context(), patience)
		hold, err := n.Acquire(ctx, "x", node.About{})
		cancel()
		if errors.Is(err, node.ErrClosed) {
			return
		}
		if err != nil {
			v.notes.add(op{what: failed, peer: peer, call: call})
			continue
		}
		token := uint64(hold.Token())
		v.notes.add(op{what: locked, peer: peer, token: token, call: call})
		stay := upTo(30 * time.Millisecond)
		if random.IntN(40) == 0 {
			stay = upTo(2 * ttlInMemory)
		}
		select {
		case <-time.After(stay):
		case <-hold.Context().Done():
		}
		leave := v.notes.now()
		switch err := hold.Release(); {
		case err == nil:
			v.notes.add(op{what: unlocked, peer: peer, token: token, call: leave})
		case errors.Is(err, node.ErrClosed):
			v.notes.add(op{what: gone, peer: peer, token: token, call: call, ret: forever})
			return
		default:
			v.notes.add(op{what: lost, peer: peer, token: token, call: call})
		}
	}
}

// disturb crashes a peer, or cuts or stalls some ways, for a while.
func (v *village) disturb(random *rand.Rand) {
	lasts := time.Duration(random.Int64N(int64(2 * ttlInMemory)))
	i, j := random.IntN(len(v.names)), random.IntN(len(v.names)-1)
	if j >= i {
		j++
	}
	a, b := v.names[i], v.names[j]
	switch random.IntN(4) {
	case 0:
		v.network.Crash(a)
		v.homes[i].node.Close()
		<-time.After(lasts)
		v.start(i, random)
	case 1:
		v.network.Cut(a, b)
		<-time.After(lasts)
	case 2:
		v.network.Stall(a, b)
		<-time.After(lasts)
	default:
		for _, other := range v.names {
			if other != a {
				v.network.Stall(a, other)
				v.network.Stall(other, a)
			}
		}
		<-time.After(lasts)
	}
	for _, from := range v.names {
		for _, to := range v.names {
			if from != to {
				v.network.Heal(from, to)
			}
		}
	}
	<-time.After(time.Duration(random.Int64N(int64(2 * ttlInMemory))))
}

// What clients of nodes see is linearizable, whatever happens to the nodes and
// to the network between them.
func TestNodesAreLinearizable(t *testing.T) {
	ends := make(map[what]int)
	for _, algorithm := range roster.Names() {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("%s/seed=%d", algorithm, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := &village{t: t, algorithm: algorithm, began: time.Now(), names: []algo.PeerName{"a", "b", "c", "d", "e"}[:3+seed%3]}
					v.live(seed)
					for _, o := range v.notes.history {
						ends[o.what]++
					}
					if got := linearizable(v.notes.history, time.Minute); got != porcupine.Ok {
						t.Errorf("%d operations: %s", len(v.notes.history), got)
					}
				})
			})
		}
	}
	if ends[locked] < 2000 || ends[failed] == 0 || ends[gone] == 0 || ends[lost] == 0 {
		t.Errorf("the runs show too little: %v", ends)
	}
	t.Logf("%d locks, %d of them lost and %d ended by a crash; %d locks were given up", ends[locked], ends[lost], ends[gone], ends[failed])
}

// live plays a run from its seed.
func (v *village) live(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	v.network = memory.NewNetwork(seed, v.names...)
	for i := range v.names {
		v.homes = append(v.homes, &home{})
		v.start(i, random)
	}
	for range 12 {
		v.disturb(random)
	}
	for _, h := range v.homes {
		h.node.Close()
	}
	v.using.Wait()
}
