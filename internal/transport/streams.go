package transport

import (
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
	"github.com/conchlock/conch/internal/transport/wire"
)

// dialed is a link.Stream that this peer has opened.
type dialed struct {
	tcp    net.Conn
	conn   *grpc.ClientConn
	stream wire.Peers_LinkClient

	// Reused from batch to batch: gRPC has encoded a message before Send
	// returns.
	frame   wire.Frame
	batch   wire.Frame_Batch
	packets []*wire.Packet
}

// Send implements link.Stream.
func (d *dialed) Send(f *link.Frame) error {
	switch f.Kind {
	case link.PacketsFrame:
		d.encodeBatch(f.Packets)
	case link.HelloFrame:
		d.frame.Frame = &wire.Frame_Hello{Hello: encodeHello(f.Hello)}
	case link.BeatFrame:
		d.frame.Frame = &wire.Frame_Beat{Beat: &wire.Beat{Ask: f.Ask, Leaving: f.Leaving}}
	default:
		panic(fmt.Sprintf("transport: a dialer sends no frame of kind %d", f.Kind))
	}
	return plain(d.stream.Send(&d.frame))
}

func (d *dialed) encodeBatch(packets []node.Packet) {
	if d.batch.Batch == nil {
		d.batch.Batch = &wire.Batch{}
	}
	for len(d.packets) < len(packets) {
		d.packets = append(d.packets, &wire.Packet{})
	}
	for i := range packets {
		encodePacket(d.packets[i], &packets[i])
	}
	d.batch.Batch.Packets = d.packets[:len(packets)]
	d.frame.Frame = &d.batch
}

// Recv implements link.Stream.
func (d *dialed) Recv(f *link.Frame) error {
	answer, err := d.stream.Recv()
	if err != nil {
		return plain(err)
	}
	return decodeAnswer(f, answer)
}

// Close implements link.Stream.
func (d *dialed) Close() {
	d.conn.Close()
	d.tcp.Close() // in case gRPC never took it
}

// served is a link.Stream that another peer has opened.
type served struct {
	stream  wire.Peers_LinkServer
	decoder *decoder
	frame   wire.Frame
	packets []node.Packet
}

// Send implements link.Stream.
func (s *served) Send(f *link.Frame) error { return plain(s.stream.Send(encodeAnswer(f))) }

// Recv implements link.Stream.
func (s *served) Recv(f *link.Frame) error {
	if err := s.stream.RecvMsg(&s.frame); err != nil {
		return plain(err)
	}
	switch frame := s.frame.GetFrame().(type) {
	case *wire.Frame_Batch:
		var err error
		clear(s.packets)
		if s.packets, err = s.decoder.packets(s.packets[:0], frame.Batch); err != nil {
			return &link.ProtocolError{Text: err.Error()}
		}
		*f = link.Frame{Kind: link.PacketsFrame, Packets: s.packets}
	case *wire.Frame_Beat:
		*f = link.Frame{Kind: link.BeatFrame, Ask: frame.Beat.GetAsk(), Leaving: frame.Beat.GetLeaving()}
	case *wire.Frame_Hello:
		*f = link.Frame{Kind: link.HelloFrame, Hello: decodeHello(frame.Hello)}
	default:
		return &link.ProtocolError{Text: "a frame of a kind that this version does not know"}
	}
	return nil
}

// Close does nothing: gRPC ends the stream when its handler returns.
func (s *served) Close() {}

// plain takes gRPC's wrapping from an error that people will read.
func plain(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return errors.New(status.Convert(err).Message())
}

// coded gives the end of a stream its gRPC code.
func coded(err error) error {
	var refusal *link.Refusal
	var protocol *link.ProtocolError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.As(err, &protocol):
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return status.Error(codes.Unavailable, err.Error())
}
