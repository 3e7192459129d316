package fence_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// Code in docs/fence.md is code of the examples, which are compiled.
func TestDocsCode(t *testing.T) {
	plain := func(code string) string { // indentation aside
		var b strings.Builder
		for line := range strings.Lines(code) {
			b.WriteString(strings.TrimSpace(line) + "\n")
		}
		return b.String()
	}
	var examples strings.Builder
	for _, path := range []string{"example_test.go", "fencegrpc/example_test.go"} {
		code, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		examples.WriteString(plain(string(code)))
	}
	page, err := os.ReadFile("../docs/fence.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllStringSubmatch(string(page), -1)
	for _, b := range blocks {
		if !strings.Contains(examples.String(), "\n"+plain(b[1])) {
			t.Errorf("docs/fence.md has code that is in no example:\n%s", b[1])
		}
	}
	if len(blocks) < 5 {
		t.Errorf("docs/fence.md has %d pieces of code", len(blocks))
	}
}
