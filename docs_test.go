package conch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// frame is what a page's code stands in. What it says of "view" and the like is there
// because a page shows no imports.
const frame = `package page

import (
	"context"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/metrics"
	"github.com/conchlock/conch/tracing"
	"github.com/conchlock/conch/view"
)

var (
	ctx   = context.Background()
	peers conch.Peers
	_     view.Lock
	_     = log.Printf
	_     = metrics.New
	_     = prometheus.MustRegister
	_     = tracing.New
)

func work(context.Context, conch.Token)        {}
func write(context.Context, conch.Token) error { return nil }
`

// Go code in the README and in pages of docs builds, as it stands there. (That of
// docs/fence.md is in package fence's examples.)
func TestDocsCode(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds programs; leave out -short")
	}
	t.Parallel()
	code := frame
	for path, given := range map[string][]string{
		"README.md":       {""},
		"docs/seeing.md":  {"var peer *conch.Peer"},
		"docs/metrics.md": {"", "var peer *conch.Peer"},
	} {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		blocks := goBlock.FindAllStringSubmatch(string(page), -1)
		if len(blocks) != len(given) {
			t.Fatalf("%s has %d pieces of code, want %d", path, len(blocks), len(given))
		}
		for i, b := range blocks {
			code += fmt.Sprintf("\nfunc _() {\n%s\n//line %s:%d\n%s", given[i], path, 1+strings.Count(string(page[:strings.Index(string(page), b[1])]), "\n"), b[1])
			for _, name := range []string{"peer", "hold", "err"} {
				if regexp.MustCompile(`\b` + name + `\b.*:=`).MatchString(b[1]) {
					code += "\t_ = " + name + "\n"
				}
			}
			code += "}\n"
		}
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	written, overlay := filepath.Join(dir, "page.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, "internal/page/page.go"): written}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(written, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "./internal/page").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, code)
	}
}
