package main

import (
	"errors"
	"flag"
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

// firstChapter is the one that leads through all algorithms.
const firstChapter = "README"

// Simulated figures in chapters are what their commands print. Every algorithm
// has a chapter, with figures of its own messages and of the death of a peer; the
// first chapter has those of all.
func TestChapters(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates for long")
	}
	for _, name := range append(roster.Names(), firstChapter) {
		path, text := readChapter(t, name)
		blocks := figures.FindAllStringSubmatch(text, -1)
		if n := strings.Count(text, "<!-- figures:"); n != len(blocks) {
			t.Errorf("%s: of %d tables, %d have a command and an end", path, n, len(blocks))
		}
		loads, deaths := 0, 0
		got := figures.ReplaceAllStringFunc(text, func(block string) string {
			command := figures.FindStringSubmatch(block)[1]
			args := strings.Fields(command)
			if err := aboutChapter(name, args); err != nil {
				t.Errorf("%s: the command of a table is %q: %v", path, command, err)
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
		keep(t, path, got)
	}
}

// aboutChapter says what is wrong with the command of a table: a chapter is about
// the algorithm that comes first, the first chapter about all of them.
func aboutChapter(chapter string, args []string) error {
	i := slices.Index(args, "--algorithms")
	if args[0] != "compare" || args[len(args)-1] != "--markdown" || i < 0 {
		return errors.New("it is no compare --algorithms ... --markdown")
	}
	names := strings.Split(args[i+1], ",")
	if chapter != firstChapter && names[0] != chapter {
		return errors.New("its first algorithm is another one")
	}
	if chapter == firstChapter {
		all := roster.Names()
		slices.Sort(all)
		if slices.Sort(names); !slices.Equal(names, all) {
			return errors.New("it has not all algorithms")
		}
	}
	return nil
}
