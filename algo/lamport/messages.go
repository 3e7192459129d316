package lamport

import (
	"strconv"

	"github.com/conchlock/conch/algo"
)

// Request puts its sender into its receiver's queue. It was sent at the time
// of the stamp.
type Request struct{ Stamp algo.Stamp }

// Ack says that a request has been queued. What counts is only when it was
// sent: whatever its sender sent earlier has arrived.
type Ack struct{ Time algo.Time }

// Release takes its sender out of its receiver's queue.
type Release struct{ Time algo.Time }

// Kind implements algo.Message.
func (Request) Kind() string { return "request" }

// Kind implements algo.Message.
func (Ack) Kind() string { return "ack" }

// Kind implements algo.Message.
func (Release) Kind() string { return "release" }

// AppendFields implements algo.Message.
func (r Request) AppendFields(dst []algo.Field) []algo.Field {
	return append(dst, algo.Field{Key: "stamp", Value: r.Stamp.String()})
}

// AppendFields implements algo.Message.
func (a Ack) AppendFields(dst []algo.Field) []algo.Field { return appendTime(dst, a.Time) }

// AppendFields implements algo.Message.
func (r Release) AppendFields(dst []algo.Field) []algo.Field { return appendTime(dst, r.Time) }

func appendTime(dst []algo.Field, t algo.Time) []algo.Field {
	return append(dst, algo.Field{Key: "time", Value: strconv.FormatUint(uint64(t), 10)})
}

// The reasons, as traces and stories tell them.
var (
	whyAsks      = algo.Reason{Text: "it wants the section, and everybody has to queue that"}
	whyQueued    = algo.Reason{Text: "it has queued the request"}
	whyLeft      = algo.Reason{Text: "it has left the section"}
	whyCancelled = algo.Reason{Text: "it gave up its request"}
	whyNotNeeded = algo.Reason{Text: "needs this ack no more"}
	whyEnters    = algo.Reason{Text: "its request is the first, and it has heard from everybody since"}
)

const (
	whyNotFirst = "has heard from everybody, and waits: request % is older"
	whyEarlier  = "does not count this ack: it is no later than its own request %"
)
