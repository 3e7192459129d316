package ricartagrawala

import "github.com/conchlock/conch/algo"

// Request asks its receiver for leave to enter.
type Request struct{ Stamp algo.Stamp }

// Reply gives leave to the request with this stamp.
type Reply struct{ Stamp algo.Stamp }

// Kind implements algo.Message.
func (Request) Kind() string { return "request" }

// Kind implements algo.Message.
func (Reply) Kind() string { return "reply" }

// AppendFields implements algo.Message.
func (r Request) AppendFields(dst []algo.Field) []algo.Field {
	return append(dst, algo.Field{Key: "stamp", Value: r.Stamp.String()})
}

// AppendFields implements algo.Message.
func (r Reply) AppendFields(dst []algo.Field) []algo.Field {
	return append(dst, algo.Field{Key: "stamp", Value: r.Stamp.String()})
}

// The reasons, as traces and stories tell them.
var (
	whyAsks         = algo.Reason{Text: "it wants the section and asks everybody"}
	whyWantsNothing = algo.Reason{Text: "it wants nothing"}
	whyInside       = algo.Reason{Text: "holds back its reply: it is inside"}
	whyLeft         = algo.Reason{Text: "it has left the section"}
	whyCancelled    = algo.Reason{Text: "it gave up its own request"}
	whyStale        = algo.Reason{Text: "needs this reply no more"}
	whyEnters       = algo.Reason{Text: "every peer has replied"}
)

const (
	whyOlder   = "holds back its reply: its own request % is older"
	whyYounger = "its own request % is younger"
)
