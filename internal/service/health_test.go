package service

import (
	"errors"
	"slices"
	"testing"

	"connectrpc.com/grpcreflect/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/conchlock/conch"
)

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	unknown    = grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
)

// healthCalls is gRPC's own client of the health service: what probes use.
func healthCalls(t *testing.T, path string) grpc_health_v1.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}

func watchHealth(t *testing.T, c grpc_health_v1.HealthClient, service string) (next func() grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	stream, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	return func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		answer, err := stream.Recv()
		if err != nil {
			return -1
		}
		return answer.GetStatus()
	}
}

func TestHealth(t *testing.T) {
	s, path := serve(t, join(t))
	c := healthCalls(t, path)
	for _, service := range checked {
		answer, err := c.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || answer.GetStatus() != serving {
			t.Errorf("%q: %v, %v", service, answer, err)
		}
	}
	if answer, err := c.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("a service that is not there: %v, %v", answer, err)
	}
	if list, err := c.List(t.Context(), &grpc_health_v1.HealthListRequest{}); err != nil || len(list.GetStatuses()) != len(checked) {
		t.Errorf("%v, %v", list, err)
	}
	all, none := watchHealth(t, c, ""), watchHealth(t, c, "x")
	if got := all(); got != serving {
		t.Errorf("at first %v", got)
	}
	if got := none(); got != unknown {
		t.Errorf("a service that is not there: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := all(); got != notServing {
		t.Errorf("at the end %v", got)
	}
	if got := all(); got != -1 {
		t.Errorf("after the end %v", got)
	}
}

// A peer that has ended serves no more, though its socket is still there.
func TestHealthOfPeer(t *testing.T) {
	peer := join(t)
	_, path := serve(t, peer)
	c := healthCalls(t, path)
	next := watchHealth(t, c, "")
	if got := next(); got != serving {
		t.Errorf("at first %v", got)
	}
	if err := peer.Close(); err != nil && !errors.Is(err, conch.ErrClosed) {
		t.Error(err)
	}
	if got := next(); got != notServing {
		t.Errorf("at the end %v", got)
	}
	if answer, err := c.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil || answer.GetStatus() != notServing {
		t.Errorf("%v, %v", answer, err)
	}
}

// Tools find all calls by reflection.
func TestReflection(t *testing.T) {
	_, path := serve(t, join(t))
	stream := grpcreflect.NewClient(callers(t, path)).NewStream(t.Context())
	defer stream.Close()
	services, err := stream.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(checked[1:], healthService) {
		files, err := stream.FileContainingSymbol(protoreflect.FullName(name))
		if err != nil || len(files) == 0 || !slices.Contains(services, protoreflect.FullName(name)) {
			t.Errorf("%s: among %v, %d files, %v", name, services, len(files), err)
		}
	}
}
