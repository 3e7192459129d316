package trace

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/conchlock/conch/algo"
)

// AppendEvent appends e as one line of a trace, with its line end.
//
// The fields come in the order of [Event]. ts, peer, incarnation, clock and
// event are always there; of the others those that are not empty, except that
// enter, extend, exit and lost always say their token. lease is in
// nanoseconds. In a message, id, kind, from,
// to and clock are always there, upkeep if it is true; whatever else is in it
// is what the algorithm says, as strings. A field of the algorithm that has
// the name of one of those six is written with an underscore behind it.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = append(dst, `{"ts":"`...)
	dst = e.At.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","peer":`...)
	dst = appendString(dst, string(e.Peer))
	dst = append(dst, `,"incarnation":`...)
	dst = strconv.AppendUint(dst, uint64(e.Incarnation), 10)
	dst = append(dst, `,"clock":`...)
	dst = strconv.AppendUint(dst, uint64(e.Clock), 10)
	dst = append(dst, `,"event":`...)
	dst = appendString(dst, string(e.Kind))
	if e.Lock != "" {
		dst = append(dst, `,"lock":`...)
		dst = appendString(dst, e.Lock)
	}
	if e.Token != 0 || e.Kind.hasToken() {
		dst = append(dst, `,"token":`...)
		dst = strconv.AppendUint(dst, uint64(e.Token), 10)
	}
	if e.Lease != 0 {
		dst = append(dst, `,"lease":`...)
		dst = strconv.AppendUint(dst, uint64(max(e.Lease, 0)), 10)
	}
	if e.Algorithm != "" {
		dst = append(dst, `,"algorithm":`...)
		dst = appendString(dst, e.Algorithm)
	}
	if e.Other != "" {
		dst = append(dst, `,"other":`...)
		dst = appendString(dst, string(e.Other))
	}
	if e.Reason != "" {
		dst = append(dst, `,"reason":`...)
		dst = appendString(dst, e.Reason)
	}
	if e.Message != nil {
		dst = append(dst, `,"message":`...)
		dst = appendMessage(dst, e.Message)
	}
	return append(dst, '}', '\n')
}

func appendMessage(dst []byte, m *Message) []byte {
	dst = append(dst, `{"id":"`...)
	dst = m.ID.Append(dst)
	dst = append(dst, `","kind":`...)
	dst = appendString(dst, m.Kind)
	dst = append(dst, `,"from":`...)
	dst = appendString(dst, string(m.From))
	dst = append(dst, `,"to":`...)
	dst = appendString(dst, string(m.To))
	dst = append(dst, `,"clock":`...)
	dst = strconv.AppendUint(dst, uint64(m.Clock), 10)
	if m.Upkeep {
		dst = append(dst, `,"upkeep":true`...)
	}
	for _, f := range m.Fields {
		dst = append(dst, ',')
		dst = appendString(dst, f.Key)
		if reservedField(f.Key) {
			dst = append(dst[:len(dst)-1], '_', '"')
		}
		dst = append(dst, ':')
		dst = appendString(dst, f.Value)
	}
	return append(dst, '}')
}

// reservedField says that key is one of a message's own.
func reservedField[K string | []byte](key K) bool {
	switch string(key) {
	case "id", "kind", "from", "to", "clock", "upkeep":
		return true
	}
	return false
}

// Append appends the id as it is written: FROM-INCARNATION-NUMBER.
func (id MessageID) Append(dst []byte) []byte {
	dst = append(dst, id.From...)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(id.Incarnation), 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, id.Number, 10)
}

func (id MessageID) String() string { return string(id.Append(nil)) }

// hasToken says that an event of this kind is about a hold.
func (k Kind) hasToken() bool { return k == Enter || k == Extend || k == Exit || k == Lost }

// hasLease says that an event of this kind may say how long a hold lasts.
func (k Kind) hasLease() bool { return k == Enter || k == Extend }

// hasMessage says that an event of this kind is about a message.
func (k Kind) hasMessage() bool { return k == Send || k == Receive || k == Drop }

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. What is no UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, "\ufffd"...)
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// Clone returns a copy of e that shares nothing that may change.
func (e *Event) Clone() Event {
	c := *e
	if e.Message != nil {
		m := *e.Message
		m.Fields = append([]algo.Field(nil), m.Fields...)
		c.Message = &m
	}
	return c
}
