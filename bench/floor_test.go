package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/conchlock/conch/internal/transport/wire"
)

// echo answers every frame at once: gRPC as it is, without a link.
type echo struct{ wire.UnimplementedPeersServer }

func (echo) Link(stream wire.Peers_LinkServer) error {
	answer := &wire.Answer{Answer: &wire.Answer_Ack{Ack: &wire.Ack{Received: 1}}}
	for {
		if _, err := stream.Recv(); err != nil {
			return nil
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func floorChild(in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	wire.RegisterPeersServer(server, echo{})
	go func() {
		io.Copy(io.Discard, in)
		server.Stop()
	}()
	fmt.Fprintln(out, listener.Addr())
	return server.Serve(listener)
}

// floor returns round trips of one small message over one plain stream.
func floor(b *testing.B) func() error {
	_, addr := startServer(b, "floor")
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	stream, err := wire.NewPeersClient(conn).Link(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	packet := &wire.Packet{
		Number: 1000, Time: 1 << 50, Lock: "nightly-report",
		Message: &wire.Packet_RicartAgrawalaRequest{RicartAgrawalaRequest: &wire.RicartAgrawalaRequest{Stamp: &wire.Stamp{Time: 1 << 50, Peer: "a", Incarnation: 1 << 50}}},
	}
	frame := &wire.Frame{Frame: &wire.Frame_Batch{Batch: &wire.Batch{Packets: []*wire.Packet{packet}}}}
	return func() error {
		if err := stream.Send(frame); err != nil {
			return err
		}
		_, err := stream.Recv()
		return err
	}
}

// BenchmarkFloor is a ping-pong over one stream between two processes.
func BenchmarkFloor(b *testing.B) {
	roundTrip := floor(b)
	b.ResetTimer()
	times, err := measure(b.N, roundTrip)
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	times.report(b, "one-way-")
}
