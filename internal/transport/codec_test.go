package transport

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/algo/lamport"
	"github.com/conchlock/conch/algo/naimitrehel"
	"github.com/conchlock/conch/algo/raymond"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/algo/ring"
	"github.com/conchlock/conch/algo/suzukikasami"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
	"github.com/conchlock/conch/internal/transport/wire"
)

func samples() []node.Packet {
	name := algo.PeerName(strings.Repeat("x", 63))
	stamp := algo.Stamp{Time: algo.MaxTime, Peer: name, Incarnation: 1<<64 - 1}
	lock := strings.Repeat("é", 100)
	life := epoch.Life{Incarnation: 1<<64 - 1, Losses: 1<<64 - 1}
	lease := relay.Lease{Asked: maxInstant, Length: maxLength}
	const most = uint64(algo.MaxTime)
	served := relay.Served{{Time: 3, Peer: "b", Incarnation: 1}, stamp}
	return append(append(classicSamples(), maekawaSamples()...), append([]node.Packet{
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: ricartagrawala.Request{Stamp: stamp}},
		{Number: 1, Lock: "x", Message: ricartagrawala.Reply{Stamp: algo.Stamp{Time: 4, Peer: "c", Incarnation: 1}}},
		{Number: 2, Lock: lock, Message: ring.Want{}},
		{Number: 3, Lock: lock, Message: ring.Token{}},
		{Number: 4, Message: epoch.Join{}},
		{Number: 5, Time: algo.MaxTime, Message: epoch.Join{Epoch: epoch.Epoch{{Peer: "a", Life: life}, {Peer: name, Life: life}}, Held: []string{lock, "ü"}}},
		{Number: 6, Lock: lock, Message: epoch.Left{}},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: raymond.Request{}},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: raymond.Privilege{}},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: naimitrehel.Request{Peer: name}},
		{Number: 11, Lock: "x", Message: naimitrehel.Request{Peer: "c"}},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: naimitrehel.Token{}},
	}, []node.Packet{
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Request{Stamp: stamp, Now: maxInstant}, Upkeep: true},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Cancel{Stamp: stamp}, Upkeep: true},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Vote{Term: stamp, Ballot: most, Offer: algo.Token(most), Ceiling: algo.Token(most), Lease: lease}, Upkeep: true},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Inquire{Term: stamp, Ballot: most}, Upkeep: true},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Yield{Term: stamp, Ballot: most}, Upkeep: true},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Renew{Term: stamp, Number: algo.Token(most), Now: maxInstant}, Upkeep: true},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Renewed{Term: stamp, Ceiling: algo.Token(most), Lease: lease, Eldest: stamp, Now: maxInstant}, Upkeep: true},
		{Number: 7, Lock: "x", Message: relay.Renewed{Term: stamp}},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Release{Term: stamp, Number: algo.Token(most), Served: served}, Upkeep: true},
		{Number: 8, Lock: "x", Message: relay.Release{Term: stamp}},
		{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: relay.Token{Term: stamp, Number: algo.Token(most), Ceiling: algo.Token(most), Lease: lease, Served: served}, Upkeep: true},
		{Number: 9, Lock: "x", Message: relay.Token{Term: stamp}},
		{Number: 10, Message: relay.Newborn{To: []relay.Life{{Peer: "a", Incarnation: 1<<64 - 1}, {Peer: "b", Incarnation: 2}}}, Upkeep: true},
	}...)...)
}

// classicSamples are those of the algorithms in codec_classics.go.
func classicSamples() []node.Packet {
	const most = uint64(algo.MaxTime)
	lock := strings.Repeat("é", 100)
	name := algo.PeerName(strings.Repeat("x", 63))
	var large suzukikasami.Token
	for i := range 31 {
		p := algo.PeerName(fmt.Sprintf("%063d", i))
		large.Served = append(large.Served, suzukikasami.Served{Peer: p, Number: most})
		large.Queue = append(large.Queue, p)
	}
	var packets []node.Packet
	for _, m := range []algo.Message{
		lamport.Request{Stamp: algo.Stamp{Time: algo.MaxTime, Peer: name, Incarnation: 1<<64 - 1}},
		lamport.Ack{}, lamport.Ack{Time: algo.MaxTime},
		lamport.Release{}, lamport.Release{Time: algo.MaxTime},
		suzukikasami.Request{}, suzukikasami.Request{Number: most},
		suzukikasami.Token{}, large,
		suzukikasami.Token{Queue: []algo.PeerName{"c", "a", "b"}}, // in order of arrival
	} {
		packets = append(packets, node.Packet{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: lock, Message: m})
	}
	return packets
}

func TestRefusesClassics(t *testing.T) {
	const over = uint64(algo.MaxTime) + 1
	many := make([]string, maxPeers+1)
	served := make([]*wire.SuzukiKasamiServed, maxPeers+1)
	for i := range many {
		many[i] = fmt.Sprintf("p%04d", i)
		served[i] = &wire.SuzukiKasamiServed{Peer: many[i], Number: 1}
	}
	queue := func(names ...string) *wire.Packet {
		return &wire.Packet{Message: &wire.Packet_SuzukiKasamiToken{SuzukiKasamiToken: &wire.SuzukiKasamiToken{Queue: names}}}
	}
	ln := func(served ...*wire.SuzukiKasamiServed) *wire.Packet {
		return &wire.Packet{Message: &wire.Packet_SuzukiKasamiToken{SuzukiKasamiToken: &wire.SuzukiKasamiToken{Served: served}}}
	}
	for want, p := range map[string]*wire.Packet{
		"lamport's request: stamp: its stamp is missing":                 {Message: &wire.Packet_LamportRequest{}},
		"lamport's ack: time: time 9007199254740992 is over":             {Message: &wire.Packet_LamportAck{LamportAck: &wire.LamportAck{Time: over}}},
		"lamport's release: time: time 9007199254740992 is over":         {Message: &wire.Packet_LamportRelease{LamportRelease: &wire.LamportRelease{Time: over}}},
		"lamport's ack is about a lock":                                  {Message: &wire.Packet_LamportAck{}},
		"suzuki-kasami's request: number: 9007199254740992 is over":      {Message: &wire.Packet_SuzukiKasamiRequest{SuzukiKasamiRequest: &wire.SuzukiKasamiRequest{Number: over}}},
		"suzuki-kasami's token: queue: 1025 peers are named":             queue(many...),
		"suzuki-kasami's token: queue: a peer is named twice":            queue("b", "a", "b"),
		"suzuki-kasami's token: queue: a peer needs a name":              queue(""),
		"suzuki-kasami's token: served: 1025 peers are named":            ln(served...),
		"suzuki-kasami's token: served: its peers are not sorted":        ln(served[1], served[0]),
		"suzuki-kasami's token: served: numbers start at 1":              ln(&wire.SuzukiKasamiServed{Peer: "a"}),
		"suzuki-kasami's token: served: 9007199254740992 is over":        ln(&wire.SuzukiKasamiServed{Peer: "a", Number: over}),
		"suzuki-kasami's token: served: peer name \"A\": use lower-case": ln(&wire.SuzukiKasamiServed{Peer: "A", Number: 1}),
	} {
		p.Number = 1
		if want != "lamport's ack is about a lock" {
			p.Lock = "x"
		}
		_, err := newDecoder().packets(nil, &wire.Batch{Packets: []*wire.Packet{p}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "packet 0 of a batch") {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// What cannot be true is refused, and the error names the place.
func TestRefusesRelay(t *testing.T) {
	stamp := &wire.Stamp{Time: 4, Peer: "c", Incarnation: 1}
	lease := &wire.Lease{AskedNs: 1, LengthNs: 1}
	const over = uint64(algo.MaxTime) + 1
	many := make([]*wire.Stamp, maxServed+1)
	for i := range many {
		many[i] = &wire.Stamp{Peer: fmt.Sprintf("p%04d", i)}
	}
	vote := func(change func(v *wire.RelayVote)) *wire.Packet {
		v := &wire.RelayVote{Term: stamp, Ballot: 1, Offer: 1, Ceiling: 1, Lease: lease}
		change(v)
		return &wire.Packet{Message: &wire.Packet_RelayVote{RelayVote: v}}
	}
	release := func(served ...*wire.Stamp) *wire.Packet {
		return &wire.Packet{Message: &wire.Packet_RelayRelease{RelayRelease: &wire.RelayRelease{Term: stamp, Served: served}}}
	}
	for want, p := range map[string]*wire.Packet{
		"vote: ballot: 9007199254740992 is over the largest":  vote(func(v *wire.RelayVote) { v.Ballot = over }),
		"vote: offer: 9007199254740992 is over the largest":   vote(func(v *wire.RelayVote) { v.Offer = over }),
		"vote: ceiling: 9007199254740992 is over the largest": vote(func(v *wire.RelayVote) { v.Ceiling = over }),
		"vote: lease: it is missing":                          vote(func(v *wire.RelayVote) { v.Lease = nil }),
		"vote: lease: -1 ns is no length":                     vote(func(v *wire.RelayVote) { v.Lease = &wire.Lease{LengthNs: -1} }),
		"vote: lease: 9223372036854775807 ns is no length":    vote(func(v *wire.RelayVote) { v.Lease = &wire.Lease{LengthNs: 1<<63 - 1} }),
		"vote: lease: -1 ns is no reading":                    vote(func(v *wire.RelayVote) { v.Lease = &wire.Lease{AskedNs: -1} }),
		"vote: term: its stamp is missing":                    vote(func(v *wire.RelayVote) { v.Term = nil }),
		"vote: term: stamp: a peer needs a name":              vote(func(v *wire.RelayVote) { v.Term = &wire.Stamp{} }),
		"request: now: 9223372036854775807 ns is no reading": {Message: &wire.Packet_RelayRequest{
			RelayRequest: &wire.RelayRequest{Stamp: stamp, NowNs: 1<<63 - 1}}},
		"renewed: eldest: stamp: time 9007199254740992 is over": {Message: &wire.Packet_RelayRenewed{
			RelayRenewed: &wire.RelayRenewed{Term: stamp, Lease: lease, Eldest: &wire.Stamp{Time: over, Peer: "b"}}}},
		"release: served: 1025 peers are named": release(many...),
		"release: served: its peers are not":    release(stamp, stamp),
		"yield is about a lock":                 {Message: &wire.Packet_RelayYield{RelayYield: &wire.RelayYield{Term: stamp}}},
		"cancel: stamp: its stamp is missing":   {Message: &wire.Packet_RelayCancel{}},
	} {
		p.Number = 1
		if want != "yield is about a lock" {
			p.Lock = "x"
		}
		_, err := newDecoder().packets(nil, &wire.Batch{Packets: []*wire.Packet{p}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "packet 0 of a batch") {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// A request in nobody's name is refused.
func TestRefusesTrees(t *testing.T) {
	for _, m := range []*wire.NaimiTrehelRequest{nil, {}, {Peer: "a b"}} {
		p := &wire.Packet{Number: 1, Lock: "x", Message: &wire.Packet_NaimiTrehelRequest{NaimiTrehelRequest: m}}
		_, err := newDecoder().packets(nil, &wire.Batch{Packets: []*wire.Packet{p}})
		if err == nil || !strings.Contains(err.Error(), "naimi-trehel's request: ") || !strings.Contains(err.Error(), "packet 0 of a batch") {
			t.Errorf("%v: %v", m, err)
		}
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

// hellos are an empty one, and one in which everything is set.
func hellos() []*link.Hello {
	return []*link.Hello{{}, {
		Version: 3, VersionMin: 2, Cluster: "c", Algorithm: "relay", Open: true, Members: []link.Member{{Name: "a", Votes: 1}, {Name: "b"}},
		TTL: 5, Drift: 7, From: "a", To: "b", Incarnation: 9, Clock: 11, Known: 13, Process: 1<<64 - 1, KnownProcess: 17, KnewEarlier: true, Floor: 19,
	}}
}

// What is said in a hello is heard, all of it.
func TestHello(t *testing.T) {
	full := reflect.ValueOf(*hellos()[1])
	for i := range full.NumField() {
		if full.Field(i).IsZero() {
			t.Errorf("no sample says %s", full.Type().Field(i).Name)
		}
	}
	for _, h := range hellos() {
		bytes, err := proto.Marshal(encodeHello(h))
		if err != nil {
			t.Fatal(err)
		}
		var got wire.Hello
		if err := proto.Unmarshal(bytes, &got); err != nil || !reflect.DeepEqual(decodeHello(&got), h) {
			t.Errorf("%v came back as %v, %v", h, decodeHello(&got), err)
		}
	}
}

// There is a sample of every kind of message in the schema, so that the fuzzer
// begins with each.
func TestSamples(t *testing.T) {
	var have []string
	kinds := (&wire.Packet{}).ProtoReflect().Descriptor().Oneofs().ByName("message")
	for _, p := range samples() {
		encoded := &wire.Packet{}
		encodePacket(encoded, &p)
		have = append(have, string(encoded.ProtoReflect().WhichOneof(kinds).Name()))
	}
	for i := range kinds.Fields().Len() {
		if name := string(kinds.Fields().Get(i).Name()); !slices.Contains(have, name) {
			t.Errorf("no sample is a %s", name)
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
	for _, h := range hellos() {
		bytes, err := proto.Marshal(encodeHello(h))
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
			h := decodeHello(&hello)
			if again := decodeHello(encodeHello(h)); !reflect.DeepEqual(again, h) {
				t.Errorf("%v came back as %v", h, again)
			}
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
