package trace

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Suffix ends the name of a trace file, NAME.ndjson.
const Suffix = ".ndjson"

// segmentsKept is in how many files a capped trace is kept.
const segmentsKept = 8

// Segment is one of the files of a peer's trace.
type Segment struct {
	Path   string
	Number int // 0: the file that is written now

	skipped mark // what is not read
}

// Segments lists the files of the trace at path, NAME.ndjson, from the oldest
// to path itself. The ones put aside are NAME.ndjson.1, NAME.ndjson.2, ...:
// the larger the number, the later the events. No peer's own file can have
// such a name, as that would have to end in .ndjson.
func Segments(path string) ([]Segment, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var segments []Segment
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), filepath.Base(path)+".")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(rest); err == nil && n > 0 && rest == strconv.Itoa(n) {
			segments = append(segments, Segment{Path: path + "." + rest, Number: n})
		}
	}
	slices.SortFunc(segments, func(s, t Segment) int { return cmp.Compare(s.Number, t.Number) })
	// A link that leads nowhere is there, and cannot be read.
	if _, err := os.Lstat(path); err == nil {
		segments = append(segments, Segment{Path: path})
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return segments, nil
}

// rotate puts the file aside if it has reached its size, and opens a new one.
// The caller holds writing.
func (w *Writer) rotate() error {
	if w.file != nil && (w.limit == 0 || w.size < w.limit || w.midLine) {
		return nil
	}
	if w.file != nil {
		if err := w.putAside(); err != nil {
			return fmt.Errorf("trace %s cannot be put aside: %w", w.path, err)
		}
	}
	file, err := openAppend(w.path)
	if err != nil {
		return err
	}
	w.file, w.size = file, 0
	return nil
}

// putAside closes the file, gives it the next number, and removes the oldest
// ones. If it cannot be renamed, it is opened and used again.
func (w *Writer) putAside() error {
	segments, err := Segments(w.path)
	if err != nil {
		return err
	}
	next := 1
	for _, s := range segments {
		next = max(next, s.Number+1)
	}
	w.file.Close()
	w.file = nil
	if err := os.Rename(w.path, w.path+"."+strconv.Itoa(next)); err != nil {
		return err
	}
	for len(segments) > segmentsKept-1 {
		if err := os.Remove(segments[0].Path); err != nil {
			return err
		}
		segments = segments[1:]
	}
	return nil
}

// cutTorn cuts off a last line without a line end, and returns the size of
// what remains and of what was cut.
func cutTorn(file *os.File) (size int64, torn int, err error) {
	size, err = file.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return size, 0, err
	}
	tail := make([]byte, min(size, lineMax+1))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil {
		return 0, 0, err
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	if end == 0 && int64(len(tail)) < size {
		return 0, 0, fmt.Errorf("is no trace, its last line has more than %d bytes; move it away", lineMax)
	}
	torn = len(tail) - end
	if torn == 0 {
		return size, 0, nil
	}
	size -= int64(torn)
	return size, torn, file.Truncate(size)
}

// AppendCrash records, on behalf of a peer that was killed, that it was. It is
// for whoever killed it, once the process has ended: a torn last line is cut
// off, and the event is given the incarnation and the clock of the last one.
func AppendCrash(path string, at time.Time, reason string) error {
	file, err := openAppend(path)
	if err != nil {
		return err
	}
	defer file.Close()
	size, _, err := cutTorn(file)
	if err != nil {
		return fmt.Errorf("trace %s: %w", path, err)
	}
	tail := make([]byte, min(size, lineMax+1))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil {
		return err
	}
	line := bytes.TrimSuffix(tail, []byte("\n"))
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	if len(line) == 0 {
		return nil // killed before it recorded anything
	}
	var last Line
	if err := new(decoder).decode(line, &last); err != nil {
		return fmt.Errorf("trace %s: last line: %w", path, err)
	}
	if last.Kind == Crash {
		return nil // the next incarnation was killed before it recorded anything
	}
	e := Event{At: at, Peer: last.Peer, Incarnation: last.Incarnation, Clock: last.Clock, Kind: Crash, Reason: reason}
	_, err = file.Write(AppendEvent(nil, &e))
	return err
}
