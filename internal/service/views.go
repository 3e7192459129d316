package service

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/viewcodec"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
	"github.com/conchlock/conch/view"
)

// views shows the locks of the cluster. It implements conchv1connect.ViewsHandler.
type views struct {
	peer     *conch.Peer
	sessions *sessions
	ctx      context.Context // ends when the server does
}

// Get implements conchv1connect.ViewsHandler.
func (v *views) Get(ctx context.Context, r *conchv1.GetViewRequest) (*conchv1.GetViewResponse, error) {
	if err := checkText("lock name", r.GetLock()); err != nil {
		return nil, err
	}
	seen, err := v.peer.Look(ctx, r.GetLock())
	if err != nil {
		return nil, refuse(err)
	}
	return &conchv1.GetViewResponse{View: viewcodec.Encode(&seen)}, nil
}

// Watch implements conchv1connect.ViewsHandler.
func (v *views) Watch(ctx context.Context, r *conchv1.WatchViewRequest, stream conchv1connect.ViewsWatchServerStream) error {
	if err := checkText("lock name", r.GetLock()); err != nil {
		return err
	}
	var s *session
	if r.GetSession() != "" {
		var err error
		if s, err = v.sessions.find(r.GetSession(), 0); err != nil {
			return refuse(err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(v.ctx, func() { cancel(conch.ErrClosed) })()
	return refuse(v.peer.Watch(ctx, r.GetLock(), func(seen view.View) error {
		answer := &conchv1.WatchViewResponse{View: viewcodec.Encode(&seen)}
		if s != nil {
			if id := s.caller(r.GetRequestId()); id != 0 { // the wish may come later than this call
				l := seen.Lock(r.GetLock())
				answer.Place = uint32(l.Place(seen.Peer, id))
			}
		}
		return stream.Send(answer)
	}))
}

// Ask implements conchv1connect.ViewsHandler.
func (v *views) Ask(ctx context.Context, r *conchv1.AskRequest) (*conchv1.AskResponse, error) {
	if err := checkSteer(r.GetLock(), r.GetBy(), r.GetReason()); err != nil {
		return nil, err
	}
	h, err := v.peer.Ask(ctx, r.GetLock(), r.GetBy(), r.GetReason())
	if err != nil {
		return nil, refuseSteer(err)
	}
	return &conchv1.AskResponse{Holder: viewcodec.EncodeHolder(&h)}, nil
}

// End implements conchv1connect.ViewsHandler.
func (v *views) End(ctx context.Context, r *conchv1.EndRequest) (*conchv1.EndResponse, error) {
	if err := checkSteer(r.GetLock(), r.GetBy(), r.GetReason()); err != nil {
		return nil, err
	}
	if r.GetReason() == "" {
		return nil, invalid("say why the hold is to end (reason)")
	}
	h, err := v.peer.End(ctx, r.GetLock(), conch.Token(r.GetToken()), r.GetBy(), r.GetReason())
	if err != nil {
		return nil, refuseSteer(err)
	}
	answer := &conchv1.EndResponse{Holder: viewcodec.EncodeHolder(&h)}
	if !h.Deadline.IsZero() {
		answer.Wait = durationpb.New(max(0, time.Until(h.Deadline)))
	}
	return answer, nil
}

func checkSteer(lock, by, reason string) error {
	if err := algo.CheckLock(lock); err != nil {
		return invalid("%v", err)
	}
	if by == "" {
		return invalid("say who wants it (by)")
	}
	if err := checkText("by", by); err != nil {
		return err
	}
	return checkText("reason", reason)
}

// refuseSteer gives the errors of Ask and End their codes.
func refuseSteer(err error) error {
	code := connect.CodeUnknown
	switch {
	case errors.Is(err, conch.ErrNotHeld) || errors.Is(err, conch.ErrOtherToken):
		code = connect.CodeFailedPrecondition
	case errors.Is(err, conch.ErrSilent):
		code = connect.CodeUnavailable
	default:
		return refuse(err)
	}
	return connect.NewError(code, err.Error()).WithCause(err)
}
