package relay

import (
	"strconv"

	"github.com/conchlock/conch/algo"
)

// A term is named by the stamp of the request that won it.
type Term = algo.Stamp

// Lease is how a promise to support a term travels (docs/algorithms/relay.md,
// section 2). Asked is the asker's own clock, sent with the request and given
// back; Length is counted, by the clock of who promises, from the moment that
// request arrived. So the asker counts from before that moment, and its
// deadline is never later than the other's.
type Lease struct {
	Asked  algo.Instant
	Length algo.Duration
}

// Request says that its sender waits, since Stamp. It goes to every peer.
type Request struct {
	Stamp algo.Stamp
	Now   algo.Instant // the sender's clock
}

// Cancel says that the request has ended, and won no term.
type Cancel struct{ Stamp algo.Stamp }

// Vote lends the sender's support to a request.
type Vote struct {
	Term    Term
	Ballot  uint64     // which of the sender's votes it is
	Offer   algo.Token // above every number that the sender knows may be used
	Ceiling algo.Token // numbers up to this one are free to use
	Lease   Lease
}

// Inquire asks for a vote back, if it has not won.
type Inquire struct {
	Term   Term
	Ballot uint64
}

// Yield gives a vote back.
type Yield struct {
	Term   Term
	Ballot uint64
}

// Renew asks a voter to support a term for longer. Its sender has the token.
type Renew struct {
	Term   Term
	Number algo.Token   // last used
	Now    algo.Instant // the sender's clock
}

// Renewed does so.
type Renewed struct {
	Term    Term
	Ceiling algo.Token
	Lease   Lease
	Eldest  algo.Stamp   // the first of those who wait, as far as the voter knows; may be zero
	Now     algo.Instant // the voter's clock
}

// Release ends a term. Its sender had the token and has destroyed it.
type Release struct {
	Term   Term
	Number algo.Token // last used
	Served Served
}

// Token makes its receiver the owner of the term.
type Token struct {
	Term    Term
	Number  algo.Token // last used
	Ceiling algo.Token
	Lease   Lease
	Served  Served
}

// Newborn says that these incarnations, one of every peer, have known no earlier
// incarnation of its sender. The sender's own is among them. It is about no
// single lock.
type Newborn struct{ To []Life }

// Life is one incarnation of a peer.
type Life struct {
	Peer        algo.PeerName
	Incarnation algo.Incarnation
}

// Served names each peer's latest request that has ended, sorted by peer. It is
// a value: who adds to it makes a new one.
type Served []algo.Stamp

// Kind implements algo.Message.
func (Request) Kind() string { return "request" }

// Kind implements algo.Message.
func (Cancel) Kind() string { return "cancel" }

// Kind implements algo.Message.
func (Vote) Kind() string { return "vote" }

// Kind implements algo.Message.
func (Inquire) Kind() string { return "inquire" }

// Kind implements algo.Message.
func (Yield) Kind() string { return "yield" }

// Kind implements algo.Message.
func (Renew) Kind() string { return "renew" }

// Kind implements algo.Message.
func (Renewed) Kind() string { return "renewed" }

// Kind implements algo.Message.
func (Release) Kind() string { return "release" }

// Kind implements algo.Message.
func (Token) Kind() string { return "token" }

// Kind implements algo.Message.
func (Newborn) Kind() string { return "newborn" }

// AppendFields implements algo.Message.
func (m Newborn) AppendFields(dst []algo.Field) []algo.Field {
	for _, l := range m.To {
		dst = number(dst, string(l.Peer), uint64(l.Incarnation))
	}
	return dst
}

// AppendFields implements algo.Message.
func (m Request) AppendFields(dst []algo.Field) []algo.Field { return stamp(dst, "stamp", m.Stamp) }

// AppendFields implements algo.Message.
func (m Cancel) AppendFields(dst []algo.Field) []algo.Field { return stamp(dst, "stamp", m.Stamp) }

// AppendFields implements algo.Message.
func (m Vote) AppendFields(dst []algo.Field) []algo.Field {
	dst = number(stamp(dst, "term", m.Term), "ballot", m.Ballot)
	return number(dst, "offer", uint64(m.Offer))
}

// AppendFields implements algo.Message.
func (m Inquire) AppendFields(dst []algo.Field) []algo.Field {
	return number(stamp(dst, "term", m.Term), "ballot", m.Ballot)
}

// AppendFields implements algo.Message.
func (m Yield) AppendFields(dst []algo.Field) []algo.Field {
	return number(stamp(dst, "term", m.Term), "ballot", m.Ballot)
}

// AppendFields implements algo.Message.
func (m Renew) AppendFields(dst []algo.Field) []algo.Field {
	return number(stamp(dst, "term", m.Term), "number", uint64(m.Number))
}

// AppendFields implements algo.Message.
func (m Renewed) AppendFields(dst []algo.Field) []algo.Field {
	dst = stamp(dst, "term", m.Term)
	if !m.Eldest.IsZero() {
		dst = stamp(dst, "eldest", m.Eldest)
	}
	return dst
}

// AppendFields implements algo.Message.
func (m Release) AppendFields(dst []algo.Field) []algo.Field {
	return number(stamp(dst, "term", m.Term), "number", uint64(m.Number))
}

// AppendFields implements algo.Message.
func (m Token) AppendFields(dst []algo.Field) []algo.Field {
	return number(stamp(dst, "term", m.Term), "number", uint64(m.Number))
}

func stamp(dst []algo.Field, key string, s algo.Stamp) []algo.Field {
	return append(dst, algo.Field{Key: key, Value: s.String()})
}

func number(dst []algo.Field, key string, n uint64) []algo.Field {
	return append(dst, algo.Field{Key: key, Value: strconv.FormatUint(n, 10)})
}
