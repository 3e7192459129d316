// Package mux carries many calls at once over one connection: what a peer and the
// Go programs on its machine say to each other once HTTP has been left behind. It
// knows neither locks nor protobuf.
//
// Either side sends frames, each of them
//
//	length  4 bytes  of what follows, big endian
//	kind    1 byte
//	call    8 bytes  which call it is about, big endian; 0 is none
//	body             the rest
//
// A client numbers its calls from 1, and uses no number twice.
//
//	kind       from    body
//	1 call     client  length of the method's name (1 byte), its name, the request
//	2 answer   server  the answer
//	3 failure  server  code (4 bytes, big endian), message. About call 0: why the connection ends
//	4 cancel   client  none: the client does not wait for an answer any more
//	5 ping     server  none: does the client run?
//	6 pong     client  none: it does
//
// Calls are taken up in the order in which they came, and answered in any. What is
// not as described ends the connection.
package mux

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// Protocol is the name to which HTTP/1.1 upgrades a connection, by a POST to Path.
	Protocol = "conch/1"
	Path     = "/conch/1"
)

type kind byte

const (
	call kind = iota + 1
	answer
	failure
	cancel
	ping
	pong
)

const (
	lengthSize = 4
	headSize   = 1 + 8 // of what length counts
	codeSize   = 4
	keptBuffer = 1 << 12 // a larger one is not kept for the next frame
)

// frame is one frame that was read. The body is the reader's, until the next one.
type frame struct {
	kind kind
	id   uint64
	body []byte
}

// appendFrame appends a frame, whose body comes in parts.
func appendFrame(b []byte, k kind, id uint64, parts ...[]byte) []byte {
	n := headSize
	for _, p := range parts {
		n += len(p)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, byte(k))
	b = binary.BigEndian.AppendUint64(b, id)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// Failure is how a call fails at the server, or why it ends the connection.
type Failure struct {
	Code    uint32 // what it means is the callers' affair
	Message string
}

func (f *Failure) Error() string { return f.Message }

func (f *Failure) body() []byte {
	return append(binary.BigEndian.AppendUint32(nil, f.Code), f.Message...)
}

func parseFailure(body []byte) (*Failure, error) {
	if len(body) < codeSize {
		return nil, fmt.Errorf("a failure of %d bytes has no code", len(body))
	}
	return &Failure{binary.BigEndian.Uint32(body), string(body[codeSize:])}, nil
}

// parseCall takes the body of a call apart.
func parseCall(body []byte) (method string, request []byte, err error) {
	if len(body) == 0 || len(body) < 1+int(body[0]) {
		return "", nil, fmt.Errorf("a call of %d bytes has no room for its method", len(body))
	}
	n := 1 + int(body[0])
	return string(body[1:n]), body[n:], nil
}

// reader reads frames.
type reader struct {
	in  *bufio.Reader
	max int // of a frame's length
	buf []byte
}

// length returns the length of the next frame, once its first bytes are there.
func (r *reader) length() (int, error) {
	b, err := r.in.Peek(lengthSize)
	if err != nil {
		return 0, torn(err, len(b))
	}
	n := binary.BigEndian.Uint32(b)
	if n < headSize || uint64(n) > uint64(r.max) {
		return 0, fmt.Errorf("a frame has %d bytes: %d to %d are allowed", n, headSize, r.max)
	}
	return int(n), nil
}

// next reads the next frame.
func (r *reader) next() (frame, error) {
	n, err := r.length()
	if err != nil {
		return frame{}, err
	}
	if cap(r.buf) < n || cap(r.buf) > keptBuffer {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	r.in.Discard(lengthSize)
	if got, err := io.ReadFull(r.in, r.buf); err != nil {
		return frame{}, torn(err, lengthSize+got)
	}
	return frame{kind(r.buf[0]), binary.BigEndian.Uint64(r.buf[1:]), r.buf[headSize:]}, nil
}

// torn tells the end of a connection between two frames, io.EOF, from one within.
func torn(err error, got int) error {
	if got > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// whole says that the next frame is there already.
func (r *reader) whole() bool {
	if r.in.Buffered() < lengthSize {
		return false
	}
	n, err := r.length()
	return err != nil || r.in.Buffered() >= lengthSize+n
}
