package suzukikasami

import (
	"strconv"
	"strings"

	"github.com/conchlock/conch/algo"
)

// Request is the paper's REQUEST(j, n): its sender, j, wants the token for the
// n-th time.
type Request struct{ Number uint64 }

// Token is the paper's PRIVILEGE(Q, LN). Who has it may enter.
type Token struct {
	Served []Served        // LN, sorted by peer, without those who were never served
	Queue  []algo.PeerName // Q: where the token goes next; nobody is in it twice
}

// Served says which of a peer's requests was the last to be served.
type Served struct {
	Peer   algo.PeerName
	Number uint64
}

// Kind implements algo.Message.
func (Request) Kind() string { return "request" }

// Kind implements algo.Message.
func (Token) Kind() string { return "token" }

// AppendFields implements algo.Message.
func (r Request) AppendFields(dst []algo.Field) []algo.Field {
	return append(dst, algo.Field{Key: "number", Value: strconv.FormatUint(r.Number, 10)})
}

// AppendFields implements algo.Message.
func (t Token) AppendFields(dst []algo.Field) []algo.Field {
	var served, queue []string
	for _, s := range t.Served {
		served = append(served, string(s.Peer)+":"+strconv.FormatUint(s.Number, 10))
	}
	for _, p := range t.Queue {
		queue = append(queue, string(p))
	}
	if len(served) > 0 {
		dst = append(dst, algo.Field{Key: "served", Value: strings.Join(served, " ")})
	}
	if len(queue) > 0 {
		dst = append(dst, algo.Field{Key: "queue", Value: strings.Join(queue, " ")})
	}
	return dst
}

// The reasons, as traces and stories tell them.
var (
	whyAsks         = algo.Reason{Text: "it wants the section, and anybody may have the token"}
	whyAsked        = algo.Reason{Text: "asks no second time: its request before this one is still open"}
	whyInside       = algo.Reason{Text: "keeps the token: it is inside"}
	whyOutdated     = algo.Reason{Text: "ignores a request that was served already"}
	whyLeft         = algo.Reason{Text: "it has left the section"}
	whyWantsNothing = algo.Reason{Text: "it wants nothing"}
	whyGaveUp       = algo.Reason{Text: "it gave up its request"}
	whyRests        = algo.Reason{Text: "the token rests here"}
	whyRestsHere    = algo.Reason{Text: "lets the token rest: nobody wants it"}
	whyHasToken     = algo.Reason{Text: "it has the token"}
	whyImplausible  = algo.Reason{Text: "ignores a token that it has not asked for, or that there cannot be"}
)
