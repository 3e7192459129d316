//go:build unix && !aix && !solaris

package command

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestResolve finds programs as a shell does, and says what is wrong as one does.
func TestResolve(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"first/plain": 0o600, "second/plain": 0o700, "second/text": 0o600, "second/runs": 0o700} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "first/runs"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(dir, "first")+":"+filepath.Join(dir, "second"))
	t.Chdir(filepath.Join(dir, "second"))
	for _, c := range []struct {
		name, path string
		code       int
		cause      error
	}{
		{"plain", dir + "/second/plain", 0, nil}, // the first of that name is not executable
		{"runs", dir + "/second/runs", 0, nil},   // and here it is a directory
		{"./runs", "./runs", 0, nil},
		{"text", "", 126, fs.ErrPermission},
		{"./text", "", 126, fs.ErrPermission},
		{dir, "", 126, errDirectory},
		{"nothing", "", 127, errNotFound},
		{"./nothing", "", 127, errNotFound},
		{"", "", 127, fs.ErrNotExist},
	} {
		got, err := Spec{Args: []string{c.name, "x"}}.Resolve()
		if c.code == 0 {
			if err != nil || got.path != c.path || !slices.Equal(got.argv, []string{c.name, "x"}) {
				t.Errorf("%s: %+v, %v", c.name, got, err)
			}
			continue
		}
		var start *StartError
		if !errors.As(err, &start) || start.Code != c.code || !errors.Is(err, c.cause) {
			t.Errorf("%s: %v, want code %d, %v", c.name, err, c.code, c.cause)
		}
	}
	t.Setenv("PATH", "")
	if got, err := (Spec{Args: []string{"runs"}}).Resolve(); err == nil {
		t.Errorf("found without a PATH: %+v", got)
	}
	t.Setenv("PATH", ":/nowhere")
	if got, err := (Spec{Args: []string{"runs"}}).Resolve(); err != nil || got.path != "./runs" {
		t.Errorf("in a PATH with an empty entry: %+v, %v", got, err)
	}
}

// TestResolveShell has a shell read the words.
func TestResolveShell(t *testing.T) {
	for shell, want := range map[string]string{"/bin/cat": "/bin/cat", "": "/bin/sh"} {
		t.Setenv("SHELL", shell)
		got, err := Spec{Args: []string{"echo a;", "echo", "$b"}, Shell: true}.Resolve()
		if err != nil || got.path != want || !slices.Equal(got.argv, []string{want, "-c", "echo a; echo $b"}) {
			t.Errorf("%q: %+v, %v", shell, got, err)
		}
	}
}

// TestEnvironment has one entry of each name: the last one added.
func TestEnvironment(t *testing.T) {
	got := environment([]string{"A=1", "TOKEN=outer", "B=2", "TOKEN=older"}, []string{"TOKEN=x", "C=", "TOKEN=inner=x"})
	if want := "A=1 B=2 C= TOKEN=inner=x"; strings.Join(got, " ") != want {
		t.Errorf("got %q", got)
	}
}
