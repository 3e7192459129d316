package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/discovery/serf"
)

// task is what a peer's process is to do. It comes as JSON in taskEnv.
type task struct {
	Config conch.Config
	Index  int // which peer it is
	Locks  []string
	Socket string // the resource
	Seed   uint64
	Gossip *serf.Source // how it finds the others; nil: they are in Config
}

// taskEnv makes the test binary behave as a peer.
const taskEnv = "CONCH_CHAOS_TASK"

// ready is what a peer's process says on stdout once it has joined.
const ready = "joined"

// peerMain is a peer's process: it joins, and then wants every lock all the time
// until it is told to end, by SIGTERM. SIGUSR1 makes it say what it waits for, SIGUSR2
// order holds to end, until the next one.
func peerMain(text string) error {
	var o task
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	if o.Gossip != nil {
		o.Config.Discovery = *o.Gossip
	}
	o.Config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	peer, err := conch.Join(ctx, o.Config)
	if err != nil {
		return err
	}
	orders := make(chan os.Signal, 1)
	signal.Notify(orders, syscall.SIGUSR2)
	go giveOrders(ctx, peer, o.Locks, orders)
	fmt.Println(ready)
	ask := make(chan os.Signal, 1)
	signal.Notify(ask, syscall.SIGUSR1)
	go func() {
		for range ask {
			status, _ := json.Marshal(peer.Status())
			fmt.Fprintf(os.Stderr, "status %s\n", status)
		}
	}()
	ended := make(chan error, len(o.Locks))
	var using sync.WaitGroup
	for i, lock := range o.Locks {
		using.Go(func() {
			random := rand.New(rand.NewPCG(o.Seed, uint64(o.Index*len(o.Locks)+i)))
			if err := use(ctx, peer, o, lock, random); err != nil && !errors.Is(err, conch.ErrClosed) {
				ended <- err
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-peer.Done():
		err = peer.Err()
	case err = <-ended:
	}
	cancel()
	using.Wait()
	return errors.Join(err, peer.Close())
}

// giveOrders orders whoever holds a lock to leave it, all the time from one signal to the
// next.
func giveOrders(ctx context.Context, peer *conch.Peer, locks []string, signals <-chan os.Signal) {
	for orders := false; ctx.Err() == nil; {
		var now <-chan time.Time
		if orders {
			now = time.After(works)
		}
		select {
		case <-ctx.Done():
		case <-signals:
			orders = !orders
		case <-now:
			for _, lock := range locks {
				limited, cancel := context.WithTimeout(ctx, ttl/2)
				peer.End(limited, lock, 0, "chaos", "it is ordered") // nobody may hold it, or not answer
				cancel()
			}
		}
	}
}

// teller tells the resource what its client does, one line at a time.
type teller struct {
	conn net.Conn
	in   *bufio.Reader
}

// tell says a line and returns the answer. Without the resource there is nothing
// to do for a peer, so an error ends it.
func (t *teller) tell(what string, arg any) (string, error) {
	if _, err := fmt.Fprintf(t.conn, "%s %v\n", what, arg); err != nil {
		return "", fmt.Errorf("the resource is gone: %w", err)
	}
	answer, err := t.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the resource is gone: %w", err)
	}
	return strings.TrimSpace(answer), nil
}

// use wants one lock again and again until ctx ends.
func use(ctx context.Context, peer *conch.Peer, o task, lock string, random *rand.Rand) error {
	conn, err := net.Dial("unix", o.Socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	t := &teller{conn, bufio.NewReader(conn)}
	if _, err := t.tell("peer", o.Index); err != nil {
		return err
	}
	mutex := peer.Mutex(lock)
	for pause(ctx, time.Duration(random.Int64N(int64(thinks)))) {
		patience := time.Minute
		if random.IntN(20) == 0 {
			patience = time.Duration(random.Int64N(int64(50 * time.Millisecond)))
		}
		if _, err := t.tell("lock", lock); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, patience)
		hold, err := mutex.Lock(limited)
		cancel()
		if err != nil {
			if _, err := t.tell("failed", "-"); err != nil {
				return err
			}
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				return err
			}
			continue
		}
		if _, err := t.tell("got", uint64(hold.Token())); err != nil {
			return err
		}
		if err := inside(t, hold, random); err != nil {
			return err
		}
		if _, err := t.tell("unlock", "-"); err != nil {
			return err
		}
		how := "unlocked"
		switch err := hold.Unlock(); {
		case errors.Is(err, conch.ErrLost), errors.Is(err, conch.ErrClosed):
			how = "lost"
		case err != nil:
			how = err.Error()
		}
		if _, err := t.tell("left", how); err != nil {
			return err
		}
	}
	return nil
}

// How long clients stay, in and out, about.
const (
	thinks = 60 * time.Millisecond
	works  = 6 * time.Millisecond
)

// inside is the critical section: some writes, as long as the hold lasts.
func inside(t *teller, hold *conch.Hold, random *rand.Rand) error {
	ctx, writes, staying := hold.Context(), 1+random.IntN(3), false
	for n := 0; staying || n < writes; n++ {
		if ctx.Err() != nil {
			pause(context.Background(), time.Duration(random.Int64N(int64(works)))) // to stop takes a moment
			return nil
		}
		advice, err := t.tell("write", uint64(hold.Token()))
		if advice == again && err == nil {
			advice, err = t.tell("write", uint64(hold.Token()))
		}
		if err != nil {
			return err
		}
		if advice == "refused" {
			return nil
		}
		staying = staying || advice == stay
		pause(ctx, time.Duration(random.Int64N(int64(works))))
	}
	return nil
}

// pause waits for d, and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
