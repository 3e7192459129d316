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

// Test runs "go test" with args while edits are in place, and returns what it
// printed and whether the tests passed. Code that does not build ends t.
func Test(t *testing.T, edits []Edit, args ...string) (output string, passed bool) {
	t.Helper()
	dir := t.TempDir()
	replace := make(map[string]string)
	for i, e := range edits {
		file, err := filepath.Abs(e.File)
		if err != nil {
			t.Fatal(err)
		}
		from := file
		if before := replace[file]; before != "" {
			from = before
		}
		code, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(code), e.Old); n != 1 {
			t.Fatalf("%s has %d times, not once: %s", e.File, n, e.Old)
		}
		replace[file] = filepath.Join(dir, fmt.Sprintf("edited%d.go", i))
		write(t, replace[file], strings.Replace(string(code), e.Old, e.New, 1))
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
