package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// kind is a kind of fault.
type kind struct {
	name   string
	holder bool // its first victim is inside, else it is not
	more   int  // victims besides the first that do not know of their luck
	advice string
	cuts   bool // it needs a network to cut
	disks  bool // it needs a disk to fill
	gossip bool // it needs peers that find each other
	peers  int  // it needs so many peers, so that a majority remains
	all    bool // there is no majority while it lasts
	ends   bool // its last victim orders holds to end
	strike func(ctx context.Context, a *arena, r *round) error
	heal   func(ctx context.Context, a *arena, r *round) error
}

var kinds = []kind{
	{name: "kill the holder", holder: true, strike: killVictims, heal: startVictims},
	{name: "stop the holder", holder: true, advice: again, strike: stopVictims, heal: resumeVictims},
	{name: "cut the holder off", holder: true, advice: stay, cuts: true, strike: cutOff(true, true), heal: healCuts},
	{name: "kill another", strike: killVictims, heal: startVictims},
	{name: "stop another", strike: stopVictims, heal: resumeVictims},
	{name: "cut another off", cuts: true, strike: cutOff(true, true), heal: healCuts},
	{name: "nothing comes from the holder", holder: true, advice: stay, cuts: true, strike: cutOff(true, false), heal: healCuts},
	{name: "nothing reaches the holder", holder: true, advice: stay, cuts: true, strike: cutOff(false, true), heal: healCuts},
	{name: "nothing comes from another", cuts: true, strike: cutOff(true, false), heal: healCuts},
	{name: "nothing reaches another", cuts: true, strike: cutOff(false, true), heal: healCuts},
	{name: "cut two from each other", more: 1, cuts: true, strike: cutPair(true), heal: healCuts},
	{name: "cut one way between two", more: 1, cuts: true, strike: cutPair(false), heal: healCuts},
	{name: "kill the holder and another", holder: true, more: 1, peers: 5, strike: killVictims, heal: startVictims},
	{name: "stop the holder, kill another", holder: true, more: 1, advice: again, peers: 5, strike: stopAndKill, heal: resumeAndStart},
	{name: "kill and start again on a full disk", disks: true, strike: fullDisk, heal: roomAgain},
	{name: "kill, and lose the directory on a full disk", disks: true, strike: lostDisk, heal: roomAgain},
	{name: "a peer is held for dead", cuts: true, gossip: true, strike: cutGossip, heal: healCuts},
	{name: "the holder is held for dead", holder: true, cuts: true, gossip: true, strike: cutGossip, heal: healCuts},
	{name: "order holds to end", ends: true, strike: toggleOrders, heal: toggleOrders},
	{name: "stop the holder, order holds to end", holder: true, more: 1, advice: again, ends: true, strike: stopAndOrder, heal: resumeAndOrderNoMore},
	{name: "kill all", all: true, strike: killAll, heal: startVictims},
}

// round is one fault of a run.
type round struct {
	kind
	lock   string        // whose holder it is about
	lasts  time.Duration // until it is healed
	random *rand.Rand    // for what depends on who is inside

	victims []int
	token   uint64 // of the holder
	began   time.Time
	healed  time.Time
	settled time.Time // when everybody had been inside again
}

func (r *round) String() string {
	lock := ""
	if r.holder {
		lock = " of " + r.lock
	}
	return fmt.Sprintf("%s%s, for %s", r.name, lock, r.lasts.Round(time.Millisecond))
}

// roundTakes is how long a round takes, about: the fault, and until everybody
// has been inside again and knows what it has promised.
const roundTakes = 7 * ttl / 2

// place says what there is to fail.
type place struct{ cuts, disks, gossip bool }

// plan draws rounds for a time: all kinds that are possible, in random order,
// and then again.
func plan(random *rand.Rand, atMost time.Duration, peers int, locks []string, has place) []*round {
	var rounds, deck []*round
	for range max(1, int(atMost/roundTakes)) {
		if len(deck) == 0 {
			for _, k := range kinds {
				if k.cuts && !has.cuts || k.disks && !has.disks || k.gossip && !has.gossip || k.peers > peers {
					continue
				}
				deck = append(deck, &round{kind: k})
			}
			random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		r := deck[0]
		deck = deck[1:]
		r.lock = locks[random.IntN(len(locks))]
		r.lasts = 3*ttl/2 + time.Duration(random.Int64N(int64(3*ttl/2)))
		r.random = rand.New(rand.NewPCG(random.Uint64(), 0))
		rounds = append(rounds, r)
	}
	return rounds
}

func killVictims(_ context.Context, a *arena, r *round) error {
	return each(r, func(v int) error { return a.kill(a.peers[v]) })
}

func startVictims(ctx context.Context, a *arena, r *round) error {
	return each(r, func(v int) error { return a.begin(ctx, a.peers[v]) })
}

func stopVictims(_ context.Context, a *arena, r *round) error {
	return each(r, func(v int) error { return a.peers[v].pause() })
}

func resumeVictims(_ context.Context, a *arena, r *round) error {
	return each(r, func(v int) error { return a.peers[v].resume() })
}

func stopAndKill(_ context.Context, a *arena, r *round) error {
	return errors.Join(a.peers[r.victims[0]].pause(), a.kill(a.peers[r.victims[1]]))
}

func resumeAndStart(ctx context.Context, a *arena, r *round) error {
	return errors.Join(a.peers[r.victims[0]].resume(), a.begin(ctx, a.peers[r.victims[1]]))
}

// toggleOrders has the last victim begin to order holds to end, all the time, or cease.
func toggleOrders(_ context.Context, a *arena, r *round) error {
	return a.peers[r.victims[len(r.victims)-1]].cmd.Process.Signal(syscall.SIGUSR2)
}

func stopAndOrder(ctx context.Context, a *arena, r *round) error {
	return errors.Join(a.peers[r.victims[0]].pause(), toggleOrders(ctx, a, r))
}

func resumeAndOrderNoMore(ctx context.Context, a *arena, r *round) error {
	return errors.Join(a.peers[r.victims[0]].resume(), toggleOrders(ctx, a, r))
}

func killAll(_ context.Context, a *arena, r *round) error {
	r.victims = nil
	for v := range a.peers {
		r.victims = append(r.victims, v)
	}
	return each(r, func(v int) error { return a.kill(a.peers[v]) })
}

// cutOff cuts the victim off from all others: what it sends, or what is sent to
// it, or both.
func cutOff(out, in bool) func(context.Context, *arena, *round) error {
	return func(_ context.Context, a *arena, r *round) error {
		var errs []error
		for o := range a.peers {
			if v := r.victims[0]; o != v {
				if out {
					errs = append(errs, a.ground.cut(v, o))
				}
				if in {
					errs = append(errs, a.ground.cut(o, v))
				}
			}
		}
		return errors.Join(errs...)
	}
}

// cutPair cuts two peers from each other, who both reach the rest.
func cutPair(both bool) func(context.Context, *arena, *round) error {
	return func(_ context.Context, a *arena, r *round) error {
		err := a.ground.cut(r.victims[0], r.victims[1])
		if both {
			err = errors.Join(err, a.ground.cut(r.victims[1], r.victims[0]))
		}
		return err
	}
}

// cutGossip cuts the victim's gossip off from all others, and leaves its links: the
// others soon hold it for dead, and it holds them for dead.
func cutGossip(_ context.Context, a *arena, r *round) error {
	var errs []error
	for o := range a.peers {
		if v := r.victims[0]; o != v {
			errs = append(errs, a.ground.cutGossip(v, o), a.ground.cutGossip(o, v))
		}
	}
	return errors.Join(errs...)
}

func healCuts(_ context.Context, a *arena, _ *round) error { return a.ground.heal() }

// fullDisk kills a peer whose disk is full and starts it again. It may run or
// refuse to; if it ends, it must do so by itself and say why.
func fullDisk(ctx context.Context, a *arena, r *round) error {
	p := a.peers[r.victims[0]]
	if err := errors.Join(a.ground.fill(p.name), a.kill(p), a.start(p)); err != nil {
		return err
	}
	select {
	case <-p.joined:
		a.say("%s runs on a full disk", p.name)
	case <-p.ended:
		a.say("%s refuses a full disk: %s", p.name, tail(p.log, 1))
	case <-ctx.Done():
		return fmt.Errorf("%s neither joins nor ends on a full disk", p.name)
	}
	return nil
}

// lostDisk kills a peer, and takes its directory away: with a full disk there
// can be no new one, so the peer must refuse to start.
func lostDisk(ctx context.Context, a *arena, r *round) error {
	p := a.peers[r.victims[0]]
	err := errors.Join(a.kill(p), os.RemoveAll(p.task.Config.Dir), a.ground.fill(p.name), a.start(p))
	if err != nil {
		return err
	}
	select {
	case <-p.joined:
		return fmt.Errorf("%s runs though it could not write down its first incarnation", p.name)
	case <-p.ended:
		a.say("%s refuses a full disk: %s", p.name, tail(p.log, 1))
	case <-ctx.Done():
		return fmt.Errorf("%s neither joins nor ends on a full disk", p.name)
	}
	return nil
}

// roomAgain makes room and starts the victim if it has ended.
func roomAgain(ctx context.Context, a *arena, r *round) error {
	p := a.peers[r.victims[0]]
	if err := a.ground.empty(p.name); err != nil || p.up() {
		return err
	}
	return errors.Join(a.crashed(p, "its disk was full"), a.begin(ctx, p))
}

// each does something to every victim.
func each(r *round, do func(v int) error) error {
	var errs []error
	for _, v := range r.victims {
		errs = append(errs, do(v))
	}
	return errors.Join(errs...)
}
