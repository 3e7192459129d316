package transport

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/lamport"
	"github.com/conchlock/conch/algo/suzukikasami"
	"github.com/conchlock/conch/internal/transport/wire"
)

// nameSize bounds a peer's name on the wire, with its tag.
const nameSize = 66

// classicSize bounds a message of one of the algorithms below on the wire; it
// is 0 for any other.
func classicSize(m algo.Message) int {
	switch m := m.(type) {
	case lamport.Request:
		return stampSize
	case lamport.Ack, lamport.Release, suzukikasami.Request:
		return 8 + numberSize
	case suzukikasami.Token:
		return 8 + len(m.Served)*stampSize + len(m.Queue)*nameSize
	}
	return 0
}

// encodeClassic overwrites dst's message if m is one of theirs.
func encodeClassic(dst *wire.Packet, m algo.Message) bool {
	switch m := m.(type) {
	case lamport.Request:
		dst.Message = &wire.Packet_LamportRequest{LamportRequest: &wire.LamportRequest{Stamp: encodeStamp(m.Stamp)}}
	case lamport.Ack:
		dst.Message = &wire.Packet_LamportAck{LamportAck: &wire.LamportAck{Time: uint64(m.Time)}}
	case lamport.Release:
		dst.Message = &wire.Packet_LamportRelease{LamportRelease: &wire.LamportRelease{Time: uint64(m.Time)}}
	case suzukikasami.Request:
		dst.Message = &wire.Packet_SuzukiKasamiRequest{SuzukiKasamiRequest: &wire.SuzukiKasamiRequest{Number: m.Number}}
	case suzukikasami.Token:
		dst.Message = &wire.Packet_SuzukiKasamiToken{SuzukiKasamiToken: encodeSuzukiKasami(m)}
	default:
		return false
	}
	return true
}

func encodeSuzukiKasami(m suzukikasami.Token) *wire.SuzukiKasamiToken {
	token := &wire.SuzukiKasamiToken{}
	for _, s := range m.Served {
		token.Served = append(token.Served, &wire.SuzukiKasamiServed{Peer: string(s.Peer), Number: s.Number})
	}
	for _, p := range m.Queue {
		token.Queue = append(token.Queue, string(p))
	}
	return token
}

// classic decodes a message of one of these algorithms; it returns nil if it is
// none.
func (d *decoder) classic(p *wire.Packet) (algo.Message, error) {
	f := fields{d: d}
	var of string
	var decoded algo.Message
	switch m := p.GetMessage().(type) {
	case *wire.Packet_LamportRequest:
		of, decoded = "lamport", lamport.Request{Stamp: f.stamp("stamp", m.LamportRequest.GetStamp())}
	case *wire.Packet_LamportAck:
		of, decoded = "lamport", lamport.Ack{Time: f.time("time", m.LamportAck.GetTime())}
	case *wire.Packet_LamportRelease:
		of, decoded = "lamport", lamport.Release{Time: f.time("time", m.LamportRelease.GetTime())}
	case *wire.Packet_SuzukiKasamiRequest:
		of, decoded = "suzuki-kasami", suzukikasami.Request{Number: f.number("number", m.SuzukiKasamiRequest.GetNumber())}
	case *wire.Packet_SuzukiKasamiToken:
		token := m.SuzukiKasamiToken
		of, decoded = "suzuki-kasami", suzukikasami.Token{Served: f.lastServed(token.GetServed()), Queue: f.queue(token.GetQueue())}
	default:
		return nil, nil
	}
	switch {
	case f.err != nil:
		return nil, fmt.Errorf("%s's %s: %w", of, decoded.Kind(), f.err)
	case p.GetLock() == "":
		return nil, fmt.Errorf("%s's %s is about a lock, and it names none", of, decoded.Kind())
	}
	return decoded, nil
}

// maxPeers bounds the peers that one token names.
const maxPeers = 1024

func (f *fields) time(name string, t uint64) algo.Time {
	time, err := decodeTime(t)
	if err != nil {
		f.fail(name, "%w", err)
	}
	return time
}

func (f *fields) peer(name, peer string) algo.PeerName {
	p, err := f.d.peer(peer)
	if err != nil {
		f.fail(name, "%w", err)
	}
	return p
}

// lastServed decodes LN.
func (f *fields) lastServed(list []*wire.SuzukiKasamiServed) []suzukikasami.Served {
	if len(list) > maxPeers {
		f.fail("served", "%d peers are named, at most %d can be", len(list), maxPeers)
		return nil
	}
	var served []suzukikasami.Served
	for _, s := range list {
		if s.GetNumber() == 0 {
			f.fail("served", "numbers start at 1")
		}
		served = append(served, suzukikasami.Served{Peer: f.peer("served", s.GetPeer()), Number: f.number("served", s.GetNumber())})
	}
	if !ascends(served, func(a, b suzukikasami.Served) int { return cmp.Compare(a.Peer, b.Peer) }) {
		f.fail("served", "its peers are not sorted")
	}
	return served
}

// queue decodes a list of peers of which none comes twice.
func (f *fields) queue(list []string) []algo.PeerName {
	if len(list) > maxPeers {
		f.fail("queue", "%d peers are named, at most %d can be", len(list), maxPeers)
		return nil
	}
	var queue []algo.PeerName
	for _, name := range list {
		queue = append(queue, f.peer("queue", name))
	}
	if sorted := slices.Sorted(slices.Values(queue)); !ascends(sorted, cmp.Compare[algo.PeerName]) {
		f.fail("queue", "a peer is named twice")
	}
	return queue
}
