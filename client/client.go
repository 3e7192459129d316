// Package client gives a program the locks of the peer that runs on its machine
// (conch peer), instead of being a peer itself. It offers the same mutexes: a
// program changes from one to the other by one line.
//
//	peers, err := client.Dial(ctx, client.Config{})   // instead of conch.Join
//	if err != nil {
//		return err
//	}
//	defer peers.Close()
//
//	hold, err := peers.Mutex("nightly-report").Lock(ctx)
//
// # What is promised
//
// What package conch promises, and one thing more to go by: the session with the
// peer. It ends when this program shows no sign of life for Config.TTL, because it
// is stopped or the connection is gone, and with it the holds. A hold's context ends
// before that; who cannot tell, since the program does not run, is told by the
// token. A connection that breaks is made again within that time, and costs neither
// holds nor places in the queue. When the peer is restarted, its sessions and their
// holds end.
package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/clock"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/locker"
	"github.com/conchlock/conch/internal/viewcodec"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// ErrNoPeer says that no peer answers. Whether the operation happened is said by its
// error; for Dial and Lock it certainly did not.
var ErrNoPeer = local.ErrNoPeer

// Config says which peer to ask. The zero value is the one on this machine that
// serves at the usual place.
type Config struct {
	// Addr is where the peer serves: unix:PATH, or HOST:PORT of this machine. The
	// default is $CONCH_ADDR or, without it, the usual place: conch/conch.sock in
	// $XDG_RUNTIME_DIR, for root in /run, else conch-UID/conch.sock in the folder for
	// temporary files.
	Addr string
	// TTL is for how long the peer keeps what this program holds and wants when it
	// hears nothing of it: so long others may have to wait if this program dies. The
	// default is 15 s, the least 1 s, the most 1 h. Signs of life are sent three times
	// as often. Holds end with the peer's own leases, too, whichever is earlier.
	TTL time.Duration
	// Label says who this is, to people who ask who holds a lock; WithLabel says it of
	// a single one. At most conch.MaxLabel bytes.
	Label string
}

// Client is a program's way to the peer on its machine. Its methods are safe for
// concurrent use.
type Client struct {
	wire  *local.Wire
	calls conchv1connect.LocksClient
	cfg   Config

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	session *session      // nil: none yet, or the last one has ended
	opening chan struct{} // closed when an attempt to open one has ended; nil without one
	closing sync.Once
}

var _ locker.Locker = (*Client)(nil)

// Dial begins a session with a peer. Ctx has no influence once it has returned.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	wire, err := local.Dial(local.Addr(cfg.Addr))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{wire: wire, calls: conchv1connect.NewLocksClient(connect.NewClient(wire)), cfg: cfg}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if _, err := c.live(ctx); err != nil {
		c.wire.Close()
		return nil, fmt.Errorf("client: %w", wire.Explain(err))
	}
	return c, nil
}

// Mutex returns the lock of that name: see conch.Peer.Mutex.
func (c *Client) Mutex(name string) *conch.Mutex { return conch.MutexOf(c, name) }

// Addr returns where the peer is asked.
func (c *Client) Addr() string { return c.wire.Addr() }

// Close gives back what is held and wanted, and ends the session. Waiting calls
// return conch.ErrClosed, and so do later ones.
func (c *Client) Close() error {
	var err error
	c.closing.Do(func() {
		c.mu.Lock()
		s := c.session
		c.session = nil
		c.cancel(conch.ErrClosed) // under mu: who starts something has looked, or will
		c.mu.Unlock()
		c.work.Wait()
		if s != nil {
			s.lose(conch.ErrClosed)
			ctx, cancel := context.WithTimeout(context.Background(), closeTime)
			defer cancel()
			if _, failed := c.calls.Close(ctx, &conchv1.CloseRequest{Session: s.id}); failed != nil {
				err = fmt.Errorf("client: the peer was not told, and gives back what this program held when the session's %s are over: %w", s.ttl, c.wire.Explain(failed))
			}
		}
		c.wire.Close()
	})
	return err
}

// closeTime is how long Close tries to tell the peer.
const closeTime = 2 * time.Second

// live returns the session, opened if need be.
func (c *Client) live(ctx context.Context) (*session, error) {
	for {
		c.mu.Lock()
		switch {
		case c.ctx.Err() != nil:
			c.mu.Unlock()
			return nil, conch.ErrClosed
		case c.session != nil:
			defer c.mu.Unlock()
			return c.session, nil
		case c.opening == nil:
			c.opening = make(chan struct{})
			c.mu.Unlock()
			return c.open(ctx)
		}
		opening := c.opening
		c.mu.Unlock()
		select {
		case <-opening:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// open opens a session.
func (c *Client) open(ctx context.Context) (*session, error) {
	r := &conchv1.OpenRequest{Label: c.cfg.Label}
	if c.cfg.TTL != 0 {
		r.Ttl = durationpb.New(c.cfg.TTL)
	}
	answer, err := c.calls.Open(ctx, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.opening)
	c.opening = nil
	switch {
	case err != nil:
		return nil, err
	case c.ctx.Err() != nil:
		return nil, conch.ErrClosed // what was just opened ends by itself
	}
	s := &session{c: c, id: answer.GetSession(), ttl: answer.GetTtl().AsDuration(), holds: make(map[*hold]bool), done: make(chan struct{}), news: make(chan struct{}, 1)}
	c.session = s
	c.work.Go(s.keepAlive)
	return s, nil
}

// forget drops a session that has ended; the next call opens a new one.
func (c *Client) forget(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == s {
		c.session = nil
	}
}

// Acquire implements locker.Locker: through broken connections, and in new sessions.
func (c *Client) Acquire(ctx context.Context, lock string, o locker.Options) (locker.Hold, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(conch.ErrClosed) })()
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		h, err := c.attempt(ctx, lock, o)
		switch {
		case err == nil:
			return h, nil
		case ctx.Err() != nil:
			return nil, cause(ctx, err)
		case o.Try && connect.CodeOf(err) == connect.CodeDeadlineExceeded:
			return nil, conch.ErrNotAcquired
		case connect.CodeOf(err) == connect.CodeDeadlineExceeded && limited(ctx):
			<-ctx.Done() // the peer was told of its deadline, and has a clock of its own
			return nil, context.Cause(ctx)
		case !temporary(err):
			return nil, c.wire.Explain(err)
		}
		if !sleep(ctx, pause) {
			return nil, cause(ctx, c.wire.Explain(err))
		}
	}
}

// limited says that ctx ends by time.
func limited(ctx context.Context) bool {
	_, ok := ctx.Deadline()
	return ok
}

// Busy implements locker.Locker. The peer itself sees to it that a try ends soon.
func (c *Client) Busy(context.Context, string) (bool, error) { return false, nil }

const (
	retryMin = 20 * time.Millisecond
	retryMax = time.Second
)

// cause says why a call gave up, and what stood in its way, if anything.
func cause(ctx context.Context, err error) error {
	why := context.Cause(ctx)
	if err == nil || errors.Is(err, why) || errors.Is(err, ctx.Err()) {
		return why
	}
	return fmt.Errorf("%w (%w)", why, err)
}

// attempt wants a lock in the present session.
func (c *Client) attempt(ctx context.Context, lock string, o locker.Options) (*hold, error) {
	s, err := c.live(ctx)
	if err != nil {
		return nil, err
	}
	w := &conchv1.AcquireRequest{Session: s.id, RequestId: rand.Text(), Lock: lock, Try: o.Try, Label: o.Label, Trace: o.Trace}
	defer o.Progress.Report(func(ctx context.Context) { c.progress(ctx, w, o.Progress) })()
	before := "" // its id, if the peer may have heard of it
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		w.AskedNs = int64(clock.Now())
		answer, err := c.calls.Acquire(ctx, w)
		if err == nil {
			return s.hold(ctx, answer.GetLease(), before)
		}
		s.notice(err)
		if !local.Unsent(err) {
			before = w.RequestId
		}
		if !temporary(err) || s.over() || !sleep(ctx, pause) { // else the same wish, in its place
			if before != "" {
				s.cancelWish(before)
			}
			return nil, err
		}
	}
}

// progress tells what a wish waits for, as long as the peer says so.
func (c *Client) progress(ctx context.Context, w *conchv1.AcquireRequest, tell locker.Progress) {
	views := conchv1connect.NewViewsClient(connect.NewClient(c.wire))
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		stream, err := views.Watch(ctx, &conchv1.WatchViewRequest{Lock: w.Lock, Session: w.Session, RequestId: w.RequestId})
		for err == nil {
			var answer *conchv1.WatchViewResponse
			if answer, err = stream.Receive(); err == nil {
				pause = retryMin
				v := viewcodec.Decode(answer.GetView())
				tell(int(answer.GetPlace()), v.Lock(w.Lock))
			}
		}
		if !temporary(err) || !sleep(ctx, pause) {
			return
		}
	}
}

// sleep waits, and says whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// temporary says that a call may succeed when it is made again: nobody answered, or
// the session has ended.
func temporary(err error) bool {
	var answer *connect.Error
	if !errors.As(err, &answer) || !answer.IsRemote() {
		return !errors.Is(err, conch.ErrClosed)
	}
	return answer.Code() == connect.CodeUnavailable || answer.Code() == connect.CodeNotFound
}

// errSession says that a session has ended.
var errSession = errors.New("the session with the peer has ended")

// slack is by how much a lease is taken for shorter, since the clocks of two
// processes on one machine are one, but nothing is the same everywhere.
func slack(d algo.Duration) algo.Duration { return d / 500 }

// margin is the time before the end of a lease in which its holder is to stop.
func margin(ttl time.Duration) time.Duration { return min(ttl/16, 100*time.Millisecond) }
