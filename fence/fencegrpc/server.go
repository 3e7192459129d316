package fencegrpc

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/conchlock/conch/fence"
)

// Call is what a server knows of a call when it names the lock.
type Call struct {
	Method  string // full: /package.Service/Method
	Request any    // nil for streams, whose messages come later
}

// Server fences the methods of a gRPC server. The codes of what it refuses:
//
//	FailedPrecondition  the token is stale; an errdetails.ErrorInfo has lock, token and highest
//	InvalidArgument     there is no token, it is malformed, or of another lock
//	ResourceExhausted   too many wait
//	Canceled, DeadlineExceeded  the call ended while it waited
//	Internal            the Store cannot keep tokens; the Logger is told why
//
// With a Store the handlers of a lock run one at a time, inside the Store's Do. A
// stream does so for as long as it lasts, and keeps all others of its lock
// waiting: that suits an upload. For streams that last, leave the Store out and
// call a Store's Do for each message, with the hold from fence.FromContext.
//
// The zero value of every field but Lock is a good default. Do not change the
// fields once an interceptor was made. One Server may make both.
type Server struct {
	// Lock returns the name of the lock that guards what a call writes: the
	// server's choice. With guarded false the call needs no token, e.g. since it
	// only reads.
	Lock func(ctx context.Context, call Call) (lock string, guarded bool)

	// Store keeps the highest tokens; nil leaves the check to the handler, which
	// takes the hold from fence.FromContext and returns the error of, say,
	// fence.InTx as it is or wrapped.
	Store fence.Store

	// Limit bounds how many calls are in the Store or in a handler at a time. The
	// default is fence.DefaultLimit.
	Limit int

	// Logger is told what goes wrong with the Store, at Error. The default is
	// silence.
	Logger *slog.Logger

	inside atomic.Int64
}

// Unary is a grpc.UnaryServerInterceptor. It panics if there is no Lock.
func (s *Server) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (reply any, err error) {
	call := Call{Method: info.FullMethod, Request: req}
	err = s.serve(ctx, call, func(ctx context.Context) (err error) {
		reply, err = handle(ctx, req)
		return err
	})
	return reply, err
}

// Stream is a grpc.StreamServerInterceptor. It panics if there is no Lock.
func (s *Server) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return s.serve(stream.Context(), Call{Method: info.FullMethod}, func(ctx context.Context) error {
		return handle(srv, serverStream{stream, ctx})
	})
}

type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s serverStream) Context() context.Context { return s.ctx }

// serve calls handle if the call shows a hold of the lock that is not stale.
func (s *Server) serve(ctx context.Context, call Call, handle func(context.Context) error) error {
	lock, guarded := s.Lock(ctx, call)
	if !guarded {
		return handle(ctx)
	}
	token, err := shown(ctx, lock)
	if err != nil {
		return err
	}
	ctx = fence.NewContext(ctx, lock, token)
	if s.Store == nil {
		return answer(handle(ctx))
	}
	limit := s.Limit
	if limit == 0 {
		limit = fence.DefaultLimit
	}
	defer s.inside.Add(-1)
	if s.inside.Add(1) > int64(limit) {
		return status.Error(codes.ResourceExhausted, "fence: too many calls wait; this one has not begun")
	}
	begun := false
	err = s.Store.Do(ctx, lock, token, func() error {
		begun = true
		return handle(ctx)
	})
	switch {
	case err == nil || begun || errors.Is(err, fence.ErrStale):
		return answer(err)
	case errors.Is(err, fence.ErrLockName):
		return status.Error(codes.InvalidArgument, err.Error())
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	}
	if s.Logger != nil {
		s.Logger.Error("the fence cannot keep a token", "lock", lock, "token", token, "error", err)
	}
	return status.Error(codes.Internal, "fence: the token cannot be checked, so the call has not begun")
}

// shown returns the token that came with a call.
func shown(ctx context.Context, lock string) (fence.Token, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	tokens, locks := md.Get(TokenKey), md.Get(LockKey)
	switch {
	case len(tokens) == 0:
		return 0, status.Errorf(codes.InvalidArgument, "fence: this needs the token of a hold of lock %q, in the metadata %s", lock, TokenKey)
	case len(tokens) > 1 || len(locks) > 1:
		return 0, status.Error(codes.InvalidArgument, "fence: there are several tokens or locks; send those of one hold")
	}
	token, err := fence.ParseToken(tokens[0])
	if err != nil {
		return 0, status.Error(codes.InvalidArgument, err.Error())
	}
	if len(locks) == 1 {
		if name, err := url.PathUnescape(locks[0]); err != nil || name != lock {
			return 0, status.Errorf(codes.InvalidArgument, "fence: this is guarded by lock %q, and the token is of another one", lock)
		}
	}
	return token, nil
}

// answer turns the refusal of a token into the status of one, and returns other
// errors as they are.
func answer(err error) error {
	var stale *fence.StaleError
	if !errors.As(err, &stale) {
		return err
	}
	return refused(stale).Err()
}
