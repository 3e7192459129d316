package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conchlock/conch/algo"
)

// Pos is a place in a trace.
type Pos struct {
	File string
	Line int // from 1; 0 if it is about the file as a whole
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Problem says that a trace is not, or not wholly, what was recorded. It is an
// error whose text is FILE:LINE: reason.
type Problem struct {
	Pos    Pos    `json:"-"`
	Reason string `json:"reason"`

	// Disorder says that lines were moved, doubled, changed or mixed up, so
	// that no line of the trace can be trusted to be in its place. Without it
	// something is missing, and what is there is as it was written.
	Disorder bool `json:"disorder,omitempty"`
}

func (p *Problem) Error() string { return p.Pos.String() + ": " + p.Reason }

// Line is an event and its place in a trace.
type Line struct {
	Event
	Pos Pos
	Gap string // not empty: what was recorded before this event is missing, and why

	message Message // where Event.Message points, so that a Line can be used again
}

// Source gives one peer's events in the order of its file.
type Source interface {
	Peer() algo.PeerName
	// Next reads the next event into l, whatever was there. At the end it
	// returns io.EOF. A *Problem is an end as well: what follows it is unread.
	Next(l *Line) error
}

// Reader is the Source that reads a peer's trace files. It takes only what a
// peer can have written, see order for the rules. A last line that is not
// finished is taken for what a killed process leaves behind, if nothing or
// else a new start follows.
type Reader struct {
	peer     algo.PeerName
	segments []Segment

	file    io.ReadCloser
	in      *bufio.Reader
	pos     Pos
	long    []byte // a line that does not fit into in's buffer
	decoder decoder
	order   order
	gap     string // for the next line
	number  int    // of the segment that is being read
}

// Dir finds the traces in a folder: one Reader for each peer, by name, and the
// problems that names alone show. A brief reader leaves out what algorithms
// say in their messages.
func Dir(dir string, brief bool) ([]*Reader, []*Problem, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, folderError(dir, err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := traceOf(entry); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var readers []*Reader
	var problems []*Problem
	for _, name := range slices.Compact(names) {
		path := filepath.Join(dir, name+Suffix)
		if err := algo.PeerName(name).Check(); err != nil {
			problems = append(problems, &Problem{Pos: Pos{File: path}, Reason: "a foreign file: " + err.Error(), Disorder: true})
			continue
		}
		segments, err := Segments(path)
		if err != nil {
			return nil, nil, err
		}
		readers = append(readers, &Reader{peer: algo.PeerName(name), segments: segments, decoder: decoder{brief: brief}})
	}
	if len(names) == 0 {
		return nil, nil, fmt.Errorf("%s: %w", dir, errNoTrace)
	}
	return readers, problems, nil
}

var errNoTrace = errors.New("there is no trace here (NAME" + Suffix + ")")

// traceOf says to whose trace a file belongs, if it belongs to one.
func traceOf(entry fs.DirEntry) (name string, ok bool) {
	i := strings.LastIndex(entry.Name(), Suffix)
	if i < 0 || entry.IsDir() {
		return "", false
	}
	rest := entry.Name()[i+len(Suffix):]
	return entry.Name()[:i], rest == "" || numbered(rest)
}

func folderError(dir string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("%s: %w", dir, err)
}

// NewReader returns a Reader of one peer's trace from in.
func NewReader(peer algo.PeerName, in io.Reader, brief bool) *Reader {
	r := &Reader{peer: peer, decoder: decoder{brief: brief}}
	r.begin(io.NopCloser(in), string(peer)+Suffix)
	return r
}

// numbered says that suffix is that of a segment put aside.
func numbered(suffix string) bool {
	var n int
	_, err := fmt.Sscanf(suffix, ".%d", &n)
	return err == nil && suffix == fmt.Sprintf(".%d", n)
}

// Peer returns whose trace it is.
func (r *Reader) Peer() algo.PeerName { return r.peer }

// Close closes the file that is open, if the end was not reached.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Next reads the next event.
func (r *Reader) Next(l *Line) error {
	var torn *Problem // a line that is not finished, if it was the last one
	for {
		text, whole, err := r.line()
		if err == io.EOF {
			if torn != nil && torn.Disorder {
				return torn
			}
			return io.EOF
		}
		if err != nil {
			return err
		}
		err = r.decoder.decode(text, l)
		if torn == nil && (err == errTorn || !whole && err == nil) && !r.order.stopped {
			// Only a kill leaves such a line, without a line end.
			torn = r.problem(errTorn.Error())
			torn.Disorder = whole
			continue
		}
		if torn != nil && (err != nil || l.Kind != Start) {
			return torn
		}
		if err != nil {
			return r.problem(err.Error())
		}
		l.Pos, l.Gap = r.pos, r.gap
		r.gap = ""
		if err := r.order.next(l, r.peer, text); err != nil {
			return r.problem(err.Error())
		}
		return nil
	}
}

func (r *Reader) problem(reason string) *Problem {
	return &Problem{Pos: r.pos, Reason: reason, Disorder: true}
}

// line returns the next line of the trace, without its line end, and whether
// it has one. It is good until the next call.
func (r *Reader) line() (text []byte, whole bool, err error) {
	for {
		if r.file == nil {
			if err := r.open(); err != nil {
				return nil, false, err
			}
		}
		r.pos.Line++
		text, err = r.in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			text, err = r.longLine(text)
		}
		if err == nil {
			return text[:len(text)-1], true, nil
		}
		if err != io.EOF {
			return nil, false, r.unreadable(err)
		}
		r.Close()
		if len(text) > 0 {
			return text, false, nil
		}
	}
}

// longLine goes on where the buffer was full.
func (r *Reader) longLine(text []byte) ([]byte, error) {
	r.long = append(r.long[:0], text...)
	for {
		text, err := r.in.ReadSlice('\n')
		r.long = append(r.long, text...)
		if len(r.long) > lineMax {
			return nil, fmt.Errorf("the line has more than %d bytes", lineMax)
		}
		if err != bufio.ErrBufferFull {
			return r.long, err
		}
	}
}

func (r *Reader) unreadable(err error) *Problem {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return r.problem(err.Error())
}

// open opens the next file of the trace.
func (r *Reader) open() error {
	if len(r.segments) == 0 {
		return io.EOF
	}
	s := r.segments[0]
	r.segments = r.segments[1:]
	switch {
	case s.Number > r.number+1 && r.number == 0:
		r.gap = "its beginning was removed"
	case s.Number > r.number+1:
		r.gap = fmt.Sprintf("what file %d of this trace held is missing", r.number+1)
	}
	r.number = s.Number
	file, err := OpenFile(s.Path)
	if err != nil {
		r.pos = Pos{File: s.Path}
		return r.unreadable(err)
	}
	r.begin(file, s.Path)
	if s.skipped.bytes > 0 {
		if _, err := file.Seek(s.skipped.bytes, io.SeekStart); err != nil {
			return r.unreadable(err)
		}
		r.pos.Line = s.skipped.lines
	}
	return nil
}

// OpenFile opens a file of a run to be read. Anything else, such as a pipe, is an
// error: it might never end, or never begin.
func OpenFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is no regular file; move it away")}
	}
	return os.Open(path)
}

func (r *Reader) begin(file io.ReadCloser, name string) {
	r.file, r.pos = file, Pos{File: name}
	if r.in == nil {
		r.in = bufio.NewReaderSize(nil, 1<<16)
	}
	r.in.Reset(file)
}
