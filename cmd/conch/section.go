package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/conchlock/conch"
)

// sectionOptions say how a peer wants the critical section by itself.
type sectionOptions struct {
	every   time.Duration
	entries int // 0: no end
	file    string
	lock    string
	work    time.Duration
	seed    uint64
	linger  int // stay inside after this many enter lines in file; 0: never
}

// enterRepeatedly enters the critical section again and again. It returns nil
// when all entries are made.
func enterRepeatedly(ctx context.Context, peer *conch.Peer, o sectionOptions, out *lines) error {
	random := o.random(peer.Name())
	mutex := peer.Mutex(o.lock)
	awaitPeers(ctx, peer)
	for i := 0; o.entries == 0 || i < o.entries; {
		if !pause(ctx, around(random, o.every)) {
			return nil
		}
		work := around(random, o.work)
		err := mutex.Do(ctx, func(ctx context.Context, token conch.Token) error {
			return o.critical(ctx, peer.Name(), token, work)
		})
		switch {
		case errors.Is(err, context.Canceled) || errors.Is(err, conch.ErrClosed):
			return nil
		case errors.Is(err, conch.ErrLost): // somebody else may be inside by now: it does not count
			out.printf("%s has lost the lock while it was inside", peer.Name())
			continue
		case err != nil:
			return err
		}
		i++
	}
	out.printf("%s has made its %d entries", peer.Name(), o.entries)
	return nil
}

// awaitPeers waits until every peer is there, so that the first wishes compete
// as later ones do; but not for long, since a wish says for whom it waits.
func awaitPeers(ctx context.Context, peer *conch.Peer) {
	missing := func(p conch.PeerStatus) bool { return !p.Up }
	for range 200 {
		if !slices.ContainsFunc(peer.Status().Peers, missing) || !pause(ctx, 5*time.Millisecond) {
			return
		}
	}
}

// critical is the critical section: it writes to the shared file when it comes
// in and when it goes out. If the hold is lost, it is out already, and has
// nothing to say.
func (o sectionOptions) critical(ctx context.Context, name string, token conch.Token, work time.Duration) error {
	if err := o.write("enter", name, token); err != nil {
		return err
	}
	if err := o.stay(ctx, work); err != nil {
		return err
	}
	if err := context.Cause(ctx); errors.Is(err, conch.ErrLost) && !errors.Is(err, conch.ErrClosed) {
		return err
	}
	return o.write("exit", name, token)
}

// stay spends the time inside. The peer whose enter line has the number linger
// stays until its hold ends, so that whoever wants to kill it inside can take
// the time.
func (o sectionOptions) stay(ctx context.Context, work time.Duration) error {
	if o.linger > 0 {
		text, err := os.ReadFile(o.file)
		if err != nil {
			return fmt.Errorf("critical section: %w", err)
		}
		if bytes.Count(text, []byte("enter ")) == o.linger {
			<-ctx.Done()
		}
	}
	pause(ctx, work)
	return nil
}

// write appends one line to the shared file, in one write, so that lines of
// different peers cannot mix.
func (o sectionOptions) write(what, name string, token conch.Token) error {
	if o.file == "" {
		return nil
	}
	f, err := os.OpenFile(o.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("critical section: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s %s %d\n", what, name, token)
	return errors.Join(err, f.Close())
}

// random returns the peer's source of chance. Peers of one seed differ by name.
func (o sectionOptions) random(name string) *rand.Rand {
	seed := o.seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// around returns a duration between half and one and a half of d.
func around(random *rand.Rand, d time.Duration) time.Duration {
	return d/2 + time.Duration(random.Int64N(int64(d)+1))
}

// pause waits for d, and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
