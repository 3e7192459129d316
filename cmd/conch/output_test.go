package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOutput wants what was there to stay until the work is done, and bad
// paths to be found out before it.
func TestOutput(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.txt")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := createOutput("-o", path)
	if err != nil {
		t.Fatal(err)
	}
	o.WriteString("new")
	o.discard()
	want := func(text string) {
		t.Helper()
		if got, err := os.ReadFile(path); string(got) != text {
			t.Errorf("the file holds %q (%v), want %q", got, err, text)
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Errorf("there are other files: %v", files)
		}
	}
	want("old")
	if o, err = createOutput("-o", path); err != nil {
		t.Fatal(err)
	}
	o.WriteString("new")
	if err := o.commit(); err != nil {
		t.Error(err)
	}
	o.discard()
	want("new")
	for _, bad := range []string{"", dir, filepath.Join(path, "x"), filepath.Join(dir, "none", "x")} {
		if _, err := createOutput("-o", bad); err == nil {
			t.Errorf("%q can be written", bad)
		}
	}
}
