package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo/roster"
)

var rewrite = flag.Bool("rewrite", false, "write the figures of the chapters anew")

const chapters = "../../docs/algorithms"

// figures is a table in a chapter, and the command that prints it.
var figures = regexp.MustCompile(`(?s)<!-- figures: conch ([^\n]*?) -->\n(.*?)<!-- end of figures -->\n`)

// Simulated figures in chapters are what their commands print. Every algorithm
// has a chapter, with figures of its own messages and of the death of a peer.
func TestChapters(t *testing.T) {
	for _, name := range roster.Names() {
		path := filepath.Join(chapters, name+".md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		blocks := figures.FindAllStringSubmatch(string(text), -1)
		if n := strings.Count(string(text), "<!-- figures:"); n != len(blocks) {
			t.Errorf("%s: of %d tables, %d have a command and an end", path, n, len(blocks))
		}
		loads, deaths := 0, 0
		got := figures.ReplaceAllStringFunc(string(text), func(block string) string {
			command := figures.FindStringSubmatch(block)[1]
			args := strings.Fields(command)
			i := slices.Index(args, "--algorithms")
			if i < 0 || strings.Split(args[i+1], ",")[0] != name || args[0] != "compare" || args[len(args)-1] != "--markdown" {
				t.Errorf("%s: the command of a table is %q", path, command)
				return block
			}
			if slices.Contains(args, "--deaths") {
				deaths++
			} else {
				loads++
			}
			code, out, stderr := runConch(t, args...)
			if code != exitOK {
				t.Fatalf("%s: %s: exit %d, %s", path, command, code, stderr)
			}
			return "<!-- figures: conch " + command + " -->\n" + out + "<!-- end of figures -->\n"
		})
		if loads == 0 || deaths == 0 {
			t.Errorf("%s: %d tables of messages, %d of deaths", path, loads, deaths)
		}
		if got == string(text) {
			continue
		}
		if *rewrite {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s does not say what its commands print; go test ./cmd/conch -run Chapters -rewrite writes it anew, as\n%s", path, got)
	}
}
