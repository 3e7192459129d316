package maekawa

import "github.com/conchlock/conch/algo"

// Request asks a member of the quorum to lock itself for this request.
type Request struct{ Stamp algo.Stamp }

// Locked says that its sender is locked for this request.
type Locked struct{ Stamp algo.Stamp }

// Failed says that its sender is not, and will be for an older one first.
type Failed struct{ Stamp algo.Stamp }

// Inquire asks for the lock back, unless the request has all it needs.
type Inquire struct{ Stamp algo.Stamp }

// Relinquish gives the lock back. The request waits on.
type Relinquish struct{ Stamp algo.Stamp }

// Release says that this request has ended.
type Release struct{ Stamp algo.Stamp }

// Kind implements algo.Message.
func (Request) Kind() string { return "request" }

// Kind implements algo.Message.
func (Locked) Kind() string { return "locked" }

// Kind implements algo.Message.
func (Failed) Kind() string { return "failed" }

// Kind implements algo.Message.
func (Inquire) Kind() string { return "inquire" }

// Kind implements algo.Message.
func (Relinquish) Kind() string { return "relinquish" }

// Kind implements algo.Message.
func (Release) Kind() string { return "release" }

// AppendFields implements algo.Message.
func (r Request) AppendFields(dst []algo.Field) []algo.Field { return appendFields(dst, r.Stamp) }

// AppendFields implements algo.Message.
func (l Locked) AppendFields(dst []algo.Field) []algo.Field { return appendFields(dst, l.Stamp) }

// AppendFields implements algo.Message.
func (f Failed) AppendFields(dst []algo.Field) []algo.Field { return appendFields(dst, f.Stamp) }

// AppendFields implements algo.Message.
func (i Inquire) AppendFields(dst []algo.Field) []algo.Field { return appendFields(dst, i.Stamp) }

// AppendFields implements algo.Message.
func (r Relinquish) AppendFields(dst []algo.Field) []algo.Field { return appendFields(dst, r.Stamp) }

// AppendFields implements algo.Message.
func (r Release) AppendFields(dst []algo.Field) []algo.Field { return appendFields(dst, r.Stamp) }

func appendFields(dst []algo.Field, s algo.Stamp) []algo.Field {
	return append(dst, algo.Field{Key: "stamp", Value: s.String()})
}

// The reasons, as traces and stories tell them. Those of what a peer says to
// itself stand alone, as notes.
var (
	whyAsks         = algo.Reason{Text: "it wants the section and asks its quorum"}
	whyEnters       = algo.Reason{Text: "its whole quorum is locked for it"}
	whyLeft         = algo.Reason{Text: "it has left the section"}
	whyCancelled    = algo.Reason{Text: "it gave up its request"}
	whyInside       = algo.Reason{Text: "keeps the lock: it is inside"}
	whyUndecided    = algo.Reason{Text: "keeps the lock for now: it may yet get all"}
	whyRelinquishes = algo.Reason{Text: "gives the lock back: it does not get all for now"}
	whyStale        = algo.Reason{Text: "needs this message no more"}
	whyStrange      = algo.Reason{Text: "ignores a message that no peer sends"}
)

const (
	whyLocks     = "is locked for % now"
	whyYounger   = "lets it wait: % is older"
	whyOvertaken = "lets it wait: the still older % has come"
	whyInquires  = "asks for its lock for % back: an older request has come"
	whyInquired  = "lets it wait: it has asked for its lock for % back already"
)
