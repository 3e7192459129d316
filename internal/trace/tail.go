package trace

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/conchlock/conch/algo"
)

// Tail reads the ends of the traces in a folder, again and again while they
// grow. Files may come later, be put aside, removed, or cut at a torn last line.
//
// An event is on disk before anybody can have heard of it. So whatever happened
// before an event that one reading has found is there for the next one.
type Tail struct {
	dir   string
	most  int64 // of all traces together
	begin map[algo.PeerName]mark
	files []fs.FileInfo // of the last Look

	passed map[string]int // by lock, the entries that the first reading left out; nil before that
}

// mark is where the reading of a peer's trace begins: behind so many bytes and
// lines of a file.
type mark struct {
	file  fs.FileInfo
	bytes int64
	lines int
}

// NewTail returns a Tail over the traces in a folder. Each reading takes at
// least the last bytes of each trace, most bytes of all together, and at most
// twice as much: so the beginning stays the same for a while.
func NewTail(dir string, most int64) *Tail {
	return &Tail{dir: dir, most: most, begin: map[algo.PeerName]mark{}}
}

// Look says whether the traces have changed since the last time.
func (t *Tail) Look() (changed bool, err error) {
	files, err := t.list()
	if err != nil {
		return false, err
	}
	same := slices.EqualFunc(files, t.files, func(a, b fs.FileInfo) bool {
		return os.SameFile(a, b) && a.Name() == b.Name() && a.Size() == b.Size()
	})
	t.files = files
	return !same, nil
}

func (t *Tail) list() ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return nil, folderError(t.dir, err)
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		if _, ok := traceOf(entry); ok {
			if info, err := os.Stat(filepath.Join(t.dir, entry.Name())); err == nil {
				files = append(files, info)
			}
		}
	}
	return files, nil
}

// Passed returns how many entries of each lock the first reading left out.
func (t *Tail) Passed() map[string]int { return t.passed }

// Read gives the events there are now to use, which reads all that it wants
// before it returns. It is false if a file was put aside or removed meanwhile:
// then there may be a hole in what was read.
func (t *Tail) Read(use func(*Merger)) (whole bool, err error) {
	before, err := t.list()
	if err != nil {
		return false, err
	}
	readers, err := t.readers()
	if err != nil {
		return false, err
	}
	use(Merge(readers...))
	after, err := t.list()
	if err != nil {
		return false, err
	}
	for i, file := range before {
		if i >= len(after) || !slices.ContainsFunc(after, func(f fs.FileInfo) bool { return f.Name() == file.Name() && os.SameFile(f, file) }) {
			return false, nil
		}
	}
	return true, nil
}

func (t *Tail) readers() ([]*Reader, error) {
	readers, _, err := Dir(t.dir, true)
	if errors.Is(err, errNoTrace) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	first := t.passed == nil
	if first {
		t.passed = map[string]int{}
	}
	for _, r := range readers {
		whole := *r
		whole.segments = slices.Clone(r.segments)
		if err := t.shorten(r, t.most/int64(len(readers))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if first {
			t.pass(&whole, r)
		}
	}
	return readers, nil
}

// pass counts the entries that whole has before r begins.
func (t *Tail) pass(whole, r *Reader) {
	if len(r.segments) == 0 || r.segments[0].skipped.bytes == 0 && len(r.segments) == len(whole.segments) {
		return
	}
	defer whole.Close()
	begin := r.segments[0]
	for l := new(Line); whole.Next(l) == nil && (l.Pos.File != begin.Path || l.Pos.Line <= begin.skipped.lines); {
		if l.Kind == Enter {
			t.passed[l.Lock]++
		}
	}
}

// shorten has a reader begin where it began last time, unless the trace has
// grown to twice the size.
func (t *Tail) shorten(r *Reader, most int64) error {
	last, known := t.begin[r.peer]
	var size int64 // from the end to the beginning of segment i
	for i := len(r.segments) - 1; i >= 0; i-- {
		s := &r.segments[i]
		info, err := os.Stat(s.Path)
		if err != nil {
			return err
		}
		size += info.Size()
		began := known && os.SameFile(info, last.file)
		if began && size-last.bytes <= 2*most {
			s.skipped = last
			r.segments = r.segments[i:]
			return nil
		}
		if size <= most && i > 0 || size <= 2*most && i == 0 {
			continue
		}
		s.skipped = mark{file: info}
		if began {
			s.skipped = last
		}
		if err := s.skip(size - most); err != nil {
			return err
		}
		t.begin[r.peer] = s.skipped
		r.segments = r.segments[i:]
		return nil
	}
	return nil
}

// skip moves the beginning on to the first line that begins at or behind an
// offset.
func (s *Segment) skip(to int64) error {
	file, err := os.Open(s.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	m := &s.skipped
	if _, err := file.Seek(m.bytes, io.SeekStart); err != nil {
		return err
	}
	buffer := make([]byte, 1<<16)
	at := m.bytes
	for {
		n, err := file.Read(buffer)
		for rest := buffer[:n]; m.bytes < to; {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			m.lines++
			m.bytes = at + int64(n-len(rest))
		}
		at += int64(n)
		if m.bytes >= to || err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
