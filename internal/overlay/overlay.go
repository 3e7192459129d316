// Package overlay runs tests over code that was broken on purpose, to show that
// they can fail. The code itself stays as it is, and has no switches.
package overlay

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Edit replaces Old, which is in File exactly once, by New.
type Edit struct{ File, Old, New string }

// Check returns an error if an edit has nothing to replace, or not only one.
func Check(edits []Edit) error {
	_, err := apply(edits)
	return err
}

// apply returns what the edits make of each file, by its absolute path.
func apply(edits []Edit) (map[string]string, error) {
	edited := make(map[string]string)
	for _, e := range edits {
		file, err := filepath.Abs(e.File)
		if err != nil {
			return nil, err
		}
		code, before := edited[file]
		if !before {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			code = string(text)
		}
		if n := strings.Count(code, e.Old); n != 1 {
			return nil, fmt.Errorf("%s has %d times, not once: %s", e.File, n, e.Old)
		}
		edited[file] = strings.Replace(code, e.Old, e.New, 1)
	}
	return edited, nil
}

// Test runs "go test" with args while edits are in place, and returns what it
// printed and whether the tests passed. Code that does not build ends t.
func Test(t *testing.T, edits []Edit, args ...string) (output string, passed bool) {
	t.Helper()
	edited, err := apply(edits)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := make(map[string]string)
	for file, code := range edited {
		replace[file] = filepath.Join(dir, fmt.Sprintf("edited%d.go", len(replace)))
		write(t, replace[file], code)
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	write(t, overlay, string(list))
	out, err := exec.Command("go", append([]string{"test", "-vet=off", "-overlay", overlay}, args...)...).CombinedOutput()
	if strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]") {
		t.Fatalf("%s", out)
	}
	return string(out), err == nil
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
