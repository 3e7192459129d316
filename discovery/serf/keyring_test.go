package serf

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
)

// key makes a key of n times the same byte.
func key(b byte, n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, n)) }

func TestParseKeyring(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{key(1, 16) + "\n", ""},
		{"\ufeff# the keys\r\n\r\n " + key(1, 24) + " # new\r\n" + key(2, 32), ""},
		{"", "k:1: no keys"},
		{"# nothing\n\n", "k:2: no keys"},
		{key(1, 16) + "\n" + key(1, 16), "k:2: this key is there twice"},
		{key(1, 17), "k:1: the key has 17 bytes"},
		{"hunter2!", "k:1: this is not base64"},
		{key(1, 16) + key(2, 16), "k:1: this is not base64"},
		{"# a\n" + key(1, 8), "k:2: the key has 8 bytes"},
	} {
		keys, err := parseKeyring("k", []byte(tt.text))
		if tt.want == "" && (err != nil || len(keys) == 0) || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
			t.Errorf("%q: got %v, want %q", tt.text, err, tt.want)
		}
	}
	var many strings.Builder
	for b := range byte(maxKeys + 1) {
		many.WriteString(key(b, 16) + "\n")
	}
	if _, err := parseKeyring("k", []byte(many.String())); err == nil {
		t.Error("too many keys are accepted")
	}
}

// FuzzParseKeyring holds that what is accepted is keys, and that an error gives
// none away.
func FuzzParseKeyring(f *testing.F) {
	f.Add([]byte(key(1, 16) + "\n" + key(2, 32) + " # second\n"))
	f.Add([]byte("hunter2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeyring("k", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "k:") || len(err.Error()) > 100 {
				t.Errorf("the error is %q", err)
			}
			return
		}
		if _, err := memberlist.NewKeyring(keys, keys[0]); err != nil {
			t.Error(err)
		}
	})
}

// TestInstall goes through a rotation, step by step, and backwards.
func TestInstall(t *testing.T) {
	a, b, c, d := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16), bytes.Repeat([]byte{3}, 32), bytes.Repeat([]byte{4}, 24)
	ring, err := memberlist.NewKeyring(nil, a)
	if err != nil {
		t.Fatal(err)
	}
	for i, keys := range [][][]byte{{a, b}, {b, a}, {b}, {c, b, a}, {a, d}, {d, c, b, a}, {b, d}, {a}} {
		before := ring.GetKeys()
		was := slices.Clone(before)
		install(ring, keys)
		if got := ring.GetKeys(); !slices.EqualFunc(got, keys, bytes.Equal) {
			t.Errorf("step %d: got %v, want %v", i, got, keys)
		}
		if !slices.EqualFunc(before, was, bytes.Equal) {
			t.Errorf("step %d: the keys moved under whoever was reading them", i)
		}
	}
}

func TestKeyringFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	for _, want := range []string{"no such file", "it a directory"} {
		where := path
		if want != "no such file" {
			where, want = filepath.Dir(path), "right file"
		}
		if _, err := try(t, "a", locked(where)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if runtime.GOOS == "windows" {
		return // there are no such modes
	}
	if err := os.WriteFile(path, []byte(key(1, 16)), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, "a", locked(path)).warned("can be read or changed by others", "chmod 600")
}

// TestRotation changes the key of two peers in the three steps, and neither loses
// the other. In the end, who has the old key is told so, and the others too.
func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, keys ...string) {
		if err := os.WriteFile(path(name), []byte(strings.Join(keys, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old, fresh := key(1, 16), key(2, 32)
	for _, name := range []string{"a", "b", "late"} {
		write(name, old)
	}
	a := start(t, "a", locked(path("a")))
	b := start(t, "b", locked(path("b")), joining(a.Addr()))
	a.finds("b")
	for _, keys := range [][]string{{old, fresh}, {fresh, old}, {fresh}} {
		for _, p := range []*peer{a, b} { // one after the other
			write(p.name, keys...)
			p.has(t, keys...)
			if !a.seeker.ping("b", netip.MustParseAddrPort(b.Addr())) { // there and back
				t.Errorf("a and b do not understand each other, when %s has its new keys", p.name)
			}
		}
	}
	late := start(t, "late", locked(path("late")), joining(a.Addr()))
	late.warned("whom this peer does not understand", "compare the keyrings", a.Addr())
	a.warned("whom this peer does not understand", "127.0.0.1")
	write("late", fresh)
	late.finds("a", "b")
	a.finds("b", "late")
	write("a", "no key")
	a.warned("not base64", "the keys stay as they were")
}

// has waits until the keys of a peer are these.
func (p *peer) has(t *testing.T, keys ...string) {
	t.Helper()
	p.poll("its keys", func() bool {
		return slices.EqualFunc(p.keys.ring.GetKeys(), keys, func(k []byte, text string) bool {
			return base64.StdEncoding.EncodeToString(k) == text
		})
	})
}
