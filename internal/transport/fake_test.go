package transport_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/transport"
	"github.com/conchlock/conch/internal/transport/linktest"
	"github.com/conchlock/conch/internal/transport/wire"
)

// fake plays peer a, by the letter or not, towards a real b.
type fake struct {
	wire.UnimplementedPeersServer
	t      *testing.T
	answer func(hello *wire.Hello, stream wire.Peers_LinkServer) error // to b's dial
	b      *linktest.Handler
	conn   *grpc.ClientConn // to b
}

func (f *fake) Link(stream wire.Peers_LinkServer) error {
	frame, err := stream.Recv()
	if err != nil {
		return err
	}
	return f.answer(frame.GetHello(), stream)
}

// newFake starts b, and a fake a whose answer to b's dial is given; nil is an
// answer by the letter.
func newFake(t *testing.T, answer func(*wire.Hello, wire.Peers_LinkServer) error) *fake {
	t.Helper()
	f := &fake{t: t, answer: answer}
	if answer == nil {
		f.answer = func(_ *wire.Hello, stream wire.Peers_LinkServer) error {
			stream.Send(&wire.Answer{Answer: &wire.Answer_Welcome{Welcome: f.hello()}})
			return drain(stream)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	wire.RegisterPeersServer(server, f)
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	b := linktest.Config("b", 1)
	cfg := transport.Config{
		Self: "b", Incarnation: 1, Listen: "127.0.0.1:0", Votes: b.Votes, Cluster: b.Cluster, Algorithm: b.Algorithm, TTL: b.TTL,
		Outdated: func(known algo.Incarnation) {
			t.Errorf("b is told of its incarnation %d by somebody who is not at a's address", known)
		},
	}
	cfg.Peers = newNetwork(t).config(b).Peers
	cfg.Peers["a"] = listener.Addr().String()
	tr, h := start(t, cfg)
	f.b = h
	f.conn = connect(t, tr.Addr().String())
	return f
}

// drain reads until the stream ends.
func drain(stream wire.Peers_LinkServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

// hello is what a says about itself.
func (f *fake) hello() *wire.Hello {
	a := linktest.Config("a", 1)
	return &wire.Hello{
		Version: 1, VersionMin: 1, Cluster: a.Cluster, Algorithm: a.Algorithm, TtlNs: int64(a.TTL),
		From: "a", To: "b", Incarnation: 1,
		Members: []*wire.Member{{Name: "a", Votes: 1}, {Name: "b", Votes: 1}, {Name: "c", Votes: 1}},
	}
}

// dial opens a stream to b and sends frames on it.
func (f *fake) dial(frames ...*wire.Frame) wire.Peers_LinkClient {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), linktest.Patience)
	f.t.Cleanup(cancel)
	stream, err := wire.NewPeersClient(f.conn).Link(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, frame := range frames {
		stream.Send(frame) // an error shows when the answer is read
	}
	return stream
}

// until reads answers until one fulfills cond.
func until(t *testing.T, stream wire.Peers_LinkClient, cond func(*wire.Answer) bool) {
	t.Helper()
	for {
		answer, err := stream.Recv()
		if err != nil {
			t.Fatalf("the stream has ended: %v", err)
		}
		if cond(answer) {
			return
		}
	}
}

func isReady(a *wire.Answer) bool { return a.GetReady() != nil }

// wantEnd reads until the stream ends and checks how.
func wantEnd(t *testing.T, stream wire.Peers_LinkClient, code codes.Code, words string) {
	t.Helper()
	for {
		_, err := stream.Recv()
		if err == nil {
			continue
		}
		if s := status.Convert(err); s.Code() != code || !strings.Contains(s.Message(), words) {
			t.Errorf("the stream ended with %v, want %v and %q", err, code, words)
		}
		return
	}
}

func helloFrame(h *wire.Hello) *wire.Frame {
	return &wire.Frame{Frame: &wire.Frame_Hello{Hello: h}}
}

func batchFrame(packets ...*wire.Packet) *wire.Frame {
	return &wire.Frame{Frame: &wire.Frame_Batch{Batch: &wire.Batch{Packets: packets}}}
}

func want() *wire.Packet_RingWant { return &wire.Packet_RingWant{RingWant: &wire.RingWant{}} }

// What must not be sent ends the stream with InvalidArgument and the place.
func TestMalformedPackets(t *testing.T) {
	checkGoroutines(t)
	stamp := func(time uint64, peer string) *wire.Packet_RicartAgrawalaRequest {
		return &wire.Packet_RicartAgrawalaRequest{RicartAgrawalaRequest: &wire.RicartAgrawalaRequest{Stamp: &wire.Stamp{Time: time, Peer: peer, Incarnation: 1}}}
	}
	for _, c := range []struct {
		name   string
		packet *wire.Packet
		words  string
	}{
		{"no message", &wire.Packet{Number: 1}, "packet 0 of a batch, number 1: it has no message"},
		{"number 0", &wire.Packet{Message: want()}, "numbers start at 1"},
		{"time", &wire.Packet{Number: 1, Time: 1 << 53, Message: want()}, "time 9007199254740992 is over the largest"},
		{"stamp's time", &wire.Packet{Number: 1, Message: stamp(1<<63, "a")}, "stamp: time"},
		{"stamp's peer", &wire.Packet{Number: 1, Message: stamp(1, "A/../b")}, "stamp: peer name"},
		{"no stamp", &wire.Packet{Number: 1, Message: &wire.Packet_RicartAgrawalaReply{}}, "its stamp is missing"},
		{"long lock", &wire.Packet{Number: 1, Lock: strings.Repeat("x", 201), Message: want()}, "lock name"},
		{"unprintable lock", &wire.Packet{Number: 1, Lock: "a\x00b", Message: want()}, "cannot be printed"},
		{"unsorted epoch", &wire.Packet{Number: 1, Message: &wire.Packet_EpochJoin{EpochJoin: &wire.EpochJoin{
			Epoch: []*wire.EpochMember{{Peer: "b", Incarnation: 1}, {Peer: "a", Incarnation: 1}}}}}, "not sorted"},
		{"held twice", &wire.Packet{Number: 1, Message: &wire.Packet_EpochJoin{EpochJoin: &wire.EpochJoin{Held: []string{"x", "x"}}}}, "not sorted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, nil)
			stream := f.dial(helloFrame(f.hello()))
			until(t, stream, isReady)
			stream.Send(batchFrame(c.packet))
			wantEnd(t, stream, codes.InvalidArgument, c.words)
			if got := f.b.Peer("a").Received; len(got) > 0 {
				t.Errorf("packets %v were handed on", got)
			}
		})
	}
}

// Frames out of turn end the stream likewise.
func TestFramesOutOfTurn(t *testing.T) {
	checkGoroutines(t)
	f := newFake(t, nil)
	packet := &wire.Packet{Number: 1, Message: want()}
	wantEnd(t, f.dial(batchFrame(packet)), codes.InvalidArgument, "begins with one hello")
	wantEnd(t, f.dial(&wire.Frame{}), codes.InvalidArgument, "does not know")
	wantEnd(t, f.dial(helloFrame(f.hello()), helloFrame(f.hello())), codes.InvalidArgument, "begins with one hello")

	other := f.hello()
	other.Cluster = strings.Repeat("long", 1000)
	wantEnd(t, f.dial(helloFrame(other)), codes.FailedPrecondition, "cluster")
	wantEnd(t, f.dial(helloFrame(&wire.Hello{})), codes.FailedPrecondition, "update the older one")
	older := f.hello()
	older.VersionMin, older.Version = 7, 9
	wantEnd(t, f.dial(helloFrame(older)), codes.FailedPrecondition, "7 to 9")
	myself := f.hello()
	myself.From = "b"
	wantEnd(t, f.dial(helloFrame(myself)), codes.FailedPrecondition, "both run under the name b")
	nobody := f.hello()
	nobody.From = "z"
	wantEnd(t, f.dial(helloFrame(nobody)), codes.FailedPrecondition, "in nobody's list")
	lost := f.hello()
	lost.To = "c"
	wantEnd(t, f.dial(helloFrame(lost)), codes.FailedPrecondition, `looks for "c"`)
}

// Whoever says hello may claim to know a later incarnation. That is refused, but
// it is believed only if it is said at that peer's address: it ends a peer.
func TestClaimsToKnowLater(t *testing.T) {
	checkGoroutines(t)
	f := newFake(t, nil)
	claim := f.hello()
	claim.Known = 1 << 40
	wantEnd(t, f.dial(helloFrame(claim)), codes.FailedPrecondition, "is known already")
	until(t, f.dial(helloFrame(f.hello())), isReady) // and who is at a's address is welcome
}

// A frame over the size limit ends the stream, whatever is in it.
func TestFrameTooLarge(t *testing.T) {
	checkGoroutines(t)
	f := newFake(t, nil)
	stream := f.dial(helloFrame(f.hello()))
	until(t, stream, isReady)
	stream.Send(batchFrame(&wire.Packet{Number: 1, Lock: strings.Repeat("x", 6<<20), Message: want()}))
	wantEnd(t, stream, codes.ResourceExhausted, "larger than max")
}

// Doubles are put aside, within a stream and across streams.
func TestDoubles(t *testing.T) {
	checkGoroutines(t)
	f := newFake(t, nil)
	packet := func(n uint64) *wire.Packet {
		p := linktest.Packet(n)
		out := &wire.Packet{}
		transport.EncodePacket(out, &p)
		return out
	}
	for range 3 {
		stream := f.dial(helloFrame(f.hello()))
		until(t, stream, isReady)
		stream.Send(batchFrame(packet(1), packet(2), packet(2), packet(1), packet(3)))
		stream.Send(batchFrame(packet(2), packet(4)))
		stream.Send(&wire.Frame{Frame: &wire.Frame_Beat{Beat: &wire.Beat{Ask: true}}})
		until(t, stream, func(a *wire.Answer) bool { return a.GetAck().GetReceived() == 4 })
	}
	f.b.WantAll("a", 1, 4)
}

// Whoever acknowledges what it was not sent has lost the session: both begin
// anew. Nothing that a peer answers is a reason to panic.
func TestLyingAnswers(t *testing.T) {
	checkGoroutines(t)
	ready := func(session, received uint64) *wire.Answer {
		return &wire.Answer{Answer: &wire.Answer_Ready{Ready: &wire.Ready{Session: session, Received: received}}}
	}
	welcome := func(h *wire.Hello) *wire.Answer {
		return &wire.Answer{Answer: &wire.Answer_Welcome{Welcome: h}}
	}
	ack := &wire.Answer{Answer: &wire.Answer_Ack{Ack: &wire.Ack{Received: 1 << 40}}}
	var f *fake
	for _, c := range []struct {
		name    string
		answers func() []*wire.Answer
		words   string
	}{
		{"ready first", func() []*wire.Answer { return []*wire.Answer{ready(1, 0)} }, "out of turn"},
		{"welcome twice", func() []*wire.Answer { return []*wire.Answer{welcome(f.hello()), welcome(f.hello())} }, "welcome twice"},
		{"ready twice", func() []*wire.Answer { return []*wire.Answer{welcome(f.hello()), ready(1, 0), ready(1, 0)} }, "out of turn"},
		{"session 0", func() []*wire.Answer { return []*wire.Answer{welcome(f.hello()), ready(0, 0)} }, "out of turn"},
		{"has all", func() []*wire.Answer { return []*wire.Answer{welcome(f.hello()), ready(1, 77)} }, "does not know"},
		{"acknowledges too much", func() []*wire.Answer { return []*wire.Answer{welcome(f.hello()), ready(1, 0), ack} }, "was not sent"},
		{"nothing", func() []*wire.Answer { return []*wire.Answer{{}} }, "does not know"},
		{"another name", func() []*wire.Answer {
			h := f.hello()
			h.From = "c"
			return []*wire.Answer{welcome(h)}
		}, "not a: correct the address of a"},
		{"refusal", func() []*wire.Answer {
			return []*wire.Answer{{Answer: &wire.Answer_Refused{Refused: &wire.Refused{Cause: -1, Text: "for no reason"}}}}
		}, "for no reason"},
		{"what cannot be printed", func() []*wire.Answer {
			text := "red: \x1b[31m\n\u202e" + strings.Repeat("x", 1<<20)
			return []*wire.Answer{{Answer: &wire.Answer_Refused{Refused: &wire.Refused{Text: text}}}}
		}, "red: ?[31m??" + strings.Repeat("x", 900)},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := make(chan struct{}) // f is
			f = newFake(t, func(_ *wire.Hello, stream wire.Peers_LinkServer) error {
				<-made
				for _, answer := range c.answers() {
					stream.Send(answer)
				}
				return drain(stream)
			})
			close(made)
			f.b.Wait("a", "is down because it "+c.words[:min(len(c.words), 50)], func(p *linktest.Peer) bool { return strings.Contains(strings.Join(p.Reasons, "\n"), c.words) })
		})
	}
}

// No packet of a peer is asked for while no own dial has found it, not even of
// an incarnation that one has found before.
func TestNoReadyWithoutOwnDial(t *testing.T) {
	checkGoroutines(t)
	welcomed := make(chan struct{})
	var dials atomic.Int32
	made := make(chan struct{})
	var f *fake
	f = newFake(t, func(_ *wire.Hello, stream wire.Peers_LinkServer) error {
		<-made
		if dials.Add(1) == 1 {
			stream.Send(&wire.Answer{Answer: &wire.Answer_Welcome{Welcome: f.hello()}})
			close(welcomed)
			return nil
		}
		return drain(stream)
	})
	close(made)
	<-welcomed
	f.b.Wait("a", "is lost", func(p *linktest.Peer) bool { return len(p.Reasons) > 0 })
	stream := f.dial(helloFrame(f.hello()))
	for beats := 0; beats < 2; {
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetReady() != nil {
			t.Fatal("b is ready for packets of a peer that it does not reach")
		}
		if answer.GetAck() != nil {
			beats++
		}
	}
	if c := f.b.Peer("a").Contacts; len(c) > 0 {
		t.Errorf("b has contacts %v", c)
	}
}

// A session that b has given up is not taken up again because the other side
// has not heard of that yet.
func TestOldSessionStaysEnded(t *testing.T) {
	checkGoroutines(t)
	type stream = wire.Peers_LinkServer
	dials := make(chan stream)
	done := make(chan struct{})
	made := make(chan struct{})
	var f *fake
	f = newFake(t, func(_ *wire.Hello, s stream) error {
		<-made
		s.Send(&wire.Answer{Answer: &wire.Answer_Welcome{Welcome: f.hello()}})
		select {
		case dials <- s:
		case <-done:
		}
		return drain(s)
	})
	close(made)
	defer close(done)
	ready := func(session uint64) {
		t.Helper()
		select {
		case s := <-dials:
			s.Send(&wire.Answer{Answer: &wire.Answer_Ready{Ready: &wire.Ready{Session: session}}})
		case <-time.After(linktest.Patience):
			t.Fatalf("b does not dial for session %d", session)
		}
	}
	contacts := func(n int) {
		t.Helper()
		f.b.Wait("a", "is met so often", func(p *linktest.Peer) bool { return len(p.Contacts) == n })
	}
	ready(1)
	contacts(1)
	for i := 0; len(f.b.Peer("a").Dropped) == 0 && i < 100; i++ {
		f.b.Send("a", 1000) // never acknowledged
	}
	f.b.Wait("a", "is given up", func(p *linktest.Peer) bool { return len(p.Dropped) > 0 })
	ready(1)
	ready(1)
	if c := f.b.Peer("a").Contacts; len(c) != 1 {
		t.Errorf("b has contacts %v, want one", c)
	}
	ready(2)
	contacts(2)
}
