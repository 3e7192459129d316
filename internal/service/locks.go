package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/locker"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// locks gives locks to clients. It implements conchv1connect.LocksHandler.
type locks struct {
	sessions *sessions
	done     <-chan struct{} // closed when the server ends
}

// refuse turns an error into one with a code.
func refuse(err error) error {
	var known *connect.Error
	code := connect.CodeUnknown
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, errNoSession) || errors.Is(err, errEnded):
		code = connect.CodeNotFound
	case errors.Is(err, conch.ErrNotAcquired):
		code = connect.CodeDeadlineExceeded
	case errors.Is(err, conch.ErrClosed):
		code = connect.CodeUnavailable
	case errors.Is(err, errWatched):
		code = connect.CodeAborted
	case errors.Is(err, errGivenUp) || errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	case errors.Is(err, errManyWishes) || errors.Is(err, errManyWaits) || errors.Is(err, errManyOpen):
		code = connect.CodeResourceExhausted
	}
	return connect.NewError(code, err.Error()).WithCause(err)
}

func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Sprintf(format, args...))
}

// checkText finds what is wrong with a text for people.
func checkText(what, text string) error {
	if err := algo.CheckText(what, text); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// Open implements conchv1connect.LocksHandler.
func (l *locks) Open(_ context.Context, r *conchv1.OpenRequest) (*conchv1.OpenResponse, error) {
	ttl := ttlDefault
	if r.GetTtl() != nil {
		ttl = r.GetTtl().AsDuration()
	}
	if ttl < ttlMin || ttl > ttlMax {
		return nil, invalid("ttl %s: use %s to %s", ttl, ttlMin, ttlMax)
	}
	if err := checkText("label", r.GetLabel()); err != nil {
		return nil, err
	}
	s, err := l.sessions.open(ttl, r.GetLabel())
	if err != nil {
		return nil, refuse(err)
	}
	return &conchv1.OpenResponse{Session: s.id, Ttl: durationpb.New(s.ttl)}, nil
}

// KeepAlive implements conchv1connect.LocksHandler.
func (l *locks) KeepAlive(_ context.Context, r *conchv1.KeepAliveRequest) (*conchv1.KeepAliveResponse, error) {
	s, err := l.sessions.find(r.GetSession(), r.GetAskedNs())
	if err != nil {
		return nil, refuse(err)
	}
	answer := &conchv1.KeepAliveResponse{}
	leases, ended := s.leases()
	for _, x := range leases {
		answer.Leases = append(answer.Leases, x.proto())
	}
	for _, w := range ended {
		by, reason := w.hold.AskedBy()
		answer.Ended = append(answer.Ended, &conchv1.Ended{
			Lock: w.lock, Token: uint64(w.hold.Token()), Reason: context.Cause(w.hold.Context()).Error(), AskedBy: by, AskedReason: reason,
		})
	}
	return answer, nil
}

func (x lease) proto() *conchv1.Lease {
	return &conchv1.Lease{Lock: x.lock, Token: uint64(x.token), AskedNs: x.asked, Length: durationpb.New(x.length), AskedBy: x.by, AskedReason: x.reason}
}

// Close implements conchv1connect.LocksHandler.
func (l *locks) Close(_ context.Context, r *conchv1.CloseRequest) (*conchv1.CloseResponse, error) {
	if s, err := l.sessions.leaving(r.GetSession()); err == nil {
		s.end(false)
	}
	return &conchv1.CloseResponse{}, nil // one that has ended before is closed
}

// Acquire implements conchv1connect.LocksHandler.
func (l *locks) Acquire(ctx context.Context, r *conchv1.AcquireRequest) (*conchv1.AcquireResponse, error) {
	type outcome struct {
		answer *conchv1.AcquireResponse
		err    error
	}
	answered := make(chan outcome, 1)
	leave := l.acquire(r, func(answer *conchv1.AcquireResponse, err error) { answered <- outcome{answer, err} })
	defer context.AfterFunc(ctx, func() { leave(context.Cause(ctx)) })()
	o := <-answered
	return o.answer, o.err
}

// acquire is Acquire without a goroutine that waits: it calls answer once, now or later.
// Whoever does not wait any more calls leave, which may be too late.
func (l *locks) acquire(r *conchv1.AcquireRequest, answer func(*conchv1.AcquireResponse, error)) (leave func(why error)) {
	c, err := l.wish(r)
	if err != nil {
		answer(nil, refuse(err))
		return func(error) {}
	}
	c.answer = answer
	var limit *time.Duration
	if r.GetWait() != nil {
		limit = new(r.GetWait().AsDuration())
	}
	c.await(limit)
	return c.leave
}

// wish begins a call about a wish.
func (l *locks) wish(r *conchv1.AcquireRequest) (*call, error) {
	if err := checkAcquire(r); err != nil {
		return nil, err
	}
	s, err := l.sessions.find(r.GetSession(), r.GetAskedNs())
	if err != nil {
		return nil, err
	}
	label := r.GetLabel()
	if label == "" {
		label = s.label
	}
	w, err := s.want(r.GetRequestId(), r.GetLock(), locker.Options{Label: label, Trace: r.GetTrace(), Try: r.GetTry()})
	if err != nil {
		return nil, err
	}
	return &call{s: s, w: w}, nil
}

func checkAcquire(r *conchv1.AcquireRequest) error {
	if err := checkID(r.GetRequestId()); err != nil {
		return err
	}
	if r.GetWait() != nil && r.GetWait().AsDuration() < 0 {
		return invalid("wait %s: it cannot be negative; without it the wish waits for ever", r.GetWait().AsDuration().Round(time.Millisecond))
	}
	if err := algo.CheckLock(r.GetLock()); err != nil {
		return invalid("%v", err)
	}
	if err := checkText("label", r.GetLabel()); err != nil {
		return err
	}
	return checkText("trace", r.GetTrace())
}

func checkID(id string) error {
	if id == "" || len(id) > maxRequestID {
		return invalid("request_id has %d bytes: use 1 to %d, new for each wish", len(id), maxRequestID)
	}
	return nil
}

// Cancel implements conchv1connect.LocksHandler.
func (l *locks) Cancel(_ context.Context, r *conchv1.CancelRequest) (*conchv1.CancelResponse, error) {
	if err := checkID(r.GetRequestId()); err != nil { // it is remembered
		return nil, err
	}
	s, err := l.sessions.leaving(r.GetSession())
	if err != nil {
		return nil, refuse(err)
	}
	s.cancelWish(r.GetRequestId())
	return &conchv1.CancelResponse{}, nil
}

// Release implements conchv1connect.LocksHandler.
func (l *locks) Release(_ context.Context, r *conchv1.ReleaseRequest) (*conchv1.ReleaseResponse, error) {
	s, err := l.sessions.leaving(r.GetSession())
	if err != nil {
		return nil, refuse(err)
	}
	found, err := s.release(r.GetLock(), conch.Token(r.GetToken()), r.GetLost())
	switch {
	case !found:
		return &conchv1.ReleaseResponse{Ended: true}, nil
	case errors.Is(err, conch.ErrLost) || errors.Is(err, conch.ErrClosed):
		return &conchv1.ReleaseResponse{Ended: true, Lost: true}, nil
	case err != nil:
		return nil, refuse(err)
	}
	return &conchv1.ReleaseResponse{}, nil
}
