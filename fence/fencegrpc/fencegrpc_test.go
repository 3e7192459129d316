package fencegrpc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/conchlock/conch/fence"
	"github.com/conchlock/conch/fence/fencegrpc"
)

// resource is a service that writes. It borrows the schema of the health service:
// Check is a write, and so is Watch, a stream.
type resource struct {
	grpc_health_v1.UnimplementedHealthServer
	write func(ctx context.Context) error
}

func (r *resource) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return new(grpc_health_v1.HealthCheckResponse), r.write(ctx)
}

func (r *resource) Watch(_ *grpc_health_v1.HealthCheckRequest, s grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	return r.write(s.Context())
}

// start serves behind the fence, and returns a client that shows its holds.
func start(t *testing.T, server *fencegrpc.Server, write func(context.Context) error) grpc_health_v1.HealthClient {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(server.Unary), grpc.StreamInterceptor(server.Stream))
	grpc_health_v1.RegisterHealthServer(s, &resource{write: write})
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(fencegrpc.UnaryClient), grpc.WithStreamInterceptor(fencegrpc.StreamClient))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}

// byService names the lock by the request; List, and streams without a name, need
// no token.
func byService(_ context.Context, call fencegrpc.Call) (lock string, guarded bool) {
	if req, ok := call.Request.(*grpc_health_v1.HealthCheckRequest); ok {
		return "ledger/" + req.GetService(), true
	}
	return "ledger/stream", strings.HasSuffix(call.Method, "/Watch")
}

func unary(ctx context.Context, client grpc_health_v1.HealthClient, service string) error {
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	return err
}

func stream(ctx context.Context, client grpc_health_v1.HealthClient) error {
	s, err := client.Watch(ctx, new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		return err
	}
	if _, err = s.Recv(); err != nil && err.Error() == "EOF" {
		return nil
	}
	return err
}

// stale wants the refusal, as Go programs see it and as others do.
func stale(t *testing.T, err error, want fence.StaleError) {
	t.Helper()
	var got *fence.StaleError
	if !errors.As(err, &got) || *got != want || !errors.Is(err, fence.ErrStale) {
		t.Errorf("%v, want %v", err, &want)
	}
	if s, ok := status.FromError(err); !ok || s.Code() != codes.FailedPrecondition || len(s.Details()) != 1 {
		t.Errorf("%v", s)
	}
}

func TestUnary(t *testing.T) {
	var in []string
	client := start(t, &fencegrpc.Server{Lock: byService, Store: new(fence.Memory)}, func(ctx context.Context) error {
		lock, token, _ := fence.FromContext(ctx)
		in = append(in, fmt.Sprint(lock, " ", token))
		return nil
	})
	hold := func(lock string, token fence.Token) context.Context {
		return fence.NewContext(t.Context(), lock, token)
	}
	sent := func(pairs ...string) context.Context {
		return metadata.NewOutgoingContext(t.Context(), metadata.Pairs(pairs...))
	}
	const a = "ledger/Schloß"
	for _, c := range []struct {
		ctx  context.Context
		code codes.Code
		text string
	}{
		{hold(a, 33), codes.OK, ""},
		{hold(a, 33), codes.OK, ""},
		{hold(a, 34), codes.OK, ""},
		{hold(a, 33), codes.FailedPrecondition, "token 33 is refused"},
		{hold("mine", 35), codes.InvalidArgument, `guarded by lock "ledger/Schloß"`}, // a client cannot choose
		{sent(), codes.InvalidArgument, "needs the token"},
		{sent("conch-token", "35"), codes.OK, ""},
		{sent("conch-token", "035"), codes.InvalidArgument, "no token"},
		{sent("conch-token", "9007199254740992"), codes.InvalidArgument, "no token"},
		{sent("conch-token", "36", "conch-token", "37"), codes.InvalidArgument, "several"},
		{sent("conch-token", "36", "conch-lock", "%zz"), codes.InvalidArgument, "guarded by lock"},
		{fence.NewContext(sent("conch-token", "1", "conch-lock", "b"), a, 36), codes.OK, ""}, // one's own hold counts
	} {
		err := unary(c.ctx, client, "Schloß")
		if status.Code(err) != c.code || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v, want %v %q", err, c.code, c.text)
		}
	}
	if err := unary(hold("ledger/"+strings.Repeat("x", 200), 1), client, strings.Repeat("x", 200)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	stale(t, unary(hold(a, 7), client, "Schloß"), fence.StaleError{Lock: a, Token: 7, Highest: 36})
	if want := []string{a + " 33", a + " 33", a + " 34", a + " 35", a + " 36"}; !slices.Equal(in, want) {
		t.Errorf("written were %q, want %q", in, want)
	}
	if _, err := client.List(t.Context(), new(grpc_health_v1.HealthListRequest)); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that needs no token: %v", err)
	}
}

func TestStream(t *testing.T) {
	client := start(t, &fencegrpc.Server{Lock: byService, Store: new(fence.Memory)}, func(ctx context.Context) error {
		if lock, token, ok := fence.FromContext(ctx); lock != "ledger/stream" || token < 33 || !ok {
			return errors.New("the hold is not in the context")
		}
		return nil
	})
	hold := func(token fence.Token) context.Context {
		return fence.NewContext(t.Context(), "ledger/stream", token)
	}
	for _, token := range []fence.Token{33, 33, 34} {
		if err := stream(hold(token), client); err != nil {
			t.Errorf("token %d: %v", token, err)
		}
	}
	stale(t, stream(hold(33), client), fence.StaleError{Lock: "ledger/stream", Token: 33, Highest: 34})
	if err := stream(t.Context(), client); status.Code(err) != codes.InvalidArgument {
		t.Errorf("without a token: %v", err)
	}
}

// Calls and streams of a lock are served one at a time: what is written is in the
// order of tokens.
func TestCrowd(t *testing.T) {
	var written []fence.Token // guarded by the fence alone
	one := func(context.Context, fencegrpc.Call) (string, bool) { return "ledger", true }
	client := start(t, &fencegrpc.Server{Lock: one, Store: new(fence.Memory)}, func(ctx context.Context) error {
		_, token, _ := fence.FromContext(ctx)
		written = append(written, token)
		return nil
	})
	var crowd sync.WaitGroup
	for i := range 8 {
		crowd.Go(func() {
			rng := rand.New(rand.NewPCG(4, uint64(i)))
			for turn := range 20 {
				ctx := fence.NewContext(t.Context(), "ledger", fence.Token(1+10*turn+rng.IntN(30)))
				write := stream
				if i%2 == 0 {
					write = func(ctx context.Context, c grpc_health_v1.HealthClient) error { return unary(ctx, c, "") }
				}
				if err := write(ctx, client); err != nil && !errors.Is(err, fence.ErrStale) {
					t.Error(err)
				}
			}
		})
	}
	crowd.Wait()
	if !slices.IsSorted(written) || len(written) == 0 {
		t.Errorf("written with tokens %v", written)
	}
}

// Who waits behind a handler that hangs is refused when there are too many, or
// when its call ends.
func TestBusy(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	client := start(t, &fencegrpc.Server{Lock: byService, Store: new(fence.Memory), Limit: 2}, func(ctx context.Context) error {
		if _, token, _ := fence.FromContext(ctx); token == 1 {
			close(inside)
			<-leave
		}
		return nil
	})
	hung := make(chan error)
	go func() { hung <- unary(fence.NewContext(t.Context(), "ledger/", 1), client, "") }()
	<-inside
	ctx, cancel := context.WithCancel(fence.NewContext(t.Context(), "ledger/", 2))
	got := make(chan error, 2)
	for range 2 { // one waits, and one is too many
		go func() { got <- unary(ctx, client, "") }()
	}
	if err := <-got; status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
	cancel()
	if err := <-got; status.Code(err) != codes.Canceled {
		t.Errorf("%v", err)
	}
	close(leave)
	if err := <-hung; err != nil {
		t.Error(err)
	}
}

// Without a Store the handler checks, and its error arrives all the same. Errors
// that are none of the fence's stay what they are.
func TestHandlerChecks(t *testing.T) {
	want := fence.StaleError{Lock: "ledger/", Token: 33, Highest: 34}
	var answer error
	client := start(t, &fencegrpc.Server{Lock: byService}, func(context.Context) error { return answer })
	ctx := fence.NewContext(t.Context(), "ledger/", 33)
	answer = fmt.Errorf("in the handler: %w", &want)
	stale(t, unary(ctx, client, ""), want)
	for _, code := range []codes.Code{codes.FailedPrecondition, codes.Internal} {
		answer = status.Error(code, "mine")
		if err := unary(ctx, client, ""); status.Code(err) != code || errors.Is(err, fence.ErrStale) {
			t.Errorf("%v", err)
		}
	}
}

// A Store that fails is Internal, and the client learns no paths.
func TestBroken(t *testing.T) {
	client := start(t, &fencegrpc.Server{Lock: byService, Store: broken{}}, func(context.Context) error { return nil })
	err := unary(fence.NewContext(t.Context(), "ledger/", 1), client, "")
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

type broken struct{}

func (broken) Do(context.Context, string, fence.Token, func() error) error {
	return errors.New("secret path")
}
