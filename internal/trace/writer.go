package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// Options are a Writer's. The zero value is a good default.
type Options struct {
	// Cap bounds the bytes on disk: when the file reaches an eighth of it, it
	// is put aside under a numbered name (see [Segments]), and the oldest
	// ones go when all together would be more. 0 keeps everything in one file.
	Cap int64

	// Buffer bounds the bytes that wait while the disk takes none; what does
	// not fit is lost and counted. 0 stands for 8 MiB.
	Buffer int

	// OnError is told of the first error of every spell of failing writes. It
	// is called by Flush, without any lock held.
	OnError func(error)
}

const bufferDefault = 8 << 20

// Writer is a Recorder that appends to a peer's trace file.
//
// Events are encoded into memory by Record and handed to the kernel by Flush,
// one write for all that has come up, so that a kill of the process loses
// nothing that was flushed. There is no fsync: a trace is evidence about
// processes, not about power cuts.
//
// A disk that takes no more never stops a peer. What could not be written is
// tried again at the next Flush; beyond Options.Buffer events are lost, and
// once writing works again a note in the trace says how many.
type Writer struct {
	options Options
	path    string

	// recorded counts events, flushed those of them that have been dealt with.
	// They make a Flush with nothing to do cheap.
	recorded atomic.Uint64
	flushed  atomic.Uint64

	mu      sync.Mutex // guards what Record touches
	buf     []byte     // encoded events, whole lines
	waiting int        // bytes that Flush has taken from buf and not written
	lost    uint64     // events that found no room since the last note
	last    Event      // the latest event, without its message: where a note would stand
	torn    int        // bytes cut off by Open, until noted
	closed  bool

	writing sync.Mutex // guards what Flush touches; taken before mu
	file    *os.File   // nil while it could not be opened again after a rotation
	out     []byte     // bytes on their way; after a failed write, what is left
	midLine bool       // the file ends within a line, the rest of which starts out
	size    int64
	limit   int64 // rotate beyond this size; 0: never
	err     error // of the last attempt
	shut    bool  // closed: the file must not be opened again
}

// Open opens or makes the trace file at path, for appending. A last line that
// an earlier process could not finish is cut off, and a note says so after
// the first event.
func Open(path string, options Options) (*Writer, error) {
	if options.Buffer == 0 {
		options.Buffer = bufferDefault
	}
	file, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	size, torn, err := cutTorn(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("trace %s: %w", path, err)
	}
	w := &Writer{options: options, path: path, file: file, size: size, torn: torn}
	if options.Cap > 0 {
		w.limit = max(options.Cap/segmentsKept, 1)
	}
	return w, nil
}

// openAppend opens a trace file for reading and appending.
func openAppend(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		return file, nil
	}
	mend := "choose another folder"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		mend = "make the folder first, or choose another one"
	case errors.Is(err, fs.ErrPermission):
		mend = "make the folder and the file writable, or choose another folder"
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return nil, fmt.Errorf("trace %s cannot be written: %w; %s", path, err, mend)
}

// Record takes one event. It encodes it and returns; see Flush.
func (w *Writer) Record(e *Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if w.lost > 0 && w.room() {
		w.noteLost()
	}
	start := len(w.buf)
	w.buf = AppendEvent(w.buf, e)
	w.last = Event{At: e.At, Peer: e.Peer, Incarnation: e.Incarnation, Clock: e.Clock}
	w.recorded.Add(1)
	if w.lost > 0 || len(w.buf)+w.waiting > w.options.Buffer {
		// What follows a loss is lost as well, until there is room: one hole
		// is easier to reason about than many.
		w.buf = w.buf[:start]
		w.lost++
		return
	}
	if w.torn > 0 {
		w.note(fmt.Sprintf("%d bytes of a line that was not finished were cut off", w.torn))
		w.torn = 0
	}
}

// room says that the buffer has been emptied enough to go on after a loss.
func (w *Writer) room() bool { return len(w.buf)+w.waiting <= w.options.Buffer/2 }

// note appends a note of the writer's own. The caller holds mu.
func (w *Writer) note(reason string) {
	e := w.last
	e.Kind, e.Reason = Note, reason
	w.buf = AppendEvent(w.buf, &e)
	w.recorded.Add(1)
}

// noteLost says in the trace how many events are missing in this place. The
// caller holds mu.
func (w *Writer) noteLost() {
	w.note(fmt.Sprintf("%d%s", w.lost, eventsLost))
	w.lost = 0
}

// eventsLost ends the reason of the note that stands in place of events.
const eventsLost = " events lost: they could not be written"

// LostEvents says that e stands in place of events that could not be written.
func (e *Event) LostEvents() bool {
	return e.Kind == Note && e.Lock == "" && strings.HasSuffix(e.Reason, eventsLost)
}

// Flush hands the events recorded so far to the kernel, with one write. When
// it returns they are there, whoever wrote them, unless Err says otherwise.
func (w *Writer) Flush() {
	if w.flushed.Load() >= w.recorded.Load() {
		return
	}
	w.writing.Lock()
	healthy := w.err == nil
	w.flush()
	err := w.err
	w.writing.Unlock()
	if healthy && err != nil && w.options.OnError != nil {
		w.options.OnError(err)
	}
}

// flush writes what there is, and the note about what there could not be. The
// caller holds writing.
func (w *Writer) flush() {
	if w.shut {
		return
	}
	for {
		recorded := w.take()
		w.err = w.write()
		w.mu.Lock()
		w.waiting = len(w.out)
		again := w.err == nil && w.lost > 0 && !w.closed
		if again {
			w.noteLost()
		}
		w.mu.Unlock()
		if w.err != nil {
			return
		}
		w.flushed.Store(recorded)
		if !again {
			return
		}
	}
}

// take moves what Record has encoded to out, and returns how many events that
// completes. Normally out is empty, and the two buffers change places.
func (w *Writer) take() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.out) == 0 {
		w.out, w.buf = w.buf, w.out[:0]
	} else {
		w.out = append(w.out, w.buf...)
		w.buf = w.buf[:0]
	}
	w.waiting = len(w.out)
	return w.recorded.Load()
}

// write writes out and keeps what could not be written.
func (w *Writer) write() error {
	if len(w.out) == 0 {
		return nil
	}
	if err := w.rotate(); err != nil {
		return err
	}
	n, err := w.file.Write(w.out)
	w.size += int64(n)
	if n > 0 {
		w.midLine = w.out[n-1] != '\n'
	}
	w.out = w.out[:copy(w.out, w.out[n:])]
	if err != nil {
		return fmt.Errorf("trace %s cannot be written, what does not fit in memory meanwhile is lost: %w", w.path, err)
	}
	return nil
}

// Err returns the error of the last write, nil when it went well.
func (w *Writer) Err() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.err
}

// Close flushes and closes the file. Events recorded later are ignored.
func (w *Writer) Close() error {
	w.Flush()
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.shut = true
	if w.file == nil {
		return w.err
	}
	err := w.file.Close()
	w.file = nil
	return errors.Join(w.err, err)
}
