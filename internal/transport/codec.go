package transport

import (
	"cmp"
	"fmt"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/algo/ring"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/wire"
)

// stampSize bounds a Stamp on the wire: two numbers and a name, with tags.
const stampSize = 96

// messageSize bounds a message on the wire. It panics when it meets a kind
// that the schema does not know: whoever adds a message adds it here and below.
func messageSize(m algo.Message) int {
	switch m := m.(type) {
	case ricartagrawala.Request, ricartagrawala.Reply:
		return stampSize
	case ring.Want, ring.Token, epoch.Left:
		return 8
	case epoch.Join:
		n := 16
		for range m.Epoch {
			n += stampSize
		}
		for _, lock := range m.Held {
			n += len(lock) + 4
		}
		return n
	}
	if n := max(relaySize(m), classicSize(m), treesSize(m), maekawaSize(m)); n > 0 {
		return n
	}
	panic(fmt.Sprintf("transport: no place in the schema for a %T", m))
}

// encodePacket overwrites dst.
func encodePacket(dst *wire.Packet, p *node.Packet) {
	dst.Number, dst.Time, dst.Lock, dst.Upkeep = p.Number, uint64(p.Time), p.Lock, p.Upkeep
	switch m := p.Message.(type) {
	case ricartagrawala.Request:
		dst.Message = &wire.Packet_RicartAgrawalaRequest{RicartAgrawalaRequest: &wire.RicartAgrawalaRequest{Stamp: encodeStamp(m.Stamp)}}
	case ricartagrawala.Reply:
		dst.Message = &wire.Packet_RicartAgrawalaReply{RicartAgrawalaReply: &wire.RicartAgrawalaReply{Stamp: encodeStamp(m.Stamp)}}
	case ring.Want:
		dst.Message = &wire.Packet_RingWant{RingWant: &wire.RingWant{}}
	case ring.Token:
		dst.Message = &wire.Packet_RingToken{RingToken: &wire.RingToken{}}
	case epoch.Join:
		dst.Message = &wire.Packet_EpochJoin{EpochJoin: encodeJoin(m)}
	case epoch.Left:
		dst.Message = &wire.Packet_EpochLeft{EpochLeft: &wire.EpochLeft{}}
	default:
		if !encodeRelay(dst, m) && !encodeClassic(dst, m) && !encodeTrees(dst, m) && !encodeMaekawa(dst, m) {
			panic(fmt.Sprintf("transport: no place in the schema for a %T", m))
		}
	}
}

func encodeStamp(s algo.Stamp) *wire.Stamp {
	return &wire.Stamp{Time: uint64(s.Time), Peer: string(s.Peer), Incarnation: uint64(s.Incarnation)}
}

func encodeJoin(m epoch.Join) *wire.EpochJoin {
	join := &wire.EpochJoin{Held: m.Held}
	for _, e := range m.Epoch {
		join.Epoch = append(join.Epoch, &wire.EpochMember{Peer: string(e.Peer), Incarnation: uint64(e.Life.Incarnation), Losses: e.Life.Losses})
	}
	return join
}

// decoder turns what another peer has sent into packets, or into an error that
// names the place. It trusts nothing.
type decoder struct {
	// Names that have come before, so that the few names that come again and
	// again are neither checked nor kept twice. Bounded: names may be anything.
	peers map[string]algo.PeerName
	locks map[string]string
}

const decoderNames = 4096

func newDecoder() *decoder {
	return &decoder{peers: make(map[string]algo.PeerName), locks: make(map[string]string)}
}

// packets appends what a batch holds to dst.
func (d *decoder) packets(dst []node.Packet, batch *wire.Batch) ([]node.Packet, error) {
	for i, p := range batch.GetPackets() {
		packet, err := d.packet(p)
		if err != nil {
			return dst, fmt.Errorf("packet %d of a batch, number %d: %w", i, p.GetNumber(), err)
		}
		dst = append(dst, packet)
	}
	return dst, nil
}

func (d *decoder) packet(p *wire.Packet) (packet node.Packet, err error) {
	packet.Number, packet.Upkeep = p.GetNumber(), p.GetUpkeep()
	if packet.Number == 0 {
		return packet, fmt.Errorf("numbers start at 1")
	}
	if packet.Time, err = decodeTime(p.GetTime()); err != nil {
		return packet, err
	}
	if p.GetLock() != "" {
		if packet.Lock, err = d.lock(p.GetLock()); err != nil {
			return packet, err
		}
	}
	packet.Message, err = d.message(p)
	return packet, err
}

func (d *decoder) message(p *wire.Packet) (algo.Message, error) {
	switch m := p.GetMessage().(type) {
	case *wire.Packet_RicartAgrawalaRequest:
		stamp, err := d.stamp(m.RicartAgrawalaRequest.GetStamp())
		return ricartagrawala.Request{Stamp: stamp}, err
	case *wire.Packet_RicartAgrawalaReply:
		stamp, err := d.stamp(m.RicartAgrawalaReply.GetStamp())
		return ricartagrawala.Reply{Stamp: stamp}, err
	case *wire.Packet_RingWant:
		return ring.Want{}, nil
	case *wire.Packet_RingToken:
		return ring.Token{}, nil
	case *wire.Packet_EpochJoin:
		return d.join(m.EpochJoin)
	case *wire.Packet_EpochLeft:
		return epoch.Left{}, nil
	}
	if m, err := d.relay(p); m != nil || err != nil {
		return m, err
	}
	if m, err := d.classic(p); m != nil || err != nil {
		return m, err
	}
	if m, err := d.trees(p); m != nil || err != nil {
		return m, err
	}
	if m, err := d.maekawa(p); m != nil || err != nil {
		return m, err
	}
	return nil, fmt.Errorf("it has no message that this version knows")
}

func (d *decoder) stamp(s *wire.Stamp) (stamp algo.Stamp, err error) {
	if s == nil {
		return stamp, fmt.Errorf("its stamp is missing")
	}
	if stamp.Time, err = decodeTime(s.GetTime()); err != nil {
		return stamp, fmt.Errorf("stamp: %w", err)
	}
	if stamp.Peer, err = d.peer(s.GetPeer()); err != nil {
		return stamp, fmt.Errorf("stamp: %w", err)
	}
	stamp.Incarnation = algo.Incarnation(s.GetIncarnation())
	return stamp, nil
}

func (d *decoder) join(m *wire.EpochJoin) (algo.Message, error) {
	var join epoch.Join
	for _, e := range m.GetEpoch() {
		peer, err := d.peer(e.GetPeer())
		if err != nil {
			return nil, fmt.Errorf("epoch: %w", err)
		}
		life := epoch.Life{Incarnation: algo.Incarnation(e.GetIncarnation()), Losses: e.GetLosses()}
		if life == (epoch.Life{}) {
			return nil, fmt.Errorf("epoch: %s is named without a new life", peer)
		}
		join.Epoch = append(join.Epoch, epoch.Member{Peer: peer, Life: life})
	}
	if !ascends(join.Epoch, func(a, b epoch.Member) int { return cmp.Compare(a.Peer, b.Peer) }) {
		return nil, fmt.Errorf("epoch: its peers are not sorted")
	}
	for _, name := range m.GetHeld() {
		lock, err := d.lock(name)
		if err != nil {
			return nil, fmt.Errorf("held: %w", err)
		}
		join.Held = append(join.Held, lock)
	}
	if !ascends(join.Held, cmp.Compare[string]) {
		return nil, fmt.Errorf("held: its locks are not sorted")
	}
	return join, nil
}

// ascends says that s is sorted and has nothing twice.
func ascends[E any](s []E, compare func(a, b E) int) bool {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) >= 0 {
			return false
		}
	}
	return true
}

func decodeTime(t uint64) (algo.Time, error) {
	if t > uint64(algo.MaxTime) {
		return 0, fmt.Errorf("time %d is over the largest, %d", t, algo.MaxTime)
	}
	return algo.Time(t), nil
}

func (d *decoder) peer(name string) (algo.PeerName, error) {
	if p, ok := d.peers[name]; ok {
		return p, nil
	}
	p := algo.PeerName(name)
	if err := p.Check(); err != nil {
		return "", err
	}
	if len(d.peers) >= decoderNames {
		clear(d.peers)
	}
	d.peers[name] = p
	return p, nil
}

func (d *decoder) lock(name string) (string, error) {
	if l, ok := d.locks[name]; ok {
		return l, nil
	}
	if err := algo.CheckLock(name); err != nil {
		return "", err
	}
	if len(d.locks) >= decoderNames {
		clear(d.locks)
	}
	d.locks[name] = name
	return name, nil
}
