package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/locker"
	"github.com/conchlock/conch/tracing"
	"github.com/conchlock/conch/view"
)

// scripted gives locks, and tells who waits what the test says.
type scripted struct {
	tell   func(locker.Progress)
	err    error
	busy   bool
	wished locker.Options // the last wish
	hold   *scriptedHold  // the last
}

func (s *scripted) Busy(context.Context, string) (bool, error) { return s.busy, nil }

func (s *scripted) Acquire(_ context.Context, _ string, o locker.Options) (locker.Hold, error) {
	s.wished = o
	if s.tell != nil && o.Progress != nil {
		s.tell(o.Progress)
	}
	if s.err != nil {
		return nil, s.err
	}
	s.hold = &scriptedHold{asked: make(chan struct{})}
	s.hold.ctx, s.hold.end = context.WithCancelCause(context.Background())
	return s.hold, nil
}

// scriptedHold has token 100.
type scriptedHold struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	asked chan struct{}
}

func (h *scriptedHold) Token() algo.Token            { return 100 }
func (h *scriptedHold) Deadline() time.Time          { return time.Time{} }
func (h *scriptedHold) Context() context.Context     { return h.ctx }
func (h *scriptedHold) Asked() <-chan struct{}       { return h.asked }
func (h *scriptedHold) AskedBy() (by, reason string) { return "root@c", "the disk is needed" }
func (h *scriptedHold) Release() error {
	before := context.Cause(h.ctx)
	h.end(context.Canceled)
	return before
}

// recorded returns a provider, and what it has recorded.
func recorded() (*sdk.TracerProvider, *tracetest.SpanRecorder) {
	r := tracetest.NewSpanRecorder()
	return sdk.NewTracerProvider(sdk.WithSpanProcessor(r)), r
}

// span returns the last span of that name that has ended.
func span(t *testing.T, r *tracetest.SpanRecorder, name string) sdk.ReadOnlySpan {
	t.Helper()
	var last sdk.ReadOnlySpan
	for _, s := range r.Ended() {
		if s.Name() == name {
			last = s
		}
	}
	if last == nil {
		t.Fatalf("there is no span %s", name)
	}
	return last
}

// attributes as a map of texts.
func attributes(list []attribute.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, a := range list {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

// spanNumber is a traceparent.
func spanNumber(n int) string { return fmt.Sprintf("00-%032x-%016x-01", n, n) }

// The wait has a link to the span of each holder, once, and an event for each hold, both of
// them the first eight; what is no traceparent is not linked; and the caller's own hold,
// which may be seen before the call returns, is none it has waited for.
func TestHolders(t *testing.T) {
	from := &scripted{}
	from.tell = func(tell locker.Progress) {
		tell(0, view.Lock{})
		for i, traceparent := range []string{
			"", "nonsense", "00-1-2-01", strings.Repeat("0", 200), spanNumber(0), "ff" + spanNumber(1)[2:], // none is linked
			spanNumber(7), spanNumber(7), // one span, two holds
			spanNumber(8), // the ninth
		} {
			l := view.Lock{Holder: &view.Holder{Peer: fmt.Sprint("p", i), Token: uint64(i + 1), Label: "the job", Trace: traceparent}}
			tell(2, l)
			tell(1, l) // nothing new of the holder
		}
		tell(1, view.Lock{Holder: &view.Holder{Peer: "late", Token: 3}}) // an older view
		tell(0, view.Lock{Holder: &view.Holder{Peer: "own", Token: 100}})
	}
	provider, r := recorded()
	hold, err := tracing.New(conch.MutexOf(from, "x"), tracing.Options{TracerProvider: provider}).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wait := span(t, r, "conch.wait")
	if got := attributes(wait.Attributes()); got["conch.lock.name"] != "x" || got["conch.wait.place"] != "2" || got["conch.wait.holders"] != "9" ||
		got["conch.holder.peer"] != "p0" || got["conch.lock.outcome"] != "entered" || wait.Status().Code != codes.Unset {
		t.Errorf("attributes %v, status %v", got, wait.Status())
	}
	if l := wait.Links(); len(l) != 1 || l[0].SpanContext.SpanID() != (trace.SpanID{7: 7}) || attributes(l[0].Attributes)["conch.holder.peer"] != "p6" {
		t.Errorf("links %+v", l)
	}
	for i, e := range wait.Events() {
		if got := attributes(e.Attributes); e.Name != "held" || got["conch.holder.token"] != fmt.Sprint(i+1) || got["conch.holder.label"] != "the job" {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if n := len(wait.Events()); n != 8 {
		t.Errorf("%d events", n)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
}

// A caller that saw only its own hold waited for nobody.
func TestOwnHold(t *testing.T) {
	from := &scripted{tell: func(tell locker.Progress) { tell(0, view.Lock{Holder: &view.Holder{Peer: "own", Token: 100}}) }}
	provider, r := recorded()
	if _, err := tracing.New(conch.MutexOf(from, "x"), tracing.Options{TracerProvider: provider}).Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := span(t, r, "conch.wait"); len(s.Events()) > 0 || attributes(s.Attributes())["conch.wait.holders"] != "" {
		t.Errorf("events %+v, attributes %v", s.Events(), attributes(s.Attributes()))
	}
}

// The span of a hold says how it ended, and what its holder was told.
func TestEnds(t *testing.T) {
	lost := fmt.Errorf("%w: its lease ends", conch.ErrLost)
	for _, tt := range []struct {
		cause  error
		asked  bool
		want   string
		events string
		code   codes.Code
	}{
		{nil, false, "unlocked", "", codes.Unset},
		{nil, true, "unlocked", "asked,root@c,the disk is needed,;", codes.Unset},
		{lost, false, "lost", "lost,,," + lost.Error() + ";", codes.Error},
		{lost, true, "lost", "asked,root@c,the disk is needed,;lost,,," + lost.Error() + ";", codes.Error},
		{conch.ErrClosed, false, "closed", "lost,,," + conch.ErrClosed.Error() + ";", codes.Error},
	} {
		from := &scripted{}
		provider, r := recorded()
		hold, err := tracing.New(conch.MutexOf(from, "x"), tracing.Options{TracerProvider: provider}).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := len(r.Ended()); got != 1 {
			t.Fatalf("%d spans have ended, not the wait alone", got)
		}
		if tt.asked {
			close(from.hold.asked)
		}
		if tt.cause != nil {
			from.hold.end(tt.cause)
		}
		if err := hold.Unlock(); !errors.Is(err, tt.cause) {
			t.Error(err)
		}
		if err := hold.Unlock(); err == nil {
			t.Error("a second Unlock is no error")
		}
		s := span(t, r, "conch.lock")
		var events string
		for _, e := range s.Events() {
			got := attributes(e.Attributes)
			events += strings.Join([]string{e.Name, got["conch.asked.by"], got["conch.asked.reason"], got["conch.lost.reason"]}, ",") + ";"
		}
		if got := attributes(s.Attributes()); got["conch.lock.outcome"] != tt.want || got["conch.lock.token"] != "100" || got["conch.hold.seconds"] == "" ||
			events != tt.events || s.Status().Code != tt.code || (tt.cause != nil && s.Status().Description != tt.cause.Error()) {
			t.Errorf("%+v: %v, %q, %v", tt, got, events, s.Status())
		}
		if n := len(r.Ended()); n != 2 {
			t.Errorf("%d spans", n)
		}
	}
}

// Calls that do not get the lock end both spans, and say why.
func TestNotAcquired(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		from scripted
		want string
		code codes.Code
	}{
		{t.Context(), scripted{busy: true}, "not acquired", codes.Unset},
		{gone, scripted{err: context.Canceled}, "gave up", codes.Error},
		{t.Context(), scripted{err: conch.ErrClosed}, "closed", codes.Error},
		{t.Context(), scripted{err: errors.New("no peer")}, "failed", codes.Error},
	} {
		provider, r := recorded()
		m := tracing.New(conch.MutexOf(&tt.from, "x"), tracing.Options{TracerProvider: provider})
		get := m.Lock
		if tt.from.busy {
			get = m.TryLock
		}
		if hold, err := get(tt.ctx); hold != nil || err == nil {
			t.Errorf("%s: %v, %v", tt.want, hold, err)
		}
		for _, name := range []string{"conch.wait", "conch.lock"} {
			s := span(t, r, name)
			if got := attributes(s.Attributes()); got["conch.lock.outcome"] != tt.want || s.Status().Code != tt.code {
				t.Errorf("%s: %s has %v, %v", tt.want, name, got, s.Status())
			}
		}
	}
}

// Where nothing is recorded, nothing is watched; a span of somebody else's that is recorded
// elsewhere is passed on all the same, and one that nobody keeps is not.
func TestNotRecorded(t *testing.T) {
	remote := func(flags trace.TraceFlags) context.Context {
		return trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 1}, TraceFlags: flags}))
	}
	never := sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))
	for _, tt := range []struct {
		provider trace.TracerProvider
		ctx      context.Context
		want     string
	}{
		{nil, t.Context(), ""}, // nobody has set the global one
		{noop.NewTracerProvider(), t.Context(), ""},
		{noop.NewTracerProvider(), remote(0), ""},
		{noop.NewTracerProvider(), remote(trace.FlagsSampled), spanNumber(1)},
		{never, t.Context(), ""},
	} {
		from := &scripted{}
		hold, err := tracing.New(conch.MutexOf(from, "x"), tracing.Options{TracerProvider: tt.provider}).Lock(tt.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if from.wished.Progress != nil || from.wished.Trace != tt.want {
			t.Errorf("%T: progress %t, trace %q, want %q", tt.provider, from.wished.Progress != nil, from.wished.Trace, tt.want)
		}
		if err := hold.Unlock(); err != nil {
			t.Error(err)
		}
		from.err = conch.ErrClosed
		if hold, err := tracing.New(conch.MutexOf(from, "x"), tracing.Options{TracerProvider: tt.provider}).Lock(tt.ctx); hold != nil || !errors.Is(err, conch.ErrClosed) {
			t.Errorf("%v, %v", hold, err)
		}
	}
}

// The caller's options count: his span is the one that others are linked to, and his
// progress is told as well. The global provider is taken if none is given.
func TestOptions(t *testing.T) {
	provider, r := recorded()
	otel.SetTracerProvider(provider)
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	from := &scripted{tell: func(tell locker.Progress) { tell(3, view.Lock{}) }}
	m := tracing.New(conch.MutexOf(from, "x"), tracing.Options{})
	told := 0
	err := m.Do(t.Context(), func(ctx context.Context, token conch.Token) error {
		if trace.SpanFromContext(ctx).SpanContext().SpanID() == (trace.SpanID{}) || m.Name() != "x" || token != 100 {
			t.Error("the context has no span")
		}
		return nil
	}, conch.WithTrace(spanNumber(5)), conch.WithLabel("me"), conch.WithProgress(func(place int, _ view.Lock) { told = place }))
	if err != nil || told != 3 || from.wished.Trace != spanNumber(5) || from.wished.Label != "me" {
		t.Errorf("%v, told %d, %+v", err, told, from.wished)
	}
	if got := attributes(span(t, r, "conch.wait").Attributes())["conch.wait.place"]; got != "3" {
		t.Errorf("place %s", got)
	}
}

// Do ends its context when the hold is lost, and its spans when the function panics.
func TestDo(t *testing.T) {
	from := &scripted{}
	provider, r := recorded()
	m := tracing.New(conch.MutexOf(from, "x"), tracing.Options{TracerProvider: provider})
	bounded, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := m.Do(bounded, func(ctx context.Context, _ conch.Token) error {
		from.hold.end(conch.ErrLost)
		<-ctx.Done()
		if cause := context.Cause(ctx); cause != conch.ErrLost {
			t.Errorf("its context ends with %v", cause)
		}
		return nil
	})
	if !errors.Is(err, conch.ErrLost) || attributes(span(t, r, "conch.lock").Attributes())["conch.lock.outcome"] != "lost" {
		t.Errorf("lost: %v", err)
	}
	func() {
		defer func() { recover() }()
		m.Do(t.Context(), func(context.Context, conch.Token) error { panic("on purpose") })
	}()
	if n := len(r.Ended()); n != 4 {
		t.Errorf("%d spans have ended", n)
	}
	from.err = conch.ErrClosed
	if err := m.Do(t.Context(), nil); !errors.Is(err, conch.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// docs/metrics.md has all attributes, and no others.
func TestAttributesAreDocumented(t *testing.T) {
	source, err := os.ReadFile("tracing.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	set := func(pattern string, text []byte) (keys []string) {
		for _, found := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			keys = append(keys, string(found[1]))
		}
		slices.Sort(keys)
		return slices.Compact(keys)
	}
	has, says := set(`attribute\.Key\("(.*)"\)`, source), set("`(conch\\.[a-z]+\\.[a-z]+)`", doc)
	if len(has) < 5 || !slices.Equal(has, says) {
		t.Errorf("the package has %v, its page %v", has, says)
	}
}
