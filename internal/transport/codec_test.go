package transport

import (
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/algo/ring"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
	"github.com/conchlock/conch/internal/transport/wire"
)

func samples() []node.Packet {
	name := algo.PeerName(strings.Repeat("x", 63))
	stamp := algo.Stamp{Time: algo.MaxTime, Peer: name, Incarnation: 1<<64 - 1}
	lock := strings.Repeat("é", 100)
	life := epoch.Life{Incarnation: 1<<64 - 1, Losses: 1<<64 - 1}
	return []node.Packet{
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: ricartagrawala.Request{Stamp: stamp}},
		{Number: 1, Lock: "x", Message: ricartagrawala.Reply{Stamp: algo.Stamp{Time: 4, Peer: "c", Incarnation: 1}}},
		{Number: 2, Lock: lock, Message: ring.Want{}},
		{Number: 3, Lock: lock, Message: ring.Token{}},
		{Number: 4, Message: epoch.Join{}},
		{Number: 5, Time: algo.MaxTime, Message: epoch.Join{Epoch: epoch.Epoch{{Peer: "a", Life: life}, {Peer: name, Life: life}}, Held: []string{lock, "ü"}}},
		{Number: 6, Lock: lock, Message: epoch.Left{}},
	}
}

// What is encoded is decoded to the same, and is no larger than estimated.
func TestCodec(t *testing.T) {
	cfg := link.Config{Size: messageSize}
	encoded := &wire.Packet{}
	for _, p := range samples() {
		encodePacket(encoded, &p) // over the one before
		bytes, err := proto.Marshal(&wire.Frame{Frame: &wire.Frame_Batch{Batch: &wire.Batch{Packets: []*wire.Packet{encoded}}}})
		if err != nil {
			t.Fatal(err)
		}
		if size := cfg.PacketSize(&p); len(bytes) > size {
			t.Errorf("%v takes %d bytes, estimated were %d", p, len(bytes), size)
		}
		var frame wire.Frame
		if err := proto.Unmarshal(bytes, &frame); err != nil {
			t.Fatal(err)
		}
		got, err := newDecoder().packets(nil, frame.GetBatch())
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], p) {
			t.Errorf("%v came back as %v, %v", p, got, err)
		}
	}
}

// A kind of message without a place in the schema is a mistake in this program.
func TestUnknownMessage(t *testing.T) {
	for _, f := range []func(){
		func() { messageSize(stranger{}) },
		func() { encodePacket(&wire.Packet{}, &node.Packet{Message: stranger{}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a message of no known kind was encoded")
				}
			}()
			f()
		}()
	}
}

type stranger struct{}

func (stranger) Kind() string                               { return "stranger" }
func (stranger) AppendFields(dst []algo.Field) []algo.Field { return dst }

// FuzzDecode feeds frames of any bytes to the decoders. What they accept must
// come back the same after another round.
func FuzzDecode(f *testing.F) {
	for _, p := range samples() {
		encoded := &wire.Packet{}
		encodePacket(encoded, &p)
		bytes, err := proto.Marshal(&wire.Batch{Packets: []*wire.Packet{encoded, encoded}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes)
	}
	decoder := newDecoder() // keeps names from input to input, as on a stream
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var answer wire.Answer
		if proto.Unmarshal(bytes, &answer) == nil {
			_ = decodeAnswer(&link.Frame{}, &answer)
		}
		var hello wire.Hello
		if proto.Unmarshal(bytes, &hello) == nil {
			decodeHello(&hello)
		}
		var batch wire.Batch
		if proto.Unmarshal(bytes, &batch) != nil {
			return
		}
		packets, err := decoder.packets(nil, &batch)
		if err != nil {
			return
		}
		cfg := link.Config{Size: messageSize}
		for _, p := range packets {
			encoded := &wire.Packet{}
			encodePacket(encoded, &p)
			if n := proto.Size(encoded); n > cfg.PacketSize(&p) {
				t.Errorf("%v takes %d bytes, estimated were %d", p, n, cfg.PacketSize(&p))
			}
			again, err := decoder.packet(encoded)
			if err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("%v came back as %v, %v", p, again, err)
			}
		}
	})
}
