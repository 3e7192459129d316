package fence_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/fence"
)

const lock = "nightly-report"

// eachStore runs a test with every store of the package, and a second handle on
// the same place, as another part of the program or another process would have it.
func eachStore(t *testing.T, test func(t *testing.T, one, other fence.Store)) {
	t.Run("memory", func(t *testing.T) {
		m := new(fence.Memory)
		test(t, m, m)
	})
	t.Run("file", func(t *testing.T) {
		path := t.TempDir() + "/report.csv"
		test(t, openFile(t, path), openFile(t, path))
	})
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir() + "/fences"
		test(t, openDirectory(t, dir), openDirectory(t, dir))
	})
}

func openFile(t *testing.T, path string) *fence.File {
	t.Helper()
	f, err := fence.OpenFile(path)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openDirectory(t *testing.T, dir string) *fence.Directory {
	t.Helper()
	d, err := fence.OpenDirectory(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// do writes with a token, and says whether the write was called.
func do(t *testing.T, s fence.Store, lock string, token fence.Token) (written bool, err error) {
	t.Helper()
	err = s.Do(t.Context(), lock, token, func() error { written = true; return nil })
	if written != (err == nil) {
		t.Errorf("lock %q, token %d: written is %v, and the error %v", lock, token, written, err)
	}
	return written, err
}

func TestStores(t *testing.T) {
	eachStore(t, func(t *testing.T, one, other fence.Store) {
		for _, c := range []struct {
			store fence.Store
			lock  string
			token fence.Token
			want  error
		}{
			{one, lock, 33, nil},
			{one, lock, 33, nil}, // a hold writes many times
			{other, lock, 33, nil},
			{other, lock, 32, fence.ErrStale},
			{other, lock, 34, nil},
			{one, lock, 33, fence.ErrStale},
			{one, "another", 1, nil}, // locks are independent
			{one, "Ein Schloß / mit %2F und ..", 7, nil},
			{other, "Ein Schloß / mit %2F und ..", 6, fence.ErrStale},
			{one, "..", 2, nil},
			{one, lock, 0, fence.ErrNoToken},
			{one, lock, 1 << 53, fence.ErrNoToken},
			{one, lock, math.MaxUint64, fence.ErrNoToken},
			{one, "", 1, fence.ErrLockName},
			{one, "a\nb", 1, fence.ErrLockName},
			{one, "\xff", 1, fence.ErrLockName},
			{one, strings.Repeat("x", 201), 1, fence.ErrLockName},
			{one, strings.Repeat("x", 200), 1, nil},
			{other, lock, fence.MaxToken, nil},
			{one, lock, fence.MaxToken - 1, fence.ErrStale},
		} {
			if _, err := do(t, c.store, c.lock, c.token); !errors.Is(err, c.want) {
				t.Errorf("lock %q, token %d: %v, want %v", c.lock, c.token, err, c.want)
			}
		}
	})
}

// The rules for names are those of the locks themselves.
func TestLockNames(t *testing.T) {
	for _, name := range []string{"", "a", "Schloß", " ", "\t", "a\x00", "\u00a0", "\u200b", "\xff", "日本", strings.Repeat("ß", 100), strings.Repeat("ß", 100) + "x"} {
		_, err := do(t, new(fence.Memory), name, 1)
		if want := algo.CheckLock(name); (err == nil) != (want == nil) {
			t.Errorf("%q: %v, and for algo %v", name, err, want)
		}
	}
}

// A write that fails or panics leaves the token remembered, and the way free.
func TestStoresFailures(t *testing.T) {
	eachStore(t, func(t *testing.T, one, other fence.Store) {
		broken := errors.New("broken")
		if err := one.Do(t.Context(), lock, 5, func() error { return broken }); err != broken {
			t.Errorf("the write's error became %v", err)
		}
		func() {
			defer func() { recover() }()
			one.Do(t.Context(), lock, 6, func() error { panic("broken") })
		}()
		if _, err := do(t, other, lock, 5); !errors.Is(err, fence.ErrStale) {
			t.Errorf("after a write with token 6 that panicked, 5 gets %v", err)
		}
		if _, err := do(t, other, lock, 6); err != nil {
			t.Error(err)
		}
	})
}

// Who waits while a write goes on stops waiting when its context ends; then it
// has not written.
func TestStoresWaiting(t *testing.T) {
	eachStore(t, func(t *testing.T, one, other fence.Store) {
		inside, leave, left := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			left <- one.Do(t.Context(), lock, 1, func() error { close(inside); <-leave; return nil })
		}()
		<-inside
		impatient := errors.New("impatient")
		places := 1
		if one != other {
			places = 2 // behind the callers of this handle, and behind other processes
		}
		for _, c := range []struct {
			store  fence.Store
			places int
		}{{one, 1}, {other, places}, {other, 1}, {one, 1}} { // who gave up behind another process keeps the place
			ctx, cancel := context.WithCancelCause(t.Context())
			waiting := &watched{Context: ctx, left: c.places, waits: make(chan struct{})}
			ended := make(chan error)
			go func() { ended <- c.store.Do(waiting, lock, 2, func() error { t.Error("written"); return nil }) }()
			<-waiting.waits
			cancel(impatient)
			if err := <-ended; !errors.Is(err, impatient) || !strings.Contains(err.Error(), lock) {
				t.Errorf("%v", err)
			}
		}
		if _, ok := one.(*fence.File); !ok { // all locks of a file wait for each other
			if _, err := do(t, one, "another", 1); err != nil {
				t.Error(err)
			}
		}
		close(leave)
		if err := <-left; err != nil {
			t.Error(err)
		}
		if _, err := do(t, other, lock, 1); err != nil {
			t.Errorf("who gave up has raised the token, or keeps the turn: %v", err)
		}
	})
}

// watched is a context that tells when it is waited for, in its last place.
type watched struct {
	context.Context
	left  int
	waits chan struct{}
}

func (w *watched) Done() <-chan struct{} {
	if w.left--; w.left == 0 {
		close(w.waits)
	}
	return w.Context.Done()
}

// Many write at once, with tokens in any order: what was written is in the order
// of the tokens, and never two at a time.
func TestStoresCrowd(t *testing.T) {
	eachStore(t, func(t *testing.T, one, other fence.Store) {
		var written []fence.Token
		var inside atomic.Bool // the race detector knows nothing of flock
		var crowd sync.WaitGroup
		for i := range 16 {
			crowd.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(i)))
				s := []fence.Store{one, other}[i%2]
				for turn := range 10 {
					token := fence.Token(1 + 10*turn + rng.IntN(30))
					err := s.Do(t.Context(), lock, token, func() error {
						if inside.Swap(true) {
							t.Error("two write at once")
						}
						runtime.Gosched()
						written = append(written, token)
						inside.Store(false)
						return nil
					})
					if err != nil && !errors.Is(err, fence.ErrStale) {
						t.Error(err)
					}
				}
			})
		}
		crowd.Wait()
		if !slices.IsSorted(written) || len(written) == 0 {
			t.Errorf("written with tokens %v", written)
		}
	})
}

// The error names what one needs to know, and how to go on.
func TestStaleError(t *testing.T) {
	var m fence.Memory
	do(t, &m, "a b", 34)
	_, err := do(t, &m, "a b", 33)
	var stale *fence.StaleError
	if !errors.As(err, &stale) || *stale != (fence.StaleError{Lock: "a b", Token: 33, Highest: 34}) {
		t.Fatalf("%#v", err)
	}
	for _, part := range []string{`"a b"`, "33", "34", "lock again"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if m.Highest("a b") != 34 || m.Highest("other") != 0 {
		t.Errorf("highest are %d, %d", m.Highest("a b"), m.Highest("other"))
	}
}

func TestParseToken(t *testing.T) {
	for _, text := range []string{"1", "33", "9007199254740991"} {
		token, err := fence.ParseToken(text)
		if err != nil || token.String() != text {
			t.Errorf("%q: %d, %v", text, token, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "+1", " 1", "1 ", "01", "1e3", "0x1", "1_000", "9007199254740992", "99999999999999999999999", "١", "NaN"} {
		if token, err := fence.ParseToken(text); !errors.Is(err, fence.ErrNoToken) || token != 0 {
			t.Errorf("%q: %d, %v", text, token, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("33")
	f.Add("9007199254740992")
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := fence.ParseToken(text); err == nil && (token.String() != text || token.Check() != nil) {
			t.Errorf("%q is read as %d", text, token)
		}
	})
}

func TestContext(t *testing.T) {
	if _, _, ok := fence.FromContext(t.Context()); ok {
		t.Error("an empty context carries a hold")
	}
	l, token, ok := fence.FromContext(fence.NewContext(t.Context(), lock, 33))
	if l != lock || token != 33 || !ok {
		t.Error(l, token, ok)
	}
}

func BenchmarkDo(b *testing.B) {
	write := func() error { return nil }
	bench := func(b *testing.B, s fence.Store, token func(i int) fence.Token) {
		for i := 0; b.Loop(); i++ {
			if err := s.Do(b.Context(), lock, token(i), write); err != nil {
				b.Fatal(err)
			}
		}
	}
	same := func(int) fence.Token { return 33 }
	grows := func(i int) fence.Token { return fence.Token(33 + i) }
	b.Run("memory", func(b *testing.B) { bench(b, new(fence.Memory), grows) })
	file, err := fence.OpenFile(b.TempDir() + "/report.csv")
	if err != nil {
		b.Skip(err)
	}
	b.Run("file/same", func(b *testing.B) { bench(b, file, same) })
	b.Run("file/new", func(b *testing.B) { bench(b, file, func(i int) fence.Token { return 1<<40 + grows(i) }) })
}
