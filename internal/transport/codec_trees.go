package transport

import (
	"fmt"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/naimitrehel"
	"github.com/conchlock/conch/algo/raymond"
	"github.com/conchlock/conch/internal/transport/wire"
)

// treesSize bounds a message of raymond or naimitrehel on the wire; it is 0 for
// any other.
func treesSize(m algo.Message) int {
	switch m := m.(type) {
	case raymond.Request, raymond.Privilege, naimitrehel.Token:
		return 8
	case naimitrehel.Request:
		return 8 + len(m.Peer)
	}
	return 0
}

// encodeTrees overwrites dst's message if m is one of raymond's or
// naimitrehel's.
func encodeTrees(dst *wire.Packet, m algo.Message) bool {
	switch m := m.(type) {
	case raymond.Request:
		dst.Message = &wire.Packet_RaymondRequest{RaymondRequest: &wire.RaymondRequest{}}
	case raymond.Privilege:
		dst.Message = &wire.Packet_RaymondPrivilege{RaymondPrivilege: &wire.RaymondPrivilege{}}
	case naimitrehel.Request:
		dst.Message = &wire.Packet_NaimiTrehelRequest{NaimiTrehelRequest: &wire.NaimiTrehelRequest{Peer: string(m.Peer)}}
	case naimitrehel.Token:
		dst.Message = &wire.Packet_NaimiTrehelToken{NaimiTrehelToken: &wire.NaimiTrehelToken{}}
	default:
		return false
	}
	return true
}

// trees decodes a message of raymond or naimitrehel; it returns nil if it is
// none.
func (d *decoder) trees(p *wire.Packet) (algo.Message, error) {
	switch m := p.GetMessage().(type) {
	case *wire.Packet_RaymondRequest:
		return raymond.Request{}, nil
	case *wire.Packet_RaymondPrivilege:
		return raymond.Privilege{}, nil
	case *wire.Packet_NaimiTrehelRequest:
		peer, err := d.peer(m.NaimiTrehelRequest.GetPeer())
		if err != nil {
			return nil, fmt.Errorf("naimi-trehel's request: %w", err)
		}
		return naimitrehel.Request{Peer: peer}, nil
	case *wire.Packet_NaimiTrehelToken:
		return naimitrehel.Token{}, nil
	}
	return nil, nil
}
