package mux

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// moment is how long who writes a frame waits for the connection to take it, where it
// cannot be asked to take what it can.
const moment = time.Millisecond

// writer writes frames. There is no goroutine for it while the other side reads:
// whoever has a frame writes it, and what others have meanwhile. If the connection
// does not take it at once, a goroutine goes on, for at most patience.
type writer struct {
	conn     net.Conn
	raw      syscall.RawConn // nil if there is none
	patience time.Duration

	mu      sync.Mutex
	changed sync.Cond // less is pending, or the end
	pending []byte
	spare   []byte // to be used again
	writing bool   // somebody is at it
	err     error  // the first; nothing is written any more
}

func newWriter(conn net.Conn, patience time.Duration) *writer {
	w := &writer{conn: conn, raw: rawConn(conn), patience: patience}
	w.changed.L = &w.mu
	return w
}

// write sends a frame, or sees to it that it is sent.
func (w *writer) write(k kind, id uint64, parts ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.pending = appendFrame(w.pending, k, id, parts...)
	if w.writing {
		return nil
	}
	w.writing = true
	if rest := w.drain(true, nil); rest != nil {
		go func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.drain(false, rest)
			w.conn.SetWriteDeadline(time.Time{}) // it would count for what is tried, too
		}()
	}
	return w.err
}

// drain writes what is pending, after rest, until nothing is. If it has but a moment,
// it returns what is left of a piece; else a piece that takes too long is the end. w.mu
// is held, but not while it writes.
func (w *writer) drain(brief bool, rest []byte) []byte {
	for w.err == nil && len(rest)+len(w.pending) > 0 {
		if len(rest) == 0 {
			rest, w.pending = w.pending, w.spare[:0]
			w.spare = nil
		}
		send := w.conn.Write
		switch {
		case brief && w.raw != nil:
			send = func(b []byte) (int, error) { return tryWrite(w.raw, b) }
		case brief:
			w.conn.SetWriteDeadline(time.Now().Add(moment)) // if it fails, so does Write
		default:
			w.conn.SetWriteDeadline(time.Now().Add(w.patience))
		}
		w.mu.Unlock()
		n, err := send(rest)
		w.mu.Lock()
		switch {
		case err == nil:
			if cap(rest) <= keptBuffer {
				w.spare = rest
			}
			rest = nil
			w.changed.Broadcast()
		case brief && errors.Is(err, os.ErrDeadlineExceeded):
			return rest[n:] // still writing
		case w.err == nil:
			w.err, w.pending = err, nil
		}
	}
	w.writing = false
	w.changed.Broadcast()
	return nil
}

// room waits until at most so many bytes are pending.
func (w *writer) room(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && len(w.pending) > n {
		w.changed.Wait()
	}
	return w.err
}

// hurry gives what is pending less time, from now on.
func (w *writer) hurry(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.patience = limit
	w.conn.SetWriteDeadline(time.Now().Add(limit))
}

// close closes the connection. What is pending has a time limit.
func (w *writer) close(limit time.Duration, why error) {
	w.hurry(limit)
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing {
		w.changed.Wait()
	}
	if w.err == nil {
		w.err = why
	}
	w.conn.Close()
}
