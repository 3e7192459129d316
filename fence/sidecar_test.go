package fence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := OpenFile(path)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSidecarFormat(t *testing.T) {
	const want = "conch-fence 1\n34 nightly-report\n7 with blanks\nsum d5a1ed91\n"
	if got := string(formatSidecar(map[string]Token{"with blanks": 7, "nightly-report": 34})); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	known, err := parseSidecar([]byte(want))
	if err != nil || len(known) != 2 || known["nightly-report"] != 34 || known["with blanks"] != 7 {
		t.Error(known, err)
	}
}

// Whatever has become of a sidecar, it is noticed, nothing is written, and
// nothing is mended behind anybody's back.
func TestSidecarDamage(t *testing.T) {
	good := formatSidecar(map[string]Token{"a": 33, "b": 1})
	texts := map[string][]byte{
		"empty": {}, "zeros": make([]byte, len(good)), "doubled": append(bytes.Clone(good), good...), "no token": summed([]byte("conch-fence 1\n0 a\nsum 00000000\n")), "another version": bytes.Replace(good, []byte(" 1\n"), []byte(" 2\n"), 1),
	}
	for n := range len(good) {
		texts["cut at "+string(good[:n])] = good[:n]
	}
	for i := range good {
		changed := bytes.Clone(good)
		changed[i] ^= 1
		texts["changed to "+string(changed)] = changed
	}
	for what, text := range texts {
		path := filepath.Join(t.TempDir(), "report.csv")
		f := open(t, path)
		if err := os.WriteFile(path+sidecarSuffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
		err := f.Do(t.Context(), "a", 40, func() error { t.Errorf("%s: written", what); return nil })
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if errors.Is(err, ErrNoToken) || errors.Is(err, ErrLockName) {
			t.Errorf("%s: %v sounds like the caller's fault", what, err)
		}
		for _, part := range []string{path + sidecarSuffix, "remove it"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", what, err, part)
			}
		}
		if _, err := f.Highest("a"); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Highest: %v", what, err)
		}
		if after, err := os.ReadFile(path + sidecarSuffix); err != nil || !bytes.Equal(after, text) {
			t.Errorf("%s: the sidecar has become %q, %v", what, after, err)
		}
	}
}

func FuzzSidecar(f *testing.F) {
	f.Add(formatSidecar(nil))
	f.Add(formatSidecar(map[string]Token{"a": 33, "Ein Schloß": MaxToken}))
	for _, lines := range []string{"1 a\n", "1 b\n1 a\n", "1 a\n2 a\n", "01 a\n", "1 a", "1  \n"} {
		f.Add([]byte("conch-fence 1\n" + lines + "sum 00000000\n"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		// With its checksum made right, so that what is behind that is reached.
		for _, text := range [][]byte{text, summed(text)} {
			known, err := parseSidecar(text)
			if err != nil {
				continue
			}
			if !bytes.Equal(formatSidecar(known), text) {
				t.Errorf("%q is written as %q", text, formatSidecar(known))
			}
			for lock, token := range known {
				if err := check(lock, token); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// WriteFile writes all or nothing, keeps permission bits, follows links, and
// leaves nothing beside the file but the fence.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.csv")
	f := open(t, path)
	write := func(f *File, token Token, text string) error {
		return f.WriteFile(t.Context(), "a", token, []byte(text), 0o600)
	}
	if err := write(f, 33, "one"); err != nil {
		t.Fatal(err)
	}
	mode := func() fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if runtime.GOOS != "windows" && mode() != 0o600 {
		t.Errorf("a new file has mode %v", mode())
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+newSuffix, []byte("left by a process that was killed"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := write(open(t, link), 34, "two"); err != nil {
		t.Fatal(err)
	}
	if mode() != 0o666 {
		t.Errorf("a file that was there has mode %v", mode())
	}
	if err := write(f, 33, "late"); !errors.Is(err, ErrStale) {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "two" {
		t.Errorf("%q, %v", text, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// A directory is guarded by a fence beside it.
func TestFileOfDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir)
	for token := range Token(3) {
		err := f.Do(t.Context(), "a", 7+token, func() error { return os.WriteFile(filepath.Join(dir, "index.html"), nil, 0o600) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if highest, err := f.Highest("a"); err != nil || highest != 9 {
		t.Error(highest, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Error(entries, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "nowhere")
	if err := os.Symlink(filepath.Join(dir, "gone"), nowhere); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{nowhere, filepath.Join(dir, "no", "such", "report.csv")} {
		if f, err := OpenFile(path); err == nil {
			t.Errorf("%s is guarded at %s", path, f.Path())
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDirectory(file); err == nil {
		t.Error("a file is taken for a directory")
	}
}

// Keys that nobody waits for any more leave nothing behind.
func TestTurnsForget(t *testing.T) {
	var turns turns
	leave, err := turns.enter(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := turns.enter(ended, "a")
		gone <- err
	}()
	for users := 0; users < 2; runtime.Gosched() {
		turns.mu.Lock()
		users = turns.keys["a"].users
		turns.mu.Unlock()
	}
	end()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	leave()
	if len(turns.keys) != 0 {
		t.Errorf("%d keys are left", len(turns.keys))
	}
}

// summed puts the right checksum at the end of a sidecar's text.
func summed(text []byte) []byte {
	if len(text) < sumSize {
		return text
	}
	body := text[:len(text)-sumSize]
	return fmt.Appendf(bytes.Clone(body), "%s%08x\n", sidecarSum, crc32.Checksum(body, castagnoli))
}
