package epoch

import (
	"strconv"
	"strings"

	"github.com/conchlock/conch/algo"
)

// Join confirms an epoch: its sender has dropped what it knew from earlier
// ones, except that it is still inside the locks in Held. It is about no single
// lock.
type Join struct {
	Epoch Epoch
	Held  []string // sorted
}

// Left says that its sender has left a lock that its last Join named.
type Left struct{}

// Kind implements algo.Message.
func (Join) Kind() string { return "join" }

// Kind implements algo.Message.
func (Left) Kind() string { return "left" }

// AppendFields implements algo.Message.
func (j Join) AppendFields(dst []algo.Field) []algo.Field {
	dst = append(dst, algo.Field{Key: "epoch", Value: j.Epoch.String()})
	const most = 8
	switch n := len(j.Held); {
	case n > most:
		few := strings.Join(j.Held[:most], " ") + " and " + strconv.Itoa(n-most) + " more"
		dst = append(dst, algo.Field{Key: "held", Value: few})
	case n > 0:
		dst = append(dst, algo.Field{Key: "held", Value: strings.Join(j.Held, " ")})
	}
	return dst
}

// AppendFields implements algo.Message.
func (Left) AppendFields(dst []algo.Field) []algo.Field { return dst }

// The reasons, as traces and stories tell them.
var (
	whyRestart     = algo.Reason{Text: "it has seen a restart and drops what it knew"}
	whyLost        = algo.Reason{Text: "messages were lost, and it drops what it knew"}
	whyFollows     = algo.Reason{Text: "it has heard of a new epoch and drops what it knew"}
	whyFull        = algo.Reason{Text: "it has put too many messages aside and drops what it knew"}
	whyImplausible = algo.Reason{Text: "ignores a join that names a peer or a life that there is not"}
	whyForNew      = algo.Reason{Text: "it tells a peer it had no contact with"}
	whyLeft        = algo.Reason{Text: "it has left the section that it was in since before the restart"}
	whyOldEpoch    = algo.Reason{Text: "ignores a message from before a restart"}
	whyEarly       = algo.Reason{Text: "puts the message aside until this lock is open to everybody"}
	whyNotBegun    = algo.Reason{Text: "waits with its request until it knows every peer and all have begun the same epoch"}
	whyHeldStill   = algo.Reason{Text: "waits with its request until who was inside before the restart has left"}
)
