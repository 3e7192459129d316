package naimitrehel

import "github.com/conchlock/conch/algo"

// Request asks for the token, in the name of Peer, who may not be who sends it:
// it is passed on until it reaches the last in the queue.
type Request struct{ Peer algo.PeerName }

// Token is the token. Who has it may enter.
type Token struct{}

// Kind implements algo.Message.
func (Request) Kind() string { return "request" }

// Kind implements algo.Message.
func (Token) Kind() string { return "token" }

// AppendFields implements algo.Message.
func (r Request) AppendFields(dst []algo.Field) []algo.Field {
	return append(dst, algo.Field{Key: "peer", Value: string(r.Peer)})
}

// AppendFields implements algo.Message.
func (Token) AppendFields(dst []algo.Field) []algo.Field { return dst }

// The reasons, as traces and stories tell them.
var (
	whyWants        = algo.Reason{Text: "it wants the section, and asks who asked last, as far as it knows"}
	whyPassesOn     = algo.Reason{Text: "it passes the request on to who asked last, as far as it knows"}
	whyComing       = algo.Reason{Text: "asks no second time: the token that it had asked for is still to come"}
	whyInside       = algo.Reason{Text: "keeps the token: it is inside, and will pass it on when it leaves"}
	whyWaits        = algo.Reason{Text: "will pass the token on when its own turn is over"}
	whyLeft         = algo.Reason{Text: "it has left the section, and this peer is next"}
	whyGaveUp       = algo.Reason{Text: "it has given up its request, and this peer is next"}
	whyWantsNothing = algo.Reason{Text: "the token rests here, and it wants nothing"}
	whyRests        = algo.Reason{Text: "the token rests here"}
	whyRestsHere    = algo.Reason{Text: "lets the token rest: nobody wants it"}
	whyHasToken     = algo.Reason{Text: "it has the token"}
)
