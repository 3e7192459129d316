package tracing

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/conchlock/conch/view"
)

// maxHolders is how many of those who held the lock while the caller waited are noted:
// the first. The others are counted.
const maxHolders = 8

// holders are those who were seen to hold the lock while the caller waited.
type holders struct {
	place int    // the caller's, when it was first known
	count int    // how many they are
	last  uint64 // the largest token
	first []sight
}

// sight is a hold, and when it was first seen.
type sight struct {
	at time.Time
	view.Holder
}

// see is told of what the caller waits for, as conch.WithProgress has it.
func (s *holders) see(place int, l view.Lock) {
	if s.place == 0 {
		s.place = place
	}
	if l.Holder == nil || l.Holder.Token <= s.last { // an older view may come later
		return
	}
	s.count, s.last = s.count+1, l.Holder.Token
	if len(s.first) < maxHolders {
		s.first = append(s.first, sight{time.Now(), *l.Holder})
	}
}

// describe notes in the span of the wait what was seen: an event for each hold, and a link
// to each span. own is the token that the caller has got, 0 for none: its own hold may have
// been seen before it was told of it.
func (s *holders) describe(wait trace.Span, own uint64) {
	if s.place > 0 {
		wait.SetAttributes(placeKey.Int(s.place))
	}
	if own > 0 && s.last == own {
		s.count--
		s.first = slices.DeleteFunc(s.first, func(h sight) bool { return h.Token == own })
	}
	if s.count == 0 {
		return
	}
	wait.SetAttributes(holdersKey.Int(s.count), peerKey.String(s.first[0].Peer))
	var linked []trace.SpanContext
	for _, h := range s.first {
		who := []attribute.KeyValue{peerKey.String(h.Peer), holderKey.Int64(int64(h.Token)), labelKey.String(h.Label)}
		wait.AddEvent("held", trace.WithTimestamp(h.at), trace.WithAttributes(who...))
		if sc := spanOf(h.Trace); sc.IsValid() && !slices.ContainsFunc(linked, sc.Equal) {
			linked = append(linked, sc)
			wait.AddLink(trace.Link{SpanContext: sc, Attributes: who})
		}
	}
}

const header = "traceparent"

// traceparent is the span in ctx, as in the header of W3C Trace Context.
func traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[header]
}

// spanOf is the span that a traceparent names; not a valid one, if it is none. Any peer may
// have written it.
func spanOf(traceparent string) trace.SpanContext {
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{header: traceparent}))
}
