// Package fencegrpc carries fencing tokens over gRPC: interceptors of the client
// send the hold that is in a call's context along with it, and those of the
// server check it. It is a package of its own so that package fence does not
// bring gRPC into programs that have none.
//
//	conn, err := grpc.NewClient(target,
//		grpc.WithUnaryInterceptor(fencegrpc.UnaryClient),
//		grpc.WithStreamInterceptor(fencegrpc.StreamClient))
//	...
//	_, err = client.Write(fence.NewContext(ctx, "ledger", fence.Token(hold.Token())), request)
//	if errors.Is(err, fence.ErrStale) { ... }
//
// What fence.HTTP says about serving one request of a lock at a time, and about
// believing who sends a token, holds here, too.
package fencegrpc

import (
	"context"
	"errors"
	"io"
	"net/url"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/conchlock/conch/fence"
)

// The keys of the metadata. The name of the lock is escaped as in a path.
const (
	TokenKey = "conch-token"
	LockKey  = "conch-lock"
)

// What the errdetails.ErrorInfo of a refused token says: this reason and domain,
// and in its metadata lock, token and highest.
const (
	Reason = "STALE_TOKEN"
	Domain = "conch"
)

// refused is the status of a stale token.
func refused(stale *fence.StaleError) *status.Status {
	s := status.New(codes.FailedPrecondition, stale.Error())
	detailed, err := s.WithDetails(&errdetails.ErrorInfo{Reason: Reason, Domain: Domain, Metadata: map[string]string{
		"lock": stale.Lock, "token": stale.Token.String(), "highest": stale.Highest.String(),
	}})
	if err != nil {
		return s // the text has it all
	}
	return detailed
}

// staleError is a refusal as the client sees it: a status, and a *StaleError.
type staleError struct {
	*fence.StaleError
	status *status.Status
}

func (e *staleError) Unwrap() error              { return e.StaleError }
func (e *staleError) GRPCStatus() *status.Status { return e.status }

// received makes a *fence.StaleError of a status that is one, and leaves other
// errors as they are.
func received(err error) error {
	s, ok := status.FromError(err)
	if !ok || s.Code() != codes.FailedPrecondition {
		return err
	}
	for _, detail := range s.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetReason() != Reason || info.GetDomain() != Domain {
			continue
		}
		token, err1 := fence.ParseToken(info.GetMetadata()["token"])
		highest, err2 := fence.ParseToken(info.GetMetadata()["highest"])
		if err1 == nil && err2 == nil {
			return &staleError{&fence.StaleError{Lock: info.GetMetadata()["lock"], Token: token, Highest: highest}, s}
		}
	}
	return err
}

// outgoing puts the hold of the context into the metadata. In place of what is
// there: a server that calls another one shows its own hold.
func outgoing(ctx context.Context) context.Context {
	lock, token, ok := fence.FromContext(ctx)
	if !ok {
		return ctx
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(TokenKey, token.String())
	md.Set(LockKey, url.PathEscape(lock))
	return metadata.NewOutgoingContext(ctx, md)
}

// UnaryClient is a grpc.UnaryClientInterceptor. It sends the hold that the call's
// context carries (fence.NewContext), if there is one, and returns refusals so
// that errors.As finds the *fence.StaleError in them, and status.FromError the
// status.
func UnaryClient(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return received(invoke(outgoing(ctx), method, req, reply, cc, opts...))
}

// StreamClient is a grpc.StreamClientInterceptor that does so for streams, where
// RecvMsg returns the refusal.
func StreamClient(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := streamer(outgoing(ctx), desc, cc, method, opts...)
	if err != nil {
		return nil, received(err)
	}
	return clientStream{s}, nil
}

type clientStream struct{ grpc.ClientStream }

func (s clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return received(err)
}
