package transport

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/board"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/wire"
)

// maxFollowers bounds the reports that a peer gives at a time.
const maxFollowers = 1024

// Views carries what peers tell each other about locks. It is at the address of the links,
// but over connections of its own: nothing of it can hold up a lock. It implements
// board.Carrier.
type Views struct {
	self, cluster string
	locate        func(algo.PeerName) string
	local         atomic.Pointer[board.Local] // nil until it can answer
	followers     atomic.Int32

	mu    sync.Mutex
	conns map[string]*shared // by address
}

// shared is a connection that several calls use.
type shared struct {
	*grpc.ClientConn
	calls int
}

func newViews(cfg Config, locate func(algo.PeerName) string) *Views {
	return &Views{self: string(cfg.Self), cluster: cfg.Cluster, locate: locate, conns: make(map[string]*shared)}
}

// Views returns what carries views between the peers.
func (t *Transport) Views() *Views { return t.views }

// Answer says who answers what others ask from now on.
func (v *Views) Answer(l board.Local) { v.local.Store(&l) }

// viewsServer is what gRPC calls.
type viewsServer struct {
	wire.UnimplementedViewsServer
	*Views
}

// asked checks that a request is meant for this peer, and returns who answers it.
func (v *Views) asked(p *wire.Party, lock string) (board.Local, error) {
	if p.GetCluster() != v.cluster || p.GetTo() != v.self {
		return nil, status.Errorf(codes.FailedPrecondition, "this is peer %s of cluster %q, not %.63q of %.200q", v.self, v.cluster, p.GetTo(), p.GetCluster())
	}
	if err := algo.CheckText("lock name", lock); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	l := v.local.Load()
	if l == nil {
		return nil, status.Error(codes.Unavailable, "it has just started")
	}
	return *l, nil
}

// Watch implements wire.ViewsServer.
func (s viewsServer) Watch(r *wire.WatchRequest, stream wire.Views_WatchServer) error {
	local, err := s.asked(r.GetParty(), r.GetLock())
	if err != nil {
		return err
	}
	defer s.followers.Add(-1)
	if s.followers.Add(1) > maxFollowers {
		return status.Errorf(codes.ResourceExhausted, "%d look at its locks, and that is the limit", maxFollowers)
	}
	err = board.Follow(stream.Context(), local, r.GetLock(), func(r board.Report) error { return stream.Send(encodeReport(&r)) })
	return status.FromContextError(err).Err()
}

// Steer implements wire.ViewsServer.
func (s viewsServer) Steer(_ context.Context, r *wire.SteerRequest) (*wire.SteerResponse, error) {
	local, err := s.asked(r.GetParty(), r.GetLock())
	if err != nil {
		return nil, err
	}
	for _, text := range []struct{ what, text string }{{"by", r.GetBy()}, {"reason", r.GetReason()}} {
		if err := algo.CheckText(text.what, text.text); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	told, err := local.Steer(r.GetLock(), node.Wish{Token: algo.Token(r.GetToken()), By: r.GetBy(), Reason: r.GetReason(), End: r.GetEnd()})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &wire.SteerResponse{Told: encodeHeld(told)}, nil
}

// call makes a call to a peer.
func (v *Views) call(peer algo.PeerName, f func(wire.ViewsClient, *wire.Party) error) error {
	addr := v.locate(peer)
	if addr == "" {
		return fmt.Errorf("nobody has said where %s is", peer)
	}
	conn, err := v.conn(addr)
	if err != nil {
		return err
	}
	defer v.done(addr, conn)
	err = f(wire.NewViewsClient(conn), &wire.Party{Cluster: v.cluster, To: string(peer), From: v.self})
	if status.Code(err) == codes.Unimplemented {
		return fmt.Errorf("%s is of an older version, which tells nothing about locks", peer)
	}
	return plain(err)
}

// conn returns a connection, dialed if need be.
func (v *Views) conn(addr string) (*shared, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.conns[addr]
	if c == nil {
		conn, err := grpc.NewClient("passthrough:///"+addr, dialOptions()...)
		if err != nil {
			return nil, err
		}
		c = &shared{ClientConn: conn}
		v.conns[addr] = c
	}
	c.calls++
	return c, nil
}

// done ends the use of a connection.
func (v *Views) done(addr string, c *shared) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c.calls--; c.calls == 0 {
		c.Close()
		delete(v.conns, addr)
	}
}

// Watch implements board.Carrier.
func (v *Views) Watch(ctx context.Context, peer algo.PeerName, lock string, tell func(board.Report)) error {
	return v.call(peer, func(c wire.ViewsClient, p *wire.Party) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.Watch(ctx, &wire.WatchRequest{Party: p, Lock: lock})
		if err != nil {
			return err
		}
		for {
			r, err := stream.Recv()
			if err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			tell(decodeReport(r))
		}
	})
}

// Steer implements board.Carrier.
func (v *Views) Steer(ctx context.Context, peer algo.PeerName, lock string, w node.Wish) (told *node.HoldSight, err error) {
	err = v.call(peer, func(c wire.ViewsClient, p *wire.Party) error {
		r, err := c.Steer(ctx, &wire.SteerRequest{Party: p, Lock: lock, Token: uint64(w.Token), By: w.By, Reason: w.Reason, End: w.End})
		told = decodeHeld(r.GetTold())
		return err
	})
	return told, err
}
