package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/conchlock/conch/algo"
)

// lineMax bounds a line of a trace.
const lineMax = 1 << 20

// numberMax is the largest number that JSON keeps everywhere (2^53 - 1).
const numberMax = uint64(algo.MaxTime)

// errTorn says that a line ends before its object does, as when its writer
// was killed in the middle of it.
var errTorn = errors.New("the line is not finished")

// decoder reads lines of a trace. It is strict: what AppendEvent could not
// have meant is an error, and so is a field or an event that it does not
// know, because a later version may have given it a meaning on which a
// verdict depends. The order of fields and the space between them are free.
// It keeps the strings that come again and again.
type decoder struct {
	line  []byte
	at    int
	words map[string]string
	brief bool // skip the algorithm's fields
}

// wordsMax bounds how many strings a decoder keeps.
const wordsMax = 1 << 14

// decode reads one line, without its line end, into r.
func (d *decoder) decode(line []byte, r *Line) error {
	d.line, d.at = line, 0
	r.Event = Event{}
	r.message = Message{Fields: r.message.Fields[:0]}
	var seen uint
	err := d.object(func(key []byte) error { return d.eventField(key, r, &seen) })
	if err != nil {
		return err
	}
	if d.space(); d.at < len(d.line) {
		return fmt.Errorf("something follows the object: %q", shorten(d.line[d.at:]))
	}
	for i, name := range [...]string{"ts", "peer", "incarnation", "clock", "event"} {
		if seen&(1<<i) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return r.valid(seen&sawToken != 0)
}

const sawToken = 1 << 6

func (d *decoder) eventField(key []byte, r *Line, seen *uint) error {
	var bit uint
	var err error
	switch string(key) {
	case "ts":
		bit, err = 0, d.time(r)
	case "peer":
		bit, err = 1, d.word((*string)(&r.Peer))
	case "incarnation":
		bit, err = 2, d.number((*uint64)(&r.Incarnation))
	case "clock":
		bit, err = 3, d.number((*uint64)(&r.Clock))
	case "event":
		bit, err = 4, d.kind(r)
	case "lock":
		bit, err = 5, d.word(&r.Lock)
	case "token":
		bit, err = 6, d.number((*uint64)(&r.Token))
	case "other":
		bit, err = 7, d.word((*string)(&r.Other))
	case "reason":
		bit, err = 8, d.word(&r.Reason)
	case "message":
		bit, err = 9, d.message(r)
	case "lease":
		bit, err = 10, d.lease(&r.Lease)
	case "algorithm":
		bit, err = 11, d.word(&r.Algorithm)
	default:
		return fmt.Errorf("field %q is unknown", shorten(key))
	}
	return twice(err, key, seen, bit)
}

// twice returns err or, if bit is set in seen already, one of its own.
func twice(err error, key []byte, seen *uint, bit uint) error {
	if err == errTorn {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if *seen&(1<<bit) != 0 {
		return fmt.Errorf("%s is there twice", key)
	}
	*seen |= 1 << bit
	return nil
}

func (d *decoder) message(r *Line) error {
	r.Message = &r.message
	var seen uint
	if err := d.object(func(key []byte) error { return d.messageField(key, &r.message, &seen) }); err != nil {
		return err
	}
	for i, name := range [...]string{"id", "kind", "from", "to", "clock"} {
		if seen&(1<<i) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

func (d *decoder) messageField(key []byte, m *Message, seen *uint) error {
	var bit uint
	var err error
	switch string(key) {
	case "id":
		bit, err = 0, d.id(m)
	case "kind":
		bit, err = 1, d.word(&m.Kind)
	case "from":
		bit, err = 2, d.word((*string)(&m.From))
	case "to":
		bit, err = 3, d.word((*string)(&m.To))
	case "clock":
		bit, err = 4, d.number((*uint64)(&m.Clock))
	case "upkeep":
		bit, err = 5, d.bool(&m.Upkeep)
	default:
		return d.messageExtra(key, m)
	}
	return twice(err, key, seen, bit)
}

// messageExtra reads what the algorithm says.
func (d *decoder) messageExtra(key []byte, m *Message) error {
	value, err := d.string()
	if err != nil || d.brief {
		return err
	}
	if n := len(key) - 1; n > 0 && key[n] == '_' && reservedField(key[:n]) {
		key = key[:n]
	}
	m.Fields = append(m.Fields, algo.Field{Key: d.keep(key), Value: string(value)})
	return nil
}

// object reads an object and calls field after each key, with d before the
// value. The key is good until the value has been read.
func (d *decoder) object(field func(key []byte) error) error {
	if err := d.expect('{'); err != nil {
		return err
	}
	if d.peek() == '}' {
		d.at++
		return nil
	}
	for {
		key, err := d.string()
		if err != nil {
			return err
		}
		if err := d.expect(':'); err != nil {
			return err
		}
		if err := field(key); err != nil {
			return err
		}
		if d.peek() == '}' {
			d.at++
			return nil
		}
		if err := d.expect(','); err != nil {
			return err
		}
	}
}

func (d *decoder) space() {
	for d.at < len(d.line) {
		switch d.line[d.at] {
		case ' ', '\t', '\r':
			d.at++
		default:
			return
		}
	}
}

// peek returns the next byte that is no space, 0 at the end.
func (d *decoder) peek() byte {
	d.space()
	if d.at == len(d.line) {
		return 0
	}
	return d.line[d.at]
}

func (d *decoder) expect(c byte) error {
	d.space()
	if d.at == len(d.line) {
		return errTorn
	}
	if d.line[d.at] != c {
		return fmt.Errorf("there should be a %c here: %q", c, shorten(d.line[d.at:]))
	}
	d.at++
	return nil
}

// string reads a string. The result is good until the next line.
func (d *decoder) string() ([]byte, error) {
	if err := d.expect('"'); err != nil {
		return nil, err
	}
	start, plain, ascii := d.at, true, true
	for ; d.at < len(d.line); d.at++ {
		switch c := d.line[d.at]; {
		case c == '"':
			s := d.line[start:d.at]
			d.at++
			if !ascii && !utf8.Valid(s) {
				return nil, fmt.Errorf("%q is no UTF-8", shorten(s))
			}
			if !plain {
				return unescape(d.line[start-1 : d.at])
			}
			return s, nil
		case c == '\\':
			plain = false
			d.at++ // whatever follows does not end the string
		case c < ' ':
			return nil, fmt.Errorf("control character %q in a string", c)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	d.at = len(d.line)
	return nil, errTorn
}

// unescape reads a quoted string with backslashes in it; they are rare.
func unescape(quoted []byte) ([]byte, error) {
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", shorten(quoted), err)
	}
	return []byte(s), nil
}

// word reads a string that is likely to come again.
func (d *decoder) word(s *string) error {
	b, err := d.string()
	if err != nil {
		return err
	}
	*s = d.keep(b)
	return nil
}

func (d *decoder) keep(b []byte) string {
	if s, ok := d.words[string(b)]; ok {
		return s
	}
	s := string(b)
	if d.words == nil {
		d.words = make(map[string]string)
	}
	if len(d.words) < wordsMax {
		d.words[s] = s
	}
	return s
}

// number reads a whole number below 2^53.
func (d *decoder) number(n *uint64) error {
	c := d.peek()
	start := d.at
	*n = 0
	for ; d.at < len(d.line); d.at++ {
		c := d.line[d.at]
		if c < '0' || '9' < c {
			break
		}
		if *n > math.MaxUint64/100 {
			return fmt.Errorf("the number is above 2^53-1")
		}
		*n = *n*10 + uint64(c-'0')
	}
	switch {
	case d.at == len(d.line):
		return errTorn
	case d.at == start:
		return fmt.Errorf("there should be a whole number here: %q", shorten(d.line[start:]))
	case c == '0' && d.at > start+1:
		return fmt.Errorf("a number begins with 0")
	case *n > numberMax:
		return fmt.Errorf("%d is above 2^53-1", *n)
	}
	return nil
}

// lease reads a duration in nanoseconds.
func (d *decoder) lease(lease *time.Duration) error {
	var n uint64
	err := d.number(&n)
	*lease = time.Duration(n)
	return err
}

func (d *decoder) bool(b *bool) error {
	d.space()
	rest := d.line[d.at:]
	for _, word := range [...]string{"true", "false"} {
		if bytes.HasPrefix(rest, []byte(word)) {
			*b = word == "true"
			d.at += len(word)
			return nil
		}
		if bytes.HasPrefix([]byte(word), rest) {
			return errTorn
		}
	}
	return fmt.Errorf("there should be true or false here: %q", shorten(rest))
}

// time reads the wall clock, in UTC.
func (d *decoder) time(r *Line) error {
	b, err := d.string()
	if err != nil {
		return err
	}
	if len(b) == 0 || b[len(b)-1] != 'Z' || r.At.UnmarshalText(b) != nil {
		return fmt.Errorf("%q is no time like 2026-11-23T10:00:00.000000001Z", shorten(b))
	}
	return nil
}

func (d *decoder) kind(r *Line) error {
	b, err := d.string()
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if string(k) == string(b) {
			r.Kind = k
			return nil
		}
	}
	return fmt.Errorf("%q is unknown", shorten(b))
}

// id reads FROM-INCARNATION-NUMBER.
func (d *decoder) id(m *Message) error {
	b, err := d.string()
	if err != nil {
		return err
	}
	rest, number, ok := cutNumber(b)
	name, incarnation, ok2 := cutNumber(rest)
	if !ok || !ok2 {
		return fmt.Errorf("%q is not like a-1-42", shorten(b))
	}
	m.ID = MessageID{From: algo.PeerName(d.keep(name)), Incarnation: algo.Incarnation(incarnation), Number: number}
	return nil
}

// cutNumber cuts "-NUMBER" off the end of b.
func cutNumber(b []byte) (rest []byte, n uint64, ok bool) {
	dash := bytes.LastIndexByte(b, '-')
	if dash < 0 || len(b)-dash-1 > 16 || len(b)-dash-1 == 0 {
		return nil, 0, false
	}
	for _, c := range b[dash+1:] {
		if c < '0' || '9' < c {
			return nil, 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	canonical := b[dash+1] != '0' || len(b) == dash+2
	return b[:dash], n, canonical && n <= numberMax
}

// shorten makes what is quoted in an error fit a line.
func shorten(b []byte) []byte {
	const most = 60
	if len(b) > most {
		return append(append([]byte(nil), b[:most]...), "..."...)
	}
	return b
}
