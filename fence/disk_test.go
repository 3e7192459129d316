package fence

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"testing"
)

// shaky is a disk of one directory that loses what was not synced when the power
// is cut. It plays one process at a time, and that alone has the lock.
type shaky struct {
	files map[string]*content // as programs see it
	kept  map[string]*content // the directory as it is on the platter
	left  int                 // operations until the end comes; it never does if negative
	fails bool                // the end is an error, not a cut
}

type content struct{ now, kept []byte }

// cut is the panic with which a process ends.
type cut struct{}

var errFull = errors.New("no space left on device")

// step counts an operation.
func (s *shaky) step() error {
	if s.left--; s.left != -1 {
		return nil
	}
	if s.fails {
		return errFull
	}
	panic(cut{})
}

func (s *shaky) read(path string) ([]byte, error) {
	f := s.files[path]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return f.now, nil
}

func (s *shaky) create(path, like string, perm fs.FileMode) (sink, error) {
	if err := s.step(); err != nil {
		return nil, err
	}
	s.files[path] = new(content)
	return shakySink{s, s.files[path]}, nil
}

func (s *shaky) rename(from, to string) error {
	if err := s.step(); err != nil {
		return err
	}
	s.files[to] = s.files[from]
	delete(s.files, from)
	return nil
}

func (s *shaky) remove(path string) error {
	delete(s.files, path)
	return nil
}

func (s *shaky) syncDir(string) error {
	if err := s.step(); err != nil {
		return err
	}
	s.kept = maps.Clone(s.files)
	return nil
}

func (s *shaky) lock(string, bool) (func(), bool, error) { return func() {}, true, nil }

type shakySink struct {
	s *shaky
	f *content
}

func (k shakySink) Write(p []byte) (int, error) {
	for i, b := range p { // it may break off anywhere; one place will do
		if i == len(p)/2 {
			if err := k.s.step(); err != nil {
				return i, err
			}
		}
		k.f.now = append(k.f.now, b)
	}
	return len(p), nil
}

func (k shakySink) Sync() error {
	if err := k.s.step(); err != nil {
		return err
	}
	k.f.kept = k.f.now
	return nil
}

func (k shakySink) Close() error { return k.s.step() }

// end is how a process ends: it is killed and the disk knows all that it did, an
// operation fails, or the power is cut, and of what was not synced the names
// survive, or the contents, or both, or nothing.
type end int

const (
	killed end = iota
	failed
	cutAll
	cutNames
	cutContents
	cutBoth
	ends
)

func (s *shaky) over(how end) {
	if how == killed || how == failed {
		return
	}
	if how == cutAll || how == cutContents { // names are lost
		s.files = maps.Clone(s.kept)
	}
	for _, f := range s.files {
		if how == cutAll || how == cutNames { // contents are lost
			f.now = f.kept
		}
		f.kept = f.now
	}
	s.kept = maps.Clone(s.files)
}

// play writes with the tokens until the end comes after some operations.
func (s *shaky) play(t *testing.T, how end, after int, began *Token, tokens ...Token) {
	s.left, s.fails = after, how == failed
	k := keeper{disk: s}
	defer func() {
		if r := recover(); r != nil && r != (cut{}) {
			panic(r)
		}
		s.left = -1
		s.over(how)
	}()
	for _, token := range tokens {
		err := k.do(t.Context(), "/file", "a", token, func() error { *began = max(*began, token); return nil })
		if err != nil && !errors.Is(err, errFull) && !errors.Is(err, ErrStale) {
			t.Errorf("token %d: %v", token, err)
		}
	}
}

// Wherever a process ends, twice, and however: a token whose write has begun is
// never forgotten, and no sidecar is torn.
func TestPowerCuts(t *testing.T) {
	const most = 16 // operations that three writes make at most
	for how1 := range ends {
		for after1 := range most {
			for how2 := range ends {
				for after2 := range most {
					name := fmt.Sprintf("end %d after %d, end %d after %d", how1, after1, how2, after2)
					s := &shaky{files: map[string]*content{}, kept: map[string]*content{}}
					var began Token
					s.play(t, how1, after1, &began, 1, 1, 2)
					seen, err := s.seen()
					if err != nil || seen < began {
						t.Fatalf("%s: after the first, %d is the highest, of %d that began (%v)", name, seen, began, err)
					}
					seen = max(seen, 1) // the next one may have the token that is there
					s.play(t, how2, after2, &began, seen, seen+1)
					if seen, err = s.seen(); err != nil || seen < began {
						t.Fatalf("%s: %d is the highest, of %d that began (%v)", name, seen, began, err)
					}
				}
			}
		}
	}
}

func (s *shaky) seen() (Token, error) {
	k := keeper{disk: s}
	return k.highest("/file", "a")
}

// A disk that is full costs the write, and nothing else.
func TestDiskFull(t *testing.T) {
	for after := range 5 {
		s := &shaky{files: map[string]*content{}, kept: map[string]*content{}}
		var began Token
		s.play(t, failed, -1, &began, 33)
		k := keeper{disk: s}
		s.left, s.fails = after, true
		err := k.do(t.Context(), "/file", "a", 34, func() error { t.Error("written"); return nil })
		if !errors.Is(err, errFull) {
			t.Errorf("after %d: %v", after, err)
		}
		if highest, err := s.seen(); err != nil || highest < 33 {
			t.Errorf("after %d: highest is %d, %v", after, highest, err)
		}
	}
}
