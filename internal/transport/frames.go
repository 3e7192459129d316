package transport

import (
	"fmt"
	"math"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/transport/link"
	"github.com/conchlock/conch/internal/transport/wire"
)

// The frames of package link, and what they are on the wire. Batches have a
// path of their own, in streams.go, since only they come often.

func encodeHello(h *link.Hello) *wire.Hello {
	hello := &wire.Hello{
		Version:     h.Version,
		VersionMin:  h.VersionMin,
		Cluster:     h.Cluster,
		Algorithm:   h.Algorithm,
		Open:        h.Open,
		TtlNs:       int64(h.TTL),
		DriftPpm:    h.Drift,
		From:        string(h.From),
		To:          string(h.To),
		Incarnation: uint64(h.Incarnation),
		Known:       uint64(h.Known),
		KnewEarlier: h.KnewEarlier,
		Process:     h.Process, KnownProcess: h.KnownProcess,
		Clock: uint64(h.Clock),
		Floor: h.Floor,
	}
	for _, m := range h.Members {
		hello.Members = append(hello.Members, &wire.Member{Name: string(m.Name), Votes: uint32(m.Votes)})
	}
	return hello
}

// decodeHello judges nothing: package link compares it with its own.
func decodeHello(h *wire.Hello) *link.Hello {
	hello := &link.Hello{
		Version:     h.GetVersion(),
		VersionMin:  h.GetVersionMin(),
		Cluster:     h.GetCluster(),
		Algorithm:   h.GetAlgorithm(),
		Open:        h.GetOpen(),
		TTL:         time.Duration(h.GetTtlNs()),
		Drift:       h.GetDriftPpm(),
		From:        algo.PeerName(h.GetFrom()),
		To:          algo.PeerName(h.GetTo()),
		Incarnation: algo.Incarnation(h.GetIncarnation()),
		Known:       algo.Incarnation(h.GetKnown()),
		KnewEarlier: h.GetKnewEarlier(),
		Process:     h.GetProcess(), KnownProcess: h.GetKnownProcess(),
		Clock: algo.Time(h.GetClock()),
		Floor: h.GetFloor(),
	}
	for _, m := range h.GetMembers() {
		hello.Members = append(hello.Members, link.Member{Name: algo.PeerName(m.GetName()), Votes: int(m.GetVotes())})
	}
	return hello
}

// encodeAnswer encodes a frame that answers.
func encodeAnswer(f *link.Frame) *wire.Answer {
	switch f.Kind {
	case link.WelcomeFrame:
		return &wire.Answer{Answer: &wire.Answer_Welcome{Welcome: encodeHello(f.Hello)}}
	case link.RefusedFrame:
		return &wire.Answer{Answer: &wire.Answer_Refused{Refused: &wire.Refused{Cause: wire.Refused_Cause(f.Refusal.Cause), Text: f.Refusal.Text}}}
	case link.ReadyFrame:
		return &wire.Answer{Answer: &wire.Answer_Ready{Ready: &wire.Ready{Session: f.Session, Received: f.Number}}}
	case link.BeatFrame:
		return &wire.Answer{Answer: &wire.Answer_Ack{Ack: &wire.Ack{Received: f.Number}}}
	}
	panic(fmt.Sprintf("transport: a frame of kind %d is no answer", f.Kind))
}

// decodeAnswer overwrites f.
func decodeAnswer(f *link.Frame, a *wire.Answer) error {
	switch a := a.GetAnswer().(type) {
	case *wire.Answer_Welcome:
		*f = link.Frame{Kind: link.WelcomeFrame, Hello: decodeHello(a.Welcome)}
	case *wire.Answer_Refused:
		cause := a.Refused.GetCause()
		if cause < 0 || cause > math.MaxUint8 {
			cause = 0
		}
		*f = link.Frame{Kind: link.RefusedFrame, Refusal: &link.Refusal{Cause: link.Cause(cause), Text: a.Refused.GetText()}}
	case *wire.Answer_Ready:
		*f = link.Frame{Kind: link.ReadyFrame, Session: a.Ready.GetSession(), Number: a.Ready.GetReceived()}
	case *wire.Answer_Ack:
		*f = link.Frame{Kind: link.BeatFrame, Number: a.Ack.GetReceived()}
	default:
		return &link.ProtocolError{Text: "an answer of a kind that this version does not know"}
	}
	return nil
}
