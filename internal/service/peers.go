package service

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/conchlock/conch"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// peers says who is there.
type peers struct {
	peer *conch.Peer
	done <-chan struct{} // closed when the server ends
}

// Get implements conchv1connect.PeersHandler.
func (p *peers) Get(context.Context, *conchv1.GetPeersRequest) (*conchv1.GetPeersResponse, error) {
	return &conchv1.GetPeersResponse{Roll: roll(p.peer, time.Now())}, nil
}

// Watch implements conchv1connect.PeersHandler.
func (p *peers) Watch(ctx context.Context, _ *conchv1.WatchPeersRequest, stream conchv1connect.PeersWatchServerStream) error {
	for {
		changed := p.peer.PeersChanged()
		if err := stream.Send(&conchv1.WatchPeersResponse{Roll: roll(p.peer, time.Now())}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return unavailable()
		}
	}
}

// unavailable ends the calls that last, when the server does.
func unavailable() error { return connect.NewError(connect.CodeUnavailable, "the peer is closed") }

// roll says who is there, as a peer knows it.
func roll(peer *conch.Peer, at time.Time) *conchv1.Roll {
	s := peer.Status()
	r := &conchv1.Roll{
		Cluster:   s.Cluster,
		Algorithm: s.Algorithm,
		Self:      &conchv1.Peer{Name: s.Name, Addr: s.Addr, Voter: s.Voter, Incarnation: s.Incarnation, Up: true, Since: timestamppb.New(s.Since)},
		Listen:    s.Listen,
		Gossip:    s.Gossip,
		Abstains:  durationpb.New(s.Abstains),
		At:        timestamppb.New(at),
	}
	if err := peer.Ready(); err != nil {
		r.Unready = err.Error()
	}
	for _, o := range s.Peers {
		p := &conchv1.Peer{
			Name: o.Name, Addr: o.Addr, Voter: o.Voter, Incarnation: o.Incarnation,
			Up: o.Up, Since: timestamppb.New(o.Since), Reason: o.Reason, Suspected: o.Suspected,
		}
		if o.RoundTrip > 0 {
			p.RoundTrip = durationpb.New(o.RoundTrip)
		}
		r.Others = append(r.Others, p)
	}
	return r
}
