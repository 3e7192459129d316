package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	chaosFor  = flag.Duration("chaos", 0, "how long peers are under fire, at most 10m; a few seconds if 0")
	chaosCuts = flag.Bool("cuts", false, "fail if no link can be cut here, instead of leaving that out")
	chaosSerf = flag.Bool("serf", false, "peers find each other by gossip; three vote, and a fourth comes and goes")
	chaosSeed = flag.Uint64("seed", 0, "decides the schedule of the faults; chance if 0")
)

const (
	briefly = 8 * time.Second  // without -chaos
	longest = 10 * time.Minute // with -timeout: go test ends a test after ten

	// settlesWithin is how long it may take after a fault until everybody has
	// been inside every lock: a TTL until leases to who is no more have run out
	// or who has started again may vote, one until links that were cut are up
	// again, one for a waiter that was not there, and some time for the queue.
	settlesWithin = 3*ttl + 2*time.Second
)

func TestMain(m *testing.M) {
	if text := os.Getenv(taskEnv); text != "" {
		if err := peerMain(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// arena is one run: the peers, the place where they live, and the resource.
type arena struct {
	t      *testing.T
	seed   uint64
	dir    string
	traces string
	socket string
	locks  []string
	ground *ground
	peers  []*process
	res    *resource
	pulse  *pulse
	rounds []*round // those that were played
	began  time.Time
}

// TestChaos puts peers under fire and judges what became of it.
func TestChaos(t *testing.T) {
	atMost := *chaosFor
	switch {
	case atMost == 0 && testing.Short():
		t.Skip("it takes seconds of real time; give -chaos, or leave out -short")
	case atMost == 0:
		atMost = briefly
	case atMost < 0 || atMost > longest:
		t.Fatalf("-chaos %s: use at most %s", atMost, longest)
	}
	a := &arena{t: t, seed: *chaosSeed, locks: []string{"north", "south"}}
	if a.seed == 0 {
		a.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	random := rand.New(rand.NewPCG(a.seed, 1))
	names := []string{"a", "b", "c", "d", "e"}[:3+random.IntN(3)]
	if *chaosSerf {
		names = []string{"a", "b", "c", "d"}
	}
	a.open(names)
	rounds := plan(random, atMost, len(names), a.locks, place{cuts: a.ground.cuts, disks: a.ground.disks, gossip: *chaosSerf})
	t.Logf("seed %d: %d peers, TTL %s, about %s", a.seed, len(names), ttl, atMost)
	for i, r := range rounds {
		t.Logf("%3d. %s", i+1, r)
	}
	if a.play(rounds, atMost); t.Failed() {
		a.askAll()
	}
	if err := a.stopAll(); err != nil {
		t.Error(err)
	}
	a.killAll()
	a.res.close()
	a.judge()
	if t.Failed() {
		for _, p := range a.peers {
			t.Logf("the end of %s:\n%s", p.log, tail(p.log, 4))
		}
	}
}

// open makes the place and the peers. What it opens is closed with the test.
func (a *arena) open(names []string) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		a.t.Fatal(err)
	}
	a.dir, a.traces, a.socket = dir, filepath.Join(dir, "traces"), filepath.Join(dir, "resource")
	a.t.Cleanup(func() {
		if a.t.Failed() {
			a.t.Logf("traces and logs are kept: %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			a.t.Error(err)
		}
	})
	if err := os.Mkdir(a.traces, 0o755); err != nil {
		a.t.Fatal(err)
	}
	var without string
	if a.ground, without = newGround(a.t, dir, names); without != "" && *chaosCuts {
		a.t.Fatalf("no link can be cut: %s", without)
	} else if without != "" {
		a.t.Logf("peers share the loopback and no link is cut: %s", without)
	}
	a.t.Cleanup(a.killAll) // before the ground is taken from under them
	a.res = newResource(a.t, a.socket, len(names), a.locks)
	a.pulse = newPulse(a.t)
	for i := range names {
		p, err := a.newProcess(i)
		if err != nil {
			a.t.Fatal(err)
		}
		a.peers = append(a.peers, p)
	}
}

func (a *arena) say(format string, args ...any) {
	a.t.Logf("%7.2f s  %s", time.Since(a.began).Seconds(), fmt.Sprintf(format, args...))
}

// play starts the peers and goes through the rounds, as far as time allows. It
// ends early at the first round that does not settle: after that nothing is as
// it should be.
func (a *arena) play(rounds []*round, atMost time.Duration) {
	a.began = time.Now()
	ctx, cancel := context.WithTimeout(a.t.Context(), endsWithin)
	defer cancel()
	for _, p := range a.peers {
		if err := a.begin(ctx, p); err != nil {
			a.t.Error(err)
			return
		}
	}
	if err := a.settle(a.began); err != nil {
		a.t.Errorf("at the start: %v", err)
		return
	}
	for i, r := range rounds {
		if i > 0 && time.Since(a.began) > atMost {
			a.say("time is over, %d rounds are left out", len(rounds)-i)
			return
		}
		if err := a.round(r); err != nil {
			a.t.Errorf("round %d, %s: %v", i+1, r, err)
			return
		}
		a.rounds = append(a.rounds, r)
		a.say("%d. %s: %s; everybody was inside again %s after it was healed", i+1, r.name, a.names(r.victims), round3(r.settled.Sub(r.healed)))
	}
}

// round plays one fault, heals it, and waits until everybody was inside again.
func (a *arena) round(r *round) error {
	ctx, cancel := context.WithTimeout(a.t.Context(), endsWithin+r.lasts)
	defer cancel()
	var v *visit
	if r.holder {
		var err error
		if v, err = a.res.catch(ctx, r.lock); err != nil {
			return err
		}
		r.victims, r.token = []int{v.peer}, v.token
	}
	a.choose(r)
	r.began = time.Now()
	err := r.strike(ctx, a, r)
	if v != nil {
		if r.advice == "" {
			r.advice = goOn
		}
		v.answer <- r.advice
	}
	if err != nil {
		return err
	}
	pause(ctx, r.lasts)
	if err := r.heal(ctx, a, r); err != nil {
		return err
	}
	r.healed = time.Now()
	if err := a.settle(r.healed); err != nil {
		return err
	}
	r.settled = time.Now()
	// Who has started again grants nothing for a TTL. Until then it is missing
	// in every majority, and the next fault may not make that one more.
	pause(ctx, time.Until(r.healed.Add(5*ttl/4)))
	return nil
}

// choose adds victims that are not inside, as far as that can be known.
func (a *arena) choose(r *round) {
	in := a.res.insiders()
	var others, rest []int
	for i := range a.peers {
		switch {
		case slices.Contains(r.victims, i):
		case in[i]:
			rest = append(rest, i)
		default:
			others = append(others, i)
		}
	}
	r.random.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	need := 1 + r.more - len(r.victims)
	r.victims = append(r.victims, append(others, rest...)[:need]...)
}

// settle waits until everybody has been inside every lock since a moment.
func (a *arena) settle(since time.Time) error {
	for {
		late := a.pulse.late(since, time.Now())
		ctx, cancel := context.WithDeadline(a.t.Context(), since.Add(settlesWithin+late))
		var missing []string
		err := a.res.await(ctx, func() bool {
			missing = missing[:0]
			for _, lock := range a.locks {
				for i, at := range a.res.books[lock].entered {
					if !at.After(since) {
						missing = append(missing, fmt.Sprintf("%s in %s", a.peers[i].name, lock))
					}
				}
			}
			return len(missing) == 0
		})
		cancel()
		if err == nil {
			return nil
		}
		if a.t.Context().Err() != nil || a.pulse.late(since, time.Now()) <= late {
			for _, p := range a.peers {
				if !p.up() {
					missing = append(missing, p.name+"'s process has ended")
				}
			}
			return fmt.Errorf("after %s these were not inside: %s", round3(time.Since(since)), strings.Join(missing, ", "))
		}
	}
}

// askAll has every peer write down what it knows.
func (a *arena) askAll() {
	for _, p := range a.peers {
		if p.up() {
			p.cmd.Process.Signal(syscall.SIGUSR1)
		}
	}
	pause(a.t.Context(), ttl/4)
}

func (a *arena) names(peers []int) string {
	var list []string
	for _, i := range peers {
		list = append(list, a.peers[i].name)
	}
	return strings.Join(list, ", ")
}

// round3 makes a duration short enough to read.
func round3(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
