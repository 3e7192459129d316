package transport

import (
	"fmt"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/maekawa"
	"github.com/conchlock/conch/internal/transport/wire"
)

// maekawaSize bounds a message of maekawa on the wire; it is 0 for any other.
func maekawaSize(m algo.Message) int {
	switch m.(type) {
	case maekawa.Request, maekawa.Locked, maekawa.Inquire, maekawa.Failed, maekawa.Relinquish, maekawa.Release:
		return stampSize
	}
	return 0
}

// encodeMaekawa overwrites dst's message if m is one of maekawa's.
func encodeMaekawa(dst *wire.Packet, m algo.Message) bool {
	switch m := m.(type) {
	case maekawa.Request:
		dst.Message = &wire.Packet_MaekawaRequest{MaekawaRequest: &wire.MaekawaRequest{Stamp: encodeStamp(m.Stamp)}}
	case maekawa.Locked:
		dst.Message = &wire.Packet_MaekawaLocked{MaekawaLocked: &wire.MaekawaLocked{Stamp: encodeStamp(m.Stamp)}}
	case maekawa.Inquire:
		dst.Message = &wire.Packet_MaekawaInquire{MaekawaInquire: &wire.MaekawaInquire{Stamp: encodeStamp(m.Stamp)}}
	case maekawa.Failed:
		dst.Message = &wire.Packet_MaekawaFailed{MaekawaFailed: &wire.MaekawaFailed{Stamp: encodeStamp(m.Stamp)}}
	case maekawa.Relinquish:
		dst.Message = &wire.Packet_MaekawaRelinquish{MaekawaRelinquish: &wire.MaekawaRelinquish{Stamp: encodeStamp(m.Stamp)}}
	case maekawa.Release:
		dst.Message = &wire.Packet_MaekawaRelease{MaekawaRelease: &wire.MaekawaRelease{Stamp: encodeStamp(m.Stamp)}}
	default:
		return false
	}
	return true
}

// maekawa decodes a message of maekawa; it returns nil if it is none.
func (d *decoder) maekawa(p *wire.Packet) (algo.Message, error) {
	f := fields{d: d}
	var decoded algo.Message
	switch m := p.GetMessage().(type) {
	case *wire.Packet_MaekawaRequest:
		decoded = maekawa.Request{Stamp: f.stamp("stamp", m.MaekawaRequest.GetStamp())}
	case *wire.Packet_MaekawaLocked:
		decoded = maekawa.Locked{Stamp: f.stamp("stamp", m.MaekawaLocked.GetStamp())}
	case *wire.Packet_MaekawaInquire:
		decoded = maekawa.Inquire{Stamp: f.stamp("stamp", m.MaekawaInquire.GetStamp())}
	case *wire.Packet_MaekawaFailed:
		decoded = maekawa.Failed{Stamp: f.stamp("stamp", m.MaekawaFailed.GetStamp())}
	case *wire.Packet_MaekawaRelinquish:
		decoded = maekawa.Relinquish{Stamp: f.stamp("stamp", m.MaekawaRelinquish.GetStamp())}
	case *wire.Packet_MaekawaRelease:
		decoded = maekawa.Release{Stamp: f.stamp("stamp", m.MaekawaRelease.GetStamp())}
	default:
		return nil, nil
	}
	switch {
	case f.err != nil:
		return nil, fmt.Errorf("maekawa's %s: %w", decoded.Kind(), f.err)
	case p.GetLock() == "":
		return nil, fmt.Errorf("maekawa's %s is about a lock, and it names none", decoded.Kind())
	}
	return decoded, nil
}
