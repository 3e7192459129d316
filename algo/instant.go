package algo

import "math"

// Instant is a reading of one peer's own clock, in nanoseconds from a moment of
// that clock's choosing. The clock never goes back and counts time asleep. It
// says nothing to another peer: only Durations travel.
type Instant int64

// Duration is a difference of two Instants of one clock, in nanoseconds.
type Duration int64

// Never is later than any reading.
const Never Instant = math.MaxInt64

// Add returns the instant d after i.
func (i Instant) Add(d Duration) Instant { return i + Instant(d) }

// Sub returns how long after j i is.
func (i Instant) Sub(j Instant) Duration { return Duration(i - j) }

// Setup is what an incarnation of a peer begins with.
type Setup struct {
	Self        PeerName
	Incarnation Incarnation
	Others      []PeerName // sorted; nobody changes it

	// The rest is for algorithms that live by leases; the others ignore it.

	Voters []PeerName // sorted; whose votes make a majority
	// Open says that peers without a vote come and go: Others are the voters, and
	// anybody else may turn up with a Contact and end with a Leave.
	Open   bool
	TTL    Duration // how long a lease lasts; the same at every peer
	Linger Duration // how long a token that nobody wants is kept
	Drift  int64    // bound on the difference of two clocks' rates, in parts per million
	Now    Instant  // when the incarnation begins
	Floor  Token    // no earlier incarnation confirmed a token above this
	// Bound is for how long a promise of an earlier incarnation may bind this
	// one, if that is longer than a promise of its own would: leases were longer.
	Bound Duration
	// Kept says that the last incarnation stopped in good order and that
	// Promises is all that binds this one.
	Kept     bool
	Promises []Promise
}

// Promise is what an incarnation has promised and its successor has to keep.
type Promise struct {
	Lock    string
	Term    Stamp
	Ballot  uint64
	Ceiling Token
	Expiry  Instant // when it ends, by this peer's clock
}
