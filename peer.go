package conch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/board"
	"github.com/conchlock/conch/internal/clock"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/state"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/transport"
)

// start opens what the peer consists of, from the bottom up. What was opened
// when it fails is in p.release.
func (p *Peer) start(ctx context.Context, cfg Config) error {
	kept, err := p.openState(cfg)
	if err != nil {
		return err
	}
	recorder, logger, err := p.openTrace(cfg)
	if err != nil {
		return err
	}
	addrs := make(map[algo.PeerName]string, len(p.addrs))
	for name, addr := range p.addrs {
		addrs[algo.PeerName(name)] = addr
	}
	process, err := roster.New(cfg.Algorithm)
	if err != nil {
		return err
	}
	setup := p.setup(cfg, kept)
	outdated := make(chan algo.Incarnation, 1)
	links, err := transport.New(transport.Config{
		Self:        p.name,
		Incarnation: kept.Incarnation(),
		Clock:       kept.Start(),
		Listen:      cfg.Listen,
		Peers:       addrs,
		Votes:       p.votes(cfg.Voters),
		Open:        setup.Open,
		Cluster:     cfg.Cluster,
		Algorithm:   cfg.Algorithm,
		TTL:         cfg.TTL,
		Drift:       setup.Drift,
		Leases:      roster.Leases(cfg.Algorithm),
		Logger:      logger,
		Outdated: func(known algo.Incarnation) {
			select {
			case outdated <- known:
			default: // one is enough
			}
		},
		Seed: uint64(kept.Incarnation()),
	})
	if err != nil {
		return err
	}
	p.links, p.listen = links, links.Addr().String()
	p.incarnation, p.since = kept.Incarnation(), time.Now()
	p.node, err = node.Start(node.Config{
		Setup:     setup,
		Algorithm: cfg.Algorithm,
		New:       process,
		Clock:     clock.Now,
		Memory:    kept,
		Transport: links,
		Recorder:  recorder,
		Logger:    logger,
	})
	if err != nil {
		return errors.Join(err, links.Close())
	}
	p.watching.Go(func() { p.watch(outdated) })
	p.audit = newAudit(cfg, logger)
	seen := local{p.node, p.audit}
	p.board = board.New(p.name, seen, links.Views())
	links.Views().Answer(seen)
	if finder := cfg.finder(); finder != nil {
		if err := p.find(ctx, cfg, finder, logger); err != nil {
			p.board.Close()
			err = errors.Join(err, p.node.Close())
			p.watching.Wait()
			return err
		}
	}
	return nil
}

// votes says how many votes each peer has in quorums.
func (p *Peer) votes(voters []string) map[algo.PeerName]int {
	votes := map[algo.PeerName]int{p.name: 0}
	for name := range p.addrs {
		votes[algo.PeerName(name)] = 0
	}
	for _, name := range voters {
		votes[algo.PeerName(name)] = 1
	}
	return votes
}

// setup says what this incarnation begins with.
func (p *Peer) setup(cfg Config, kept *state.State) algo.Setup {
	promises, good := kept.Kept()
	var voters, others []algo.PeerName
	for _, name := range cfg.Voters {
		voters = append(voters, algo.PeerName(name))
	}
	others = append(others, voters...)
	for name := range p.addrs {
		others = append(others, algo.PeerName(name))
	}
	slices.Sort(others)
	others = slices.DeleteFunc(slices.Compact(others), func(name algo.PeerName) bool { return name == p.name })
	return algo.Setup{
		Self:        p.name,
		Incarnation: kept.Incarnation(),
		Others:      others,
		Voters:      voters,
		Open:        cfg.open(),
		TTL:         algo.Duration(cfg.TTL),
		Linger:      algo.Duration(cfg.Tuning.Linger),
		Drift:       cfg.Tuning.Drift,
		Floor:       kept.Floor(),
		Bound:       kept.Bound(),
		Kept:        good,
		Promises:    promises,
	}
}

// watch ends a peer whose incarnation is not the latest that the others have
// known: it might use fencing tokens a second time.
func (p *Peer) watch(outdated <-chan algo.Incarnation) {
	select {
	case <-p.node.Done():
	case known := <-outdated:
		p.node.Fail(fmt.Errorf("another peer has already met incarnation %d of this one, and each start must have a larger one: "+
			"the wall clock was set back, or the state directory is an old copy; "+
			"wait until the wall clock is right, or remove the directory", known))
	}
}

// promised is for how long a promise of this incarnation binds the next one: a
// lease, by a clock that is as fast as may be.
func promised(cfg Config) algo.Duration {
	ttl := algo.Duration(cfg.TTL)
	return ttl + algo.Duration(float64(ttl)*2*float64(cfg.Tuning.Drift)/1e6) + 1
}

// openState begins the peer's next incarnation.
func (p *Peer) openState(cfg Config) (*state.State, error) {
	if cfg.Dir == "" {
		return state.WallClock(time.Now()), nil
	}
	s, err := state.Open(cfg.Dir, p.name, state.Moment{Wall: time.Now(), Now: clock.Now(), Boot: clock.Boot(), Bound: promised(cfg)})
	if err != nil {
		return nil, err
	}
	p.release = append(p.release, s.Close)
	return s, nil
}

// openTrace returns who takes the peer's events: the trace, the log, the observer,
// some of them, or nobody; and the logger for everything else. Neither ever makes the peer wait
// for a log that takes no more.
func (p *Peer) openTrace(cfg Config) (trace.Recorder, *slog.Logger, error) {
	var recorders []trace.Recorder
	logger := slog.New(slog.DiscardHandler)
	if cfg.Logger != nil {
		log := trace.NewLog(cfg.Logger)
		p.release = append(p.release, log.Close)
		recorders = append(recorders, log)
		logger = log.Logger()
	}
	if cfg.TraceDir != "" {
		w, err := trace.Open(filepath.Join(cfg.TraceDir, cfg.Name+".ndjson"), trace.Options{
			Cap:     traceCap,
			OnError: func(err error) { logger.Error("the trace cannot be written", "error", err) },
		})
		if err != nil {
			return nil, nil, err
		}
		p.release = append(p.release, w.Close)
		recorders = append(recorders, w)
	}
	if cfg.Observer != nil {
		recorders = append(recorders, observing{cfg.Name, cfg.Observer})
	}
	if len(recorders) == 0 {
		return nil, logger, nil
	}
	return trace.Tee(recorders...), logger, nil
}

// Name returns the peer's name.
func (p *Peer) Name() string { return string(p.name) }

// Addr returns the address that the peer listens on.
func (p *Peer) Addr() string { return p.listen }

// Close gives up what is held and wanted at this peer, hands what is under way
// to the others, and ends the peer. Waiting calls return ErrClosed, and so do
// later ones. The other peers wait for this one to come back.
//
// Close does not wait for code that is inside: it ends the contexts of holds,
// and lets others in. End that code, or wait for it, before you call Close.
func (p *Peer) Close() error {
	p.closing.Do(func() {
		p.board.Close()
		errs := []error{p.node.Close()}
		p.watching.Wait()
		for _, release := range slices.Backward(p.release) {
			errs = append(errs, release())
		}
		p.closed = errors.Join(errs...)
	})
	return p.closed
}

// Done is closed when the peer serves nobody any more, because it was closed or
// because it cannot go on; Err says which. Close is needed all the same.
func (p *Peer) Done() <-chan struct{} { return p.node.Done() }

// Err returns nil while the peer serves, ErrClosed once it is closed, and an
// error that wraps ErrClosed and says why if it cannot go on.
func (p *Peer) Err() error { return p.node.Err() }

// PeersChanged returns a channel that is closed as soon as Status would say
// something else of the peers than it does now.
func (p *Peer) PeersChanged() <-chan struct{} { return p.node.PeersChanged() }

// Status is what a peer knows at one moment.
type Status struct {
	Name        string       `json:"name"`
	Listen      string       `json:"listen"`           // the address it listens on
	Addr        string       `json:"addr"`             // the address at which the others reach it
	Gossip      string       `json:"gossip,omitempty"` // the address at which it is found, if peers find each other
	Voter       bool         `json:"voter"`            // its vote counts in quorums
	Cluster     string       `json:"cluster"`
	Algorithm   string       `json:"algorithm"`
	Incarnation uint64       `json:"incarnation"` // larger at each of its starts
	Since       time.Time    `json:"since"`       // when it started
	Peers       []PeerStatus `json:"peers"`       // the others, sorted by name
	Locks       []LockStatus `json:"locks"`       // those held or wanted at this peer, sorted by name
	// Abstains is for how long yet, in nanoseconds, this peer grants nothing to
	// anybody: after a start that did not follow a Close it may have forgotten
	// what it had granted, and waits until that has expired.
	Abstains time.Duration `json:"abstains"`
}

// PeerStatus is what a peer knows of another.
type PeerStatus struct {
	Name        string    `json:"name"`
	Addr        string    `json:"addr"`        // where it is looked for; empty if nobody has said so yet
	Voter       bool      `json:"voter"`       // its vote counts in quorums
	Incarnation uint64    `json:"incarnation"` // larger at each of its starts; 0 before the first contact
	Up          bool      `json:"up"`          // messages can be exchanged both ways
	Since       time.Time `json:"since"`       // when Up last changed
	Reason      string    `json:"reason"`      // why it is down
	// RoundTrip is what it took to get an answer, when that was last measured; 0 if
	// it never was.
	RoundTrip time.Duration `json:"round_trip"`
	// Suspected says why those who find peers hold it for dead or gone; empty if
	// they do not, or if nobody looks. It is a hint: Up counts.
	Suspected string `json:"suspected,omitempty"`
}

// LockStatus is what a peer knows of a lock that is held or wanted there.
type LockStatus struct {
	Name     string    `json:"name"`
	Held     bool      `json:"held"`              // by a caller at this peer
	Token    Token     `json:"token"`             // if held
	Label    string    `json:"label,omitempty"`   // if held: as WithLabel said
	Since    time.Time `json:"since"`             // when it was entered, else asked for
	Deadline time.Time `json:"deadline,omitzero"` // if held: as Hold.Deadline
	Waiters  int       `json:"waiters"`
	WaitsFor []string  `json:"waits_for"` // the peers whose messages are missing, and those that are down
}

func (p *Peer) voter(name string) bool { return slices.Contains(p.voters, name) }

// Status returns what the peer knows now. It asks no other peer.
func (p *Peer) Status() Status {
	s := Status{Name: p.Name(), Listen: p.listen, Addr: p.advertise, Voter: p.voter(p.Name()), Cluster: p.cluster, Algorithm: p.algorithm, Incarnation: uint64(p.incarnation), Since: p.since}
	if p.search != nil {
		s.Gossip = p.search.Addr()
	}
	now := p.node.Status()
	s.Abstains = now.Abstains
	for _, o := range now.Peers {
		s.Peers = append(s.Peers, PeerStatus{
			Name: string(o.Name), Addr: p.links.Located(o.Name), Voter: p.voter(string(o.Name)), Incarnation: uint64(o.Incarnation),
			Up: o.Up, Since: o.Since, Reason: o.Reason, RoundTrip: p.links.RoundTrip(o.Name), Suspected: o.Suspected,
		})
	}
	for _, l := range now.Locks {
		ls := LockStatus{Name: l.Name, Held: l.Held, Token: Token(l.Token), Label: l.Label, Since: l.Since, Deadline: l.Deadline, Waiters: l.Waiters}
		for _, w := range l.WaitsFor {
			ls.WaitsFor = append(ls.WaitsFor, string(w))
		}
		s.Locks = append(s.Locks, ls)
	}
	return s
}
