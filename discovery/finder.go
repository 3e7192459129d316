package discovery

import "context"

// Finder is a Source of peers that come and go: they are found, and lost again,
// while this one runs. Package discovery/serf has one.
//
// A Finder decides nothing about safety: whose vote counts was decided when the
// cluster was born, and its news may be late, false or forged. It can cost time,
// never a second holder.
type Finder interface {
	// Source returns the peers that are known beforehand; it may know none.
	Source

	// Find makes this peer known and begins to look for the others. It returns
	// as soon as it listens; finding somebody may take for ever. News comes one
	// call after the other, in order, and none after Leave has returned; told does
	// not block. The error names what is wrong and the mend. Ctx has no influence
	// once Find has returned.
	Find(ctx context.Context, self Self, told func(News)) (Search, error)
}

// Search is a Finder at work.
type Search interface {
	// Addr is where it listens for the others, HOST:PORT: what they join.
	Addr() string
	// Leave tells the others that this peer goes in good order, and ends the
	// search. It takes seconds at most.
	Leave() error
}

// Self is what a peer makes known of itself.
type Self struct {
	Name        string
	Addr        string // where the others reach it, HOST:PORT
	Incarnation uint64
	Cluster     string
	Algorithm   string
	Voter       bool     // its vote counts in quorums
	Voters      []string // all whose votes count, as every peer knows: for them there is always room
	// Warn takes what goes wrong and mends itself, for people: once, not at every
	// attempt. It does not block.
	Warn func(text string)
}

// NewsKind says what has become of a peer.
type NewsKind uint8

const (
	// Found: it can be reached at News.Addr, as far as is known. It comes again
	// when the address or the incarnation has changed, and after Failed.
	Found NewsKind = iota + 1
	// Failed: it does not answer any more. It may be back.
	Failed
	// Left: it has gone in good order.
	Left
	// Forgotten: it has not answered for so long that nobody speaks of it any
	// more. It is looked for all the same, for a while.
	Forgotten
)

func (k NewsKind) String() string {
	switch k {
	case Found:
		return "found"
	case Failed:
		return "failed"
	case Left:
		return "left"
	case Forgotten:
		return "forgotten"
	}
	return "unknown news"
}

// News is what a Finder has learnt about another peer. Everything in it has been
// checked for its form, nothing for its truth.
type News struct {
	Kind        NewsKind
	Name        string
	Addr        string // where its links are to be dialed, HOST:PORT; empty if never known
	Incarnation uint64
	Voter       bool
	Reason      string // in words for people; may be empty
}
