package state_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/state"
)

var now = time.UnixMicro(1_700_000_000_000_000)

func open(t *testing.T, dir string, name algo.PeerName) *state.State {
	t.Helper()
	return openAt(t, dir, name, state.Moment{Wall: now})
}

func openAt(t *testing.T, dir string, name algo.PeerName, at state.Moment) *state.State {
	t.Helper()
	s, err := state.Open(dir, name, at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shut(t *testing.T, s *state.State) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// The next incarnation's number is larger, and its clock starts at or above
// every time that this one may have used, also when it was killed: nothing is
// written at Close.
func TestGrowsOverRestarts(t *testing.T) {
	dir := t.TempDir()
	if err := state.Create(dir, "a"); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, "a")
	if s.Incarnation() != 1 || s.Start() != 0 || s.Floor() != 0 {
		t.Fatalf("a new peer of a new cluster starts as incarnation %d at %d with floor %d, want 1 at 0 with 0",
			s.Incarnation(), s.Start(), s.Floor())
	}
	ceiling, floor := algo.Time(0), algo.Token(0)
	for range 3 {
		next, err := s.Raise(ceiling + 1)
		if err != nil || next <= ceiling {
			t.Fatalf("raised from %d to %d, %v", ceiling, next, err)
		}
		ceiling = next
		if err := s.RaiseFloor(floor + 10); err != nil {
			t.Fatal(err)
		}
		if err := s.RaiseFloor(floor); err != nil { // it never sinks
			t.Fatal(err)
		}
		floor += 10
		incarnation := s.Incarnation()
		shut(t, s)
		s = open(t, dir, "a")
		if s.Incarnation() <= incarnation || s.Start() < ceiling {
			t.Fatalf("incarnation %d at %d after %d with ceiling %d", s.Incarnation(), s.Start(), incarnation, ceiling)
		}
		if s.Floor() != floor {
			t.Fatalf("floor %d, want %d", s.Floor(), floor)
		}
	}
	shut(t, s)
}

// What was promised at a stop in good order is there for the next start in the
// same boot, and for no other.
func TestPromises(t *testing.T) {
	promises := []algo.Promise{{
		Lock: "x", Term: algo.Stamp{Time: 7, Peer: "b", Incarnation: 3}, Ballot: 2, Ceiling: 1 << 20, Expiry: 5000,
	}}
	at := func(boot string, instant algo.Instant) state.Moment {
		return state.Moment{Wall: now, Boot: boot, Now: instant}
	}
	for _, c := range []struct {
		name        string
		first, next state.Moment
		want        bool
	}{
		{"same boot", at("one", 100), at("one", 2000), true},
		{"another boot", at("one", 100), at("two", 2000), false},
		{"a clock that went back", at("one", 100), at("one", 999), false},
		{"a clock of the process's own", at("", 100), at("", 2000), false},
	} {
		dir := t.TempDir()
		s := openAt(t, dir, "a", c.first)
		if _, kept := s.Kept(); kept {
			t.Errorf("%s: a new directory is kept %v", c.name, kept)
		}
		if err := s.Keep(promises, 1000); err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		s = openAt(t, dir, "a", c.next)
		got, kept := s.Kept()
		if kept != c.want || kept && !reflect.DeepEqual(got, promises) {
			t.Errorf("%s: kept %v %v", c.name, kept, got)
		}
		shut(t, s)
		s = openAt(t, dir, "a", at("one", 3000)) // as after a crash
		if _, kept := s.Kept(); kept {
			t.Errorf("%s: the promises are kept a second time", c.name)
		}
		shut(t, s)
	}
}

// A stop without promises is a stop in good order, too.
func TestNoPromises(t *testing.T) {
	dir := t.TempDir()
	at := state.Moment{Wall: now, Boot: "one", Now: 1}
	s := openAt(t, dir, "a", at)
	if err := s.Keep(nil, 1); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	s = openAt(t, dir, "a", at)
	defer shut(t, s)
	if promises, kept := s.Kept(); !kept || len(promises) > 0 {
		t.Errorf("kept %v %v", kept, promises)
	}
}

// What cannot be true is refused, with a mend.
func TestDamagedPromises(t *testing.T) {
	for _, text := range []string{
		"",
		"{",
		`{"now":"soon"}`,
		`{"promises":[{"lock":"","peer":"b"}]}`,
		`{"promises":[{"lock":"x","peer":"B"}]}`,
		`{"promises":[{"lock":"x","peer":"b","ceiling":9007199254740992}]}`,
		`{"promises":[{"lock":"x","peer":"b","time":9007199254740992}]}`,
		`{"promises":[{"lock":"x","peer":"b","ballot":-1}]}`,
	} {
		dir := t.TempDir()
		shut(t, open(t, dir, "a"))
		edit(t, dir, func(b *bbolt.Bucket) error { return b.Put([]byte("stop"), []byte(text)) })
		wantRefused(t, dir, "stop is damaged")
	}
	dir := t.TempDir()
	shut(t, open(t, dir, "a"))
	edit(t, dir, func(b *bbolt.Bucket) error { return b.Delete([]byte("floor")) })
	wantRefused(t, dir, "floor is missing or damaged")
}

func edit(t *testing.T, dir string, change func(b *bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, state.File), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte("conch"))) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantRefused(t *testing.T, dir, words string) {
	t.Helper()
	s, err := state.Open(dir, "a", state.Moment{Wall: now})
	if err == nil {
		shut(t, s)
		t.Errorf("opened, want an error with %q", words)
	} else if !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("got %q, want it to say %q and how to mend it", err, words)
	}
}

// A directory that is made at first use may stand for one that was wiped: it
// starts from the wall clock. So does a peer without one.
func TestStartsFromTheWallClock(t *testing.T) {
	want := uint64(now.UnixMicro())
	s := open(t, filepath.Join(t.TempDir(), "new"), "a")
	defer shut(t, s)
	if uint64(s.Incarnation()) <= want || uint64(s.Start()) != want {
		t.Errorf("a new directory starts as incarnation %d at %d, want at least %d", s.Incarnation(), s.Start(), want)
	}
	if uint64(s.Floor()) != want {
		t.Errorf("a new directory has floor %d", s.Floor())
	}
	w := state.WallClock(now)
	if uint64(w.Floor()) != want || w.RaiseFloor(1<<52) != nil || w.Keep(nil, 1) != nil {
		t.Errorf("without a directory a peer has floor %d", w.Floor())
	}
	if uint64(w.Incarnation()) != want || uint64(w.Start()) != want {
		t.Errorf("without a directory a peer starts as incarnation %d at %d, want %d", w.Incarnation(), w.Start(), want)
	}
	if ceiling, err := w.Raise(1); ceiling != algo.MaxTime || err != nil {
		t.Errorf("without a directory the ceiling is %d, %v", ceiling, err)
	}
}

func TestRefuses(t *testing.T) {
	inUse := t.TempDir()
	defer shut(t, open(t, inUse, "a"))

	foreign := t.TempDir()
	shut(t, open(t, foreign, "b"))

	garbage := t.TempDir()
	if err := os.WriteFile(filepath.Join(garbage, state.File), []byte(strings.Repeat("garbage", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	shut(t, open(t, damaged, "a"))
	damagePages(t, filepath.Join(damaged, state.File))

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		inUse:   "in use by another process",
		foreign: `the state of peer "b", not of "a"`,
		garbage: "if it is damaged, remove it",
		damaged: "remove it",
		file:    "directory for the peer's state",
	} {
		s, err := state.Open(dir, "a", state.Moment{Wall: now})
		if err == nil {
			shut(t, s)
			t.Errorf("opened, want an error with %q", want)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %q, want it to name %s and say %q", err, dir, want)
		}
	}
	if err := state.Create(foreign, "b"); err == nil || !strings.Contains(err.Error(), "in use already") {
		t.Errorf("Create over a state: %v", err)
	}
}

// damagePages overwrites everything behind the two meta pages.
func damagePages(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 2 * os.Getpagesize(); i < len(text); i++ {
		text[i] = 0xff
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The longest time for which any incarnation's promises bind is kept, also when
// later ones promise less: one of those may end before the first promise does.
func TestBound(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct{ open, want algo.Duration }{{20, 0}, {1, 20}, {1, 20}, {30, 20}, {1, 30}} {
		s := openAt(t, dir, "a", state.Moment{Wall: now, Bound: c.open})
		if s.Bound() != c.want {
			t.Errorf("start %d is bound for %d, want %d", i, s.Bound(), c.want)
		}
		shut(t, s)
	}
}
