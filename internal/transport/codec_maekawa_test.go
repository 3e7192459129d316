package transport

import (
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/maekawa"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/wire"
)

// maekawaSamples has every message of maekawa, as large as it gets.
func maekawaSamples() []node.Packet {
	stamp := algo.Stamp{Time: algo.MaxTime, Peer: algo.PeerName(strings.Repeat("x", 63)), Incarnation: 1<<64 - 1}
	var samples []node.Packet
	for _, m := range []algo.Message{
		maekawa.Request{Stamp: stamp}, maekawa.Locked{Stamp: stamp}, maekawa.Inquire{Stamp: stamp},
		maekawa.Failed{Stamp: stamp}, maekawa.Relinquish{Stamp: stamp}, maekawa.Release{Stamp: stamp},
	} {
		samples = append(samples, node.Packet{Number: 1<<64 - 1, Time: algo.MaxTime, Lock: strings.Repeat("é", 100), Message: m})
	}
	return append(samples, node.Packet{Number: 1, Lock: "x", Message: maekawa.Locked{Stamp: algo.Stamp{Time: 4, Peer: "c", Incarnation: 1}}})
}

// What cannot be true is refused, and the error names the place.
func TestRefusesMaekawa(t *testing.T) {
	for want, p := range map[string]*wire.Packet{
		"maekawa's request: stamp: its stamp is missing": {Lock: "x", Message: &wire.Packet_MaekawaRequest{}},
		"maekawa's release: stamp: stamp: a peer needs a name": {Lock: "x", Message: &wire.Packet_MaekawaRelease{
			MaekawaRelease: &wire.MaekawaRelease{Stamp: &wire.Stamp{Time: 1}}}},
		"maekawa's inquire: stamp: stamp: time 9007199254740992 is over the largest": {Lock: "x", Message: &wire.Packet_MaekawaInquire{
			MaekawaInquire: &wire.MaekawaInquire{Stamp: &wire.Stamp{Time: uint64(algo.MaxTime) + 1, Peer: "b"}}}},
		"maekawa's locked is about a lock": {Message: &wire.Packet_MaekawaLocked{
			MaekawaLocked: &wire.MaekawaLocked{Stamp: &wire.Stamp{Time: 1, Peer: "b"}}}},
	} {
		p.Number = 1
		_, err := newDecoder().packets(nil, &wire.Batch{Packets: []*wire.Packet{p}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
