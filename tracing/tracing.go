// Package tracing records in OpenTelemetry spans how long a caller waits for a lock and
// holds it, and links the wait to the spans of those who were inside meanwhile.
//
//	m := tracing.New(peer.Mutex("ledger"), tracing.Options{})
//	err := m.Do(ctx, func(ctx context.Context, token conch.Token) error { ... })
//
// Each call has two spans. "conch.lock" lasts from the call to Unlock; its parent is the
// span in the call's context, and what the caller does inside belongs below it.
// "conch.wait", its child, lasts from the call to the entry: what comes after is the hold.
//
// Others who wait are told of conch.lock (by [conch.WithTrace]), and their conch.wait is
// linked to it. It cannot be a span of the hold alone, as the hold's span has to be known
// when the lock is asked for, and a span that is known has begun.
//
// Locks of a peer and of package client are traced alike, and links lead from any to any.
// Programs that do not import this package do not pay for it.
package tracing

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/conchlock/conch"
)

// Names of attributes.
const (
	nameKey    = attribute.Key("conch.lock.name")
	tokenKey   = attribute.Key("conch.lock.token")
	outcomeKey = attribute.Key("conch.lock.outcome")
	holdKey    = attribute.Key("conch.hold.seconds")
	placeKey   = attribute.Key("conch.wait.place")
	holdersKey = attribute.Key("conch.wait.holders")
	peerKey    = attribute.Key("conch.holder.peer")
	holderKey  = attribute.Key("conch.holder.token")
	labelKey   = attribute.Key("conch.holder.label")
	byKey      = attribute.Key("conch.asked.by")
	askedKey   = attribute.Key("conch.asked.reason")
	lostKey    = attribute.Key("conch.lost.reason")
)

// Options say how locks are traced. The zero Options do for most programs.
type Options struct {
	// TracerProvider makes the spans; nil takes otel.GetTracerProvider().
	TracerProvider trace.TracerProvider
}

// Mutex is a [conch.Mutex] whose calls are traced. Its methods are safe for concurrent use.
type Mutex struct {
	mutex  *conch.Mutex
	tracer trace.Tracer
	named  trace.SpanStartEventOption // with the lock's name
}

// New returns a mutex that does what m does, and traces it.
func New(m *conch.Mutex, o Options) *Mutex {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	return &Mutex{m, o.TracerProvider.Tracer("github.com/conchlock/conch/tracing"), trace.WithAttributes(nameKey.String(m.Name()))}
}

// Name returns the lock's name.
func (m *Mutex) Name() string { return m.mutex.Name() }

// Lock is [conch.Mutex.Lock]. With [conch.WithTrace] among the options, others are linked
// to that span instead of this call's.
func (m *Mutex) Lock(ctx context.Context, options ...conch.Option) (*Hold, error) {
	return m.lock(ctx, m.mutex.Lock, options)
}

// TryLock is [conch.Mutex.TryLock]. That it does not get the lock is no error of the spans.
func (m *Mutex) TryLock(ctx context.Context, options ...conch.Option) (*Hold, error) {
	return m.lock(ctx, m.mutex.TryLock, options)
}

// lock gets the lock, and leaves open the span in which it is held.
func (m *Mutex) lock(ctx context.Context, get func(context.Context, ...conch.Option) (*conch.Hold, error), options []conch.Option) (*Hold, error) {
	ctx, span := m.tracer.Start(ctx, "conch.lock", m.named)
	var own []conch.Option // before the caller's, so that his count
	if sc := span.SpanContext(); sc.IsValid() && sc.IsSampled() {
		own = append(own, conch.WithTrace(traceparent(ctx)))
	}
	if !span.IsRecording() {
		hold, err := get(ctx, append(own, options...)...)
		if err != nil {
			span.End()
			return nil, err
		}
		return &Hold{Hold: hold, span: span}, nil
	}
	_, wait := m.tracer.Start(ctx, "conch.wait", m.named)
	var seen holders
	hold, err := get(ctx, append(append(own, conch.WithProgress(seen.see)), options...)...)
	if err != nil {
		seen.describe(wait, 0)
		what := outcome(ctx, err)
		end(wait, what, err)
		end(span, what, err)
		return nil, err
	}
	seen.describe(wait, uint64(hold.Token()))
	end(wait, "entered", nil)
	span.SetAttributes(tokenKey.Int64(int64(hold.Token())))
	h := &Hold{Hold: hold, span: span, since: time.Now(), watched: make(chan struct{})}
	go h.watch()
	return h, nil
}

// outcome says in a word how a call went that did not get the lock.
func outcome(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, conch.ErrNotAcquired):
		return "not acquired"
	case errors.Is(err, conch.ErrClosed):
		return "closed"
	case ctx.Err() != nil:
		return "gave up"
	}
	return "failed"
}

// end ends a span.
func end(span trace.Span, outcome string, err error) {
	span.SetAttributes(outcomeKey.String(outcome))
	if err != nil && !errors.Is(err, conch.ErrNotAcquired) {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// Do is [conch.Mutex.Do]: it calls f while holding the lock. f's context carries the span.
// The status of the spans is that of the lock; f's error is not noted in them.
func (m *Mutex) Do(ctx context.Context, f func(ctx context.Context, token conch.Token) error, options ...conch.Option) error {
	hold, err := m.Lock(ctx, options...)
	if err != nil {
		return err
	}
	unlocked := false
	defer func() {
		if !unlocked { // f panicked
			hold.Unlock()
		}
	}()
	within, cancel := context.WithCancelCause(trace.ContextWithSpan(ctx, hold.span))
	defer cancel(nil)
	defer context.AfterFunc(hold.Context(), func() { cancel(context.Cause(hold.Context())) })()
	err = f(within, hold.Token())
	unlocked = true
	return errors.Join(err, hold.Unlock())
}

// Hold is a [conch.Hold] whose span ends with Unlock: one that is never unlocked, not even
// after it was lost, is never exported.
type Hold struct {
	*conch.Hold
	span    trace.Span
	since   time.Time
	watched chan struct{} // closed when the hold has ended, and that is noted; nil if nothing is
}

// Context is [conch.Hold.Context], and carries the span. Of the context that Lock was
// called with it has nothing else.
func (h *Hold) Context() context.Context {
	return trace.ContextWithSpan(h.Hold.Context(), h.span)
}

// Unlock is [conch.Hold.Unlock], and ends the span.
func (h *Hold) Unlock() error {
	err := h.Hold.Unlock()
	switch {
	case errors.Is(err, conch.ErrUnlocked):
		return err
	case h.watched == nil:
		h.span.End()
		return err
	}
	<-h.watched
	h.span.SetAttributes(holdKey.Float64(time.Since(h.since).Seconds()))
	what := "unlocked"
	switch {
	case errors.Is(err, conch.ErrClosed):
		what = "closed"
	case err != nil:
		what = "lost"
	}
	end(h.span, what, err)
	return err
}

// watch notes in the span, when it happens, that the holder is asked to give way, and that
// its hold is lost.
func (h *Hold) watch() {
	defer close(h.watched)
	ctx, asked := h.Hold.Context(), h.Asked()
	select {
	case <-asked:
	case <-ctx.Done():
	}
	select {
	case <-asked: // perhaps just before it ended
		by, reason := h.AskedBy()
		h.span.AddEvent("asked", trace.WithAttributes(byKey.String(by), askedKey.String(reason)))
	default:
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		h.span.AddEvent("lost", trace.WithAttributes(lostKey.String(cause.Error())))
	}
}
