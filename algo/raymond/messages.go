package raymond

import "github.com/conchlock/conch/algo"

// Request asks a neighbour for the privilege. It says only that: for whom the
// neighbour that asks wants it is that neighbour's business.
type Request struct{}

// Privilege is the privilege. Who has it may enter.
type Privilege struct{}

// Kind implements algo.Message.
func (Request) Kind() string { return "request" }

// Kind implements algo.Message.
func (Privilege) Kind() string { return "privilege" }

// AppendFields implements algo.Message.
func (Request) AppendFields(dst []algo.Field) []algo.Field { return dst }

// AppendFields implements algo.Message.
func (Privilege) AppendFields(dst []algo.Field) []algo.Field { return dst }

// The reasons, as traces and stories tell them.
var (
	whyWants     = algo.Reason{Text: "it wants the section, and the privilege is that way"}
	whyPassesOn  = algo.Reason{Text: "a neighbour wants the privilege, and it is that way"}
	whyWantsBack = algo.Reason{Text: "it wants the privilege back: somebody else is in its queue"}
	whyAsked     = algo.Reason{Text: "asks no second time: the privilege is asked for already"}
	whyInside    = algo.Reason{Text: "keeps the privilege: it is inside"}
	whyNext      = algo.Reason{Text: "the privilege is free, and this neighbour is first in its queue"}
	whyEnters    = algo.Reason{Text: "it has the privilege, and is first in its queue"}
	whyRests     = algo.Reason{Text: "the privilege rests here"}
	whyRestsHere = algo.Reason{Text: "lets the privilege rest: nobody wants it"}
)
