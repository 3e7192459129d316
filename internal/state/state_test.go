package state_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/state"
)

var now = time.UnixMicro(1_700_000_000_000_000)

func open(t *testing.T, dir string, name algo.PeerName) *state.State {
	t.Helper()
	s, err := state.Open(dir, name, now)
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
	if s.Incarnation() != 1 || s.Start() != 0 {
		t.Fatalf("a new peer of a new cluster starts as incarnation %d at %d, want 1 at 0", s.Incarnation(), s.Start())
	}
	ceiling := algo.Time(0)
	for range 3 {
		next, err := s.Raise(ceiling + 1)
		if err != nil || next <= ceiling {
			t.Fatalf("raised from %d to %d, %v", ceiling, next, err)
		}
		ceiling = next
		incarnation := s.Incarnation()
		shut(t, s)
		s = open(t, dir, "a")
		if s.Incarnation() <= incarnation || s.Start() < ceiling {
			t.Fatalf("incarnation %d at %d after %d with ceiling %d", s.Incarnation(), s.Start(), incarnation, ceiling)
		}
	}
	shut(t, s)
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
	w := state.WallClock(now)
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
		s, err := state.Open(dir, "a", now)
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
