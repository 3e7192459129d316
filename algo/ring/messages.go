package ring

import "github.com/conchlock/conch/algo"

// Want asks the predecessor for the token. It says only that: who wants it
// does not matter, the token stops at everybody who waits.
type Want struct{}

// Token is the token. Who has it may enter.
type Token struct{}

// Kind implements algo.Message.
func (Want) Kind() string { return "want" }

// Kind implements algo.Message.
func (Token) Kind() string { return "token" }

// AppendFields implements algo.Message.
func (Want) AppendFields(dst []algo.Field) []algo.Field { return dst }

// AppendFields implements algo.Message.
func (Token) AppendFields(dst []algo.Field) []algo.Field { return dst }

// The reasons, as traces and stories tell them.
var (
	whyWants        = algo.Reason{Text: "it wants the section and has no token"}
	whyPassesOn     = algo.Reason{Text: "it has no token either, and passes the wish on"}
	whyAsked        = algo.Reason{Text: "asks no second time: the token is asked for already"}
	whyInside       = algo.Reason{Text: "keeps the token: it is inside"}
	whyLeft         = algo.Reason{Text: "it has left the section"}
	whyWantsNothing = algo.Reason{Text: "it wants nothing, and the token is wanted further on"}
	whyRests        = algo.Reason{Text: "the token rests here"}
	whyRestsHere    = algo.Reason{Text: "lets the token rest: nobody wants it"}
	whyHasToken     = algo.Reason{Text: "it has the token"}
)
