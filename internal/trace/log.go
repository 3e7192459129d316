package trace

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Log is a Recorder that renders events as log records, so that what led to
// an entry can be read from the logs alone. A goroutine of its own gives them to
// the logger's handler: a terminal or a pipe that takes no more must not stop a
// peer. What piles up then is bounded; beyond that records are lost, and
// counted.
type Log struct {
	logger *slog.Logger
	wake   chan struct{} // there are records, or the Log is closed
	done   chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows
	records []logRecord
	lost    int
	closed  bool
}

// logRecord is a record on its way to a handler.
type logRecord struct {
	to     slog.Handler
	record slog.Record
}

const (
	logMax   = 1 << 14         // records that wait
	logDrain = 2 * time.Second // how long Close waits for them
)

// NewLog returns a Log that gives its records to logger. Upkeep is logged at
// debug level, what breaks a promise or a link as a warning, the rest as info.
// Close ends it.
func NewLog(logger *slog.Logger) *Log {
	l := &Log{logger: logger, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l
}

// run handles records until the Log is closed and none is left.
func (l *Log) run() {
	defer close(l.done)
	var records []logRecord
	for range l.wake {
		l.mu.Lock()
		records, l.records = l.records, records[:0]
		lost, closed := l.lost, l.closed
		l.lost = 0
		l.mu.Unlock()
		for _, r := range records {
			// A log that cannot be written is no reason to stop, and there is
			// nowhere left to say so.
			_ = r.to.Handle(context.Background(), r.record)
		}
		clear(records)
		if lost > 0 {
			l.logger.Warn("the log was too slow", "lost", lost)
		}
		if closed {
			return
		}
	}
}

// Flush wakes the goroutine; it does not wait for it.
func (l *Log) Flush() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close waits until the records are handled, but not for long: then they are
// left to a handler that may be stuck.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.Flush()
	t := time.NewTimer(logDrain)
	defer t.Stop()
	select {
	case <-l.done:
		return nil
	case <-t.C:
		return errors.New("the log took no more records for 2s, and some are lost: is somebody reading it?")
	}
}

// Record renders e.
func (l *Log) Record(e *Event) {
	level := logLevel(e)
	if !l.logger.Enabled(context.Background(), level) {
		return
	}
	r := slog.NewRecord(e.At, level, Phrase(e), 0)
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("peer", string(e.Peer)), slog.Uint64("clock", uint64(e.Clock)))
	if e.Lock != "" {
		attrs = append(attrs, slog.String("lock", e.Lock))
	}
	if e.Kind == Note && e.Lock != "" && e.Other != "" {
		attrs = append(attrs, slog.String("other", string(e.Other)))
	}
	if e.Kind == Start {
		attrs = append(attrs, slog.Uint64("incarnation", uint64(e.Incarnation)))
		if e.Algorithm != "" {
			attrs = append(attrs, slog.String("algorithm", e.Algorithm))
		}
	}
	if e.Kind.hasToken() {
		attrs = append(attrs, slog.Uint64("token", uint64(e.Token)))
	}
	if e.Lease != 0 {
		attrs = append(attrs, slog.Duration("lease", e.Lease))
	}
	if m := e.Message; m != nil {
		attrs = append(attrs, slog.String("id", m.ID.String()))
		for _, f := range m.Fields {
			attrs = append(attrs, slog.String(f.Key, f.Value))
		}
	}
	if e.Reason != "" && e.Kind != Note {
		attrs = append(attrs, slog.String("reason", e.Reason))
	}
	r.AddAttrs(attrs...)
	l.put(l.logger.Handler(), r)
}

func (l *Log) put(to slog.Handler, r slog.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) >= logMax {
		l.lost++
		return
	}
	l.records = append(l.records, logRecord{to, r})
}

// Logger returns a logger for what is no event. Its records take the same way:
// whoever logs does not wait either.
func (l *Log) Logger() *slog.Logger { return slog.New(queued{l, l.logger.Handler()}) }

// queued is the handler of Log.Logger.
type queued struct {
	log *Log
	to  slog.Handler
}

func (q queued) Enabled(ctx context.Context, level slog.Level) bool { return q.to.Enabled(ctx, level) }
func (q queued) WithAttrs(attrs []slog.Attr) slog.Handler {
	return queued{q.log, q.to.WithAttrs(attrs)}
}
func (q queued) WithGroup(name string) slog.Handler { return queued{q.log, q.to.WithGroup(name)} }

func (q queued) Handle(_ context.Context, r slog.Record) error {
	q.log.put(q.to, r.Clone())
	q.log.Flush()
	return nil
}

func logLevel(e *Event) slog.Level {
	switch {
	case e.Kind == Lost || e.Kind == LinkDown || e.Kind == Drop || e.Kind == Suspect || e.Kind == Crash || e.LostEvents():
		return slog.LevelWarn
	case e.Kind == Extend || e.Message != nil && e.Message.Upkeep:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// Phrase says what happened in words that make a sentence with the peer's name
// in front.
func Phrase(e *Event) string {
	switch e.Kind {
	case Start:
		return "starts"
	case Stop:
		return "stops"
	case LinkUp:
		return "is connected to " + string(e.Other)
	case LinkDown:
		return "is not connected to " + string(e.Other)
	case Request:
		return "wants the lock"
	case Cancel:
		return "gives up waiting"
	case Send:
		return "sends " + e.Message.Kind + " to " + string(e.Message.To)
	case Receive:
		return "receives " + e.Message.Kind + " from " + string(e.Message.From)
	case Drop:
		return "drops " + e.Message.Kind + " from " + string(e.Message.From) + " to " + string(e.Message.To)
	case Enter:
		return "enters the critical section"
	case Extend:
		return "may stay longer"
	case Exit:
		return "leaves the critical section"
	case Lost:
		return "has lost the lock"
	case Suspect:
		return "suspects " + string(e.Other)
	case Join:
		return "sees " + string(e.Other) + " join"
	case Leave:
		return "sees " + string(e.Other) + " leave"
	case Crash:
		return "was killed"
	case Note:
		if e.Reason != "" {
			return e.Reason
		}
		return "does nothing"
	}
	return "did something unknown: " + strconv.Quote(string(e.Kind))
}

// Tee returns a Recorder that gives every event to each of the recorders, in
// that order. nil ones are left out.
func Tee(recorders ...Recorder) Recorder {
	var t tee
	for _, r := range recorders {
		if r != nil {
			t = append(t, r)
		}
	}
	if len(t) == 1 {
		return t[0]
	}
	return t
}

type tee []Recorder

func (t tee) Record(e *Event) {
	for _, r := range t {
		r.Record(e)
	}
}

// Wordless implements Counter.
func (t tee) Wordless() bool {
	return !slices.ContainsFunc(t, func(r Recorder) bool { return !Wordless(r) })
}

func (t tee) Flush() {
	for _, r := range t {
		r.Flush()
	}
}
