package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestComparison holds that the tests which docs/comparison.md names are there.
func TestComparison(t *testing.T) {
	doc, err := os.ReadFile("../../docs/comparison.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := make(map[string]bool)
	for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllSubmatch(doc, -1) {
		missing[string(name[1])] = true
	}
	if len(missing) < 10 {
		t.Fatalf("only %d tests are named", len(missing))
	}
	err = filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for name := range missing {
			if bytes.Contains(text, []byte("func "+name+"(t *testing.T)")) {
				delete(missing, name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range missing {
		t.Errorf("docs/comparison.md names %s, and there is no such test", name)
	}
}
