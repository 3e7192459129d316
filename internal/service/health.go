package service

import (
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// health answers the calls of grpc.health.v1.Health: it serves while the peer does.
// (connect's own package for that, grpchealth, is not there for connect v2; these are
// its three calls.)
type health struct {
	peer <-chan struct{} // closed when the peer has ended
	done <-chan struct{} // closed when the server ends
}

// healthService is the name of the service; its methods are Check, Watch and List.
const healthService = "grpc.health.v1.Health"

// checked are the services that can be asked for; the empty name is all of them.
var checked = []string{"", conchv1connect.LocksName, conchv1connect.PeersName}

// register registers the calls.
func (h *health) register(calls *connect.Server) {
	methods := grpc_health_v1.File_grpc_health_v1_health_proto.Services().ByName("Health").Methods()
	for name, m := range map[protoreflect.Name]struct {
		kind    connect.StreamType
		handler connect.ServerFunc
	}{
		"Check": {connect.StreamTypeUnary, h.check},
		"List":  {connect.StreamTypeUnary, h.list},
		"Watch": {connect.StreamTypeServer, h.watch},
	} {
		calls.Register(connect.Method{
			Spec:    connect.Spec{StreamType: m.kind, Procedure: fmt.Sprintf("/%s/%s", healthService, name), Schema: methods.ByName(name)},
			Handler: m.handler,
		})
	}
}

// status says how it is now.
func (h *health) status() *grpc_health_v1.HealthCheckResponse {
	status := grpc_health_v1.HealthCheckResponse_SERVING
	select {
	case <-h.peer:
		status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	case <-h.done:
		status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	default:
	}
	return &grpc_health_v1.HealthCheckResponse{Status: status}
}

func (h *health) check(_ context.Context, _ connect.Spec, stream connect.ServerStream) error {
	var r grpc_health_v1.HealthCheckRequest
	if err := stream.Receive(&r); err != nil {
		return err
	}
	if !slices.Contains(checked, r.GetService()) {
		return connect.NewError(connect.CodeNotFound, fmt.Sprintf("no service is called %q", r.GetService()))
	}
	return stream.Send(h.status())
}

func (h *health) list(_ context.Context, _ connect.Spec, stream connect.ServerStream) error {
	var r grpc_health_v1.HealthListRequest
	if err := stream.Receive(&r); err != nil {
		return err
	}
	answer := &grpc_health_v1.HealthListResponse{Statuses: make(map[string]*grpc_health_v1.HealthCheckResponse)}
	for _, name := range checked {
		answer.Statuses[name] = h.status()
	}
	return stream.Send(answer)
}

// watch tells it now, and again when it changes. A service that is not there may
// come, says the protocol: so it is no error.
func (h *health) watch(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
	var r grpc_health_v1.HealthCheckRequest
	if err := stream.Receive(&r); err != nil {
		return err
	}
	now, peer := h.status(), h.peer
	if !slices.Contains(checked, r.GetService()) {
		now.Status, peer = grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN, nil
	}
	for {
		if err := stream.Send(now); err != nil {
			return err
		}
		if now.Status == grpc_health_v1.HealthCheckResponse_NOT_SERVING {
			peer = nil
		}
		select {
		case <-peer:
			now = h.status()
		case <-h.done:
			if now.Status != grpc_health_v1.HealthCheckResponse_SERVING {
				return unavailable()
			}
			if err := stream.Send(h.status()); err != nil {
				return err
			}
			return unavailable()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
