package transport

import (
	"cmp"
	"fmt"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/internal/transport/wire"
)

// numberSize bounds a number on the wire, with its tag.
const numberSize = 11

// relaySize bounds a message of relay on the wire; it is 0 for any other.
func relaySize(m algo.Message) int {
	switch m := m.(type) {
	case relay.Newborn:
		return 16 + len(m.To)*stampSize
	case relay.Request, relay.Cancel, relay.Inquire, relay.Yield:
		return stampSize + numberSize
	case relay.Renew:
		return stampSize + 2*numberSize
	case relay.Vote:
		return stampSize + 6*numberSize
	case relay.Renewed:
		return 2*stampSize + 5*numberSize
	case relay.Release:
		return (1+len(m.Served))*stampSize + numberSize
	case relay.Token:
		return (1+len(m.Served))*stampSize + 5*numberSize
	}
	return 0
}

// encodeRelay overwrites dst's message if m is one of relay's.
func encodeRelay(dst *wire.Packet, m algo.Message) bool {
	switch m := m.(type) {
	case relay.Newborn:
		dst.Message = &wire.Packet_RelayNewborn{RelayNewborn: encodeNewborn(m)}
	case relay.Request:
		dst.Message = &wire.Packet_RelayRequest{RelayRequest: &wire.RelayRequest{Stamp: encodeStamp(m.Stamp), NowNs: int64(m.Now)}}
	case relay.Cancel:
		dst.Message = &wire.Packet_RelayCancel{RelayCancel: &wire.RelayCancel{Stamp: encodeStamp(m.Stamp)}}
	case relay.Vote:
		dst.Message = &wire.Packet_RelayVote{RelayVote: &wire.RelayVote{
			Term: encodeStamp(m.Term), Ballot: m.Ballot, Offer: uint64(m.Offer), Ceiling: uint64(m.Ceiling), Lease: encodeLease(m.Lease),
		}}
	case relay.Inquire:
		dst.Message = &wire.Packet_RelayInquire{RelayInquire: &wire.RelayInquire{Term: encodeStamp(m.Term), Ballot: m.Ballot}}
	case relay.Yield:
		dst.Message = &wire.Packet_RelayYield{RelayYield: &wire.RelayYield{Term: encodeStamp(m.Term), Ballot: m.Ballot}}
	case relay.Renew:
		dst.Message = &wire.Packet_RelayRenew{RelayRenew: &wire.RelayRenew{Term: encodeStamp(m.Term), Number: uint64(m.Number), NowNs: int64(m.Now)}}
	case relay.Renewed:
		renewed := &wire.RelayRenewed{Term: encodeStamp(m.Term), Ceiling: uint64(m.Ceiling), Lease: encodeLease(m.Lease), NowNs: int64(m.Now)}
		if !m.Eldest.IsZero() {
			renewed.Eldest = encodeStamp(m.Eldest)
		}
		dst.Message = &wire.Packet_RelayRenewed{RelayRenewed: renewed}
	case relay.Release:
		dst.Message = &wire.Packet_RelayRelease{RelayRelease: &wire.RelayRelease{
			Term: encodeStamp(m.Term), Number: uint64(m.Number), Served: encodeServed(m.Served),
		}}
	case relay.Token:
		dst.Message = &wire.Packet_RelayToken{RelayToken: &wire.RelayToken{
			Term: encodeStamp(m.Term), Number: uint64(m.Number), Ceiling: uint64(m.Ceiling),
			Lease: encodeLease(m.Lease), Served: encodeServed(m.Served),
		}}
	default:
		return false
	}
	return true
}

func encodeLease(l relay.Lease) *wire.Lease {
	return &wire.Lease{AskedNs: int64(l.Asked), LengthNs: int64(l.Length)}
}

func encodeNewborn(m relay.Newborn) *wire.RelayNewborn {
	newborn := &wire.RelayNewborn{}
	for _, l := range m.To {
		newborn.To = append(newborn.To, &wire.RelayLife{Peer: string(l.Peer), Incarnation: uint64(l.Incarnation)})
	}
	return newborn
}

// newborn decodes a Newborn, which is about no lock.
func (d *decoder) newborn(m *wire.RelayNewborn) (newborn relay.Newborn, err error) {
	if len(m.GetTo()) > maxServed {
		return newborn, fmt.Errorf("relay's newborn: it names %d peers, the most is %d", len(m.GetTo()), maxServed)
	}
	for i, l := range m.GetTo() {
		peer, err := d.peer(l.GetPeer())
		if err != nil {
			return newborn, fmt.Errorf("relay's newborn: peer %d: %w", i, err)
		}
		newborn.To = append(newborn.To, relay.Life{Peer: peer, Incarnation: algo.Incarnation(l.GetIncarnation())})
	}
	return newborn, nil
}

func encodeServed(served relay.Served) []*wire.Stamp {
	var stamps []*wire.Stamp
	for _, s := range served {
		stamps = append(stamps, encodeStamp(s))
	}
	return stamps
}

// relay decodes a message of relay; it returns nil if it is none.
func (d *decoder) relay(p *wire.Packet) (algo.Message, error) {
	f := fields{d: d}
	var decoded algo.Message
	switch m := p.GetMessage().(type) {
	case *wire.Packet_RelayNewborn:
		return d.newborn(m.RelayNewborn)
	case *wire.Packet_RelayRequest:
		decoded = relay.Request{Stamp: f.stamp("stamp", m.RelayRequest.GetStamp()), Now: f.instant("now", m.RelayRequest.GetNowNs())}
	case *wire.Packet_RelayCancel:
		decoded = relay.Cancel{Stamp: f.stamp("stamp", m.RelayCancel.GetStamp())}
	case *wire.Packet_RelayVote:
		decoded = f.vote(m.RelayVote)
	case *wire.Packet_RelayInquire:
		decoded = relay.Inquire{Term: f.stamp("term", m.RelayInquire.GetTerm()), Ballot: f.number("ballot", m.RelayInquire.GetBallot())}
	case *wire.Packet_RelayYield:
		decoded = relay.Yield{Term: f.stamp("term", m.RelayYield.GetTerm()), Ballot: f.number("ballot", m.RelayYield.GetBallot())}
	case *wire.Packet_RelayRenew:
		decoded = f.renew(m.RelayRenew)
	case *wire.Packet_RelayRenewed:
		decoded = f.renewed(m.RelayRenewed)
	case *wire.Packet_RelayRelease:
		decoded = f.release(m.RelayRelease)
	case *wire.Packet_RelayToken:
		decoded = f.relayToken(m.RelayToken)
	default:
		return nil, nil
	}
	switch {
	case f.err != nil:
		return nil, fmt.Errorf("relay's %s: %w", decoded.Kind(), f.err)
	case p.GetLock() == "":
		return nil, fmt.Errorf("a %s is about a lock, and it names none", decoded.Kind())
	}
	return decoded, nil
}

const (
	// maxServed bounds the peers that one message names as served.
	maxServed = 1024
	// maxInstant and maxLength bound what a peer says about time: 146 years of
	// a clock, and three days of a lease, which is more than twice the largest
	// TTL. What is computed from them does not overflow.
	maxInstant = 1 << 62
	maxLength  = 1 << 48
)

// fields decodes the fields of a message, and keeps the first error.
type fields struct {
	d   *decoder
	err error
}

func (f *fields) fail(name, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(name+": "+format, args...)
	}
}

func (f *fields) vote(m *wire.RelayVote) relay.Vote {
	return relay.Vote{
		Term:    f.stamp("term", m.GetTerm()),
		Ballot:  f.number("ballot", m.GetBallot()),
		Offer:   f.token("offer", m.GetOffer()),
		Ceiling: f.token("ceiling", m.GetCeiling()),
		Lease:   f.lease(m.GetLease()),
	}
}

func (f *fields) renew(m *wire.RelayRenew) relay.Renew {
	return relay.Renew{Term: f.stamp("term", m.GetTerm()), Number: f.token("number", m.GetNumber()), Now: f.instant("now", m.GetNowNs())}
}

func (f *fields) renewed(m *wire.RelayRenewed) relay.Renewed {
	renewed := relay.Renewed{Term: f.stamp("term", m.GetTerm()), Ceiling: f.token("ceiling", m.GetCeiling()), Lease: f.lease(m.GetLease()), Now: f.instant("now", m.GetNowNs())}
	if m.GetEldest() != nil {
		renewed.Eldest = f.stamp("eldest", m.GetEldest())
	}
	return renewed
}

func (f *fields) release(m *wire.RelayRelease) relay.Release {
	return relay.Release{Term: f.stamp("term", m.GetTerm()), Number: f.token("number", m.GetNumber()), Served: f.served(m.GetServed())}
}

func (f *fields) relayToken(m *wire.RelayToken) relay.Token {
	return relay.Token{
		Term:    f.stamp("term", m.GetTerm()),
		Number:  f.token("number", m.GetNumber()),
		Ceiling: f.token("ceiling", m.GetCeiling()),
		Lease:   f.lease(m.GetLease()),
		Served:  f.served(m.GetServed()),
	}
}

func (f *fields) stamp(name string, s *wire.Stamp) algo.Stamp {
	stamp, err := f.d.stamp(s)
	if err != nil {
		f.fail(name, "%w", err)
	}
	return stamp
}

func (f *fields) number(name string, n uint64) uint64 {
	if n > uint64(algo.MaxTime) {
		f.fail(name, "%d is over the largest, %d", n, algo.MaxTime)
	}
	return n
}

func (f *fields) token(name string, n uint64) algo.Token { return algo.Token(f.number(name, n)) }

func (f *fields) instant(name string, ns int64) algo.Instant {
	if ns < 0 || ns > maxInstant {
		f.fail(name, "%d ns is no reading of a clock", ns)
	}
	return algo.Instant(ns)
}

func (f *fields) lease(l *wire.Lease) relay.Lease {
	if l == nil {
		f.fail("lease", "it is missing")
	}
	if ns := l.GetLengthNs(); ns < 0 || ns > maxLength {
		f.fail("lease", "%d ns is no length of a lease", ns)
	}
	return relay.Lease{Asked: f.instant("lease", l.GetAskedNs()), Length: algo.Duration(l.GetLengthNs())}
}

func (f *fields) served(stamps []*wire.Stamp) relay.Served {
	if len(stamps) > maxServed {
		f.fail("served", "%d peers are named, at most %d can be", len(stamps), maxServed)
		return nil
	}
	var served relay.Served
	for _, s := range stamps {
		served = append(served, f.stamp("served", s))
	}
	if !ascends(served, func(a, b algo.Stamp) int { return cmp.Compare(a.Peer, b.Peer) }) {
		f.fail("served", "its peers are not sorted")
	}
	return served
}
