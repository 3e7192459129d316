package algotest_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/overlay"
)

// mistake is an edit that breaks a rule. It is laid over the code while the
// checks below run; the code itself has no switches.
type mistake struct {
	what     string // what goes wrong
	file     string // below algo
	old, new string // old is there exactly once
	by       string // the checks that must catch it
	also     []edit // further edits, where a rule has two legs
}

// edit replaces old, which is there exactly once, by new.
type edit struct{ file, old, new string }

var (
	breaking = flag.Bool("mistakes", false, "make every mistake; takes a minute or two")
	table    = flag.Bool("table", false, "let every check look for every mistake, not only those that must find it, and write the tables of docs")
)

// everyMistake lists them all, relay's last.
func everyMistake() []mistake {
	return slices.Concat(mistakes, classicsMistakes, maekawaMistakes, treeMistakes, relayMistakes)
}

// TestEdits finds the mistakes that cannot be made any more, because the code has
// changed.
func TestEdits(t *testing.T) {
	for _, m := range everyMistake() {
		if err := overlay.Check(m.edits()); err != nil {
			t.Errorf("%s: %v", m.what, err)
		}
	}
}

// TestMistakes makes every mistake and demands that it is caught, by the checks
// that must catch it and when docs say so: a check that catches nothing is no
// check. It builds and runs tests once for each:
//
//	go test ./algo/algotest -run Mistakes -mistakes
//
// To see what catches which, and to write that down:
//
//	go test ./algo/algotest -run Mistakes -table -v -timeout 60m
func TestMistakes(t *testing.T) {
	if !*breaking && !*table {
		t.Skip("run it with -mistakes")
	}
	all := everyMistake()
	told := len(all) - len(relayMistakes) // from here on docs tell of them
	var (
		mu    sync.Mutex
		found = make([]string, len(all))
		rows  = readRows(t)
	)
	t.Run("all", func(t *testing.T) {
		for i, m := range all {
			t.Run(m.what, func(t *testing.T) {
				t.Parallel()
				caught := m.make(t)
				mu.Lock()
				found[i] = row(m.what, caught)
				mu.Unlock()
				if !*table && i >= told {
					m.compare(t, rows, caught)
				}
				for by := range strings.FieldsSeq(m.by) {
					if !slices.ContainsFunc(caught, func(c string) bool { return strings.HasPrefix(c, by) }) {
						t.Errorf("not caught by %s, only by: %s", by, strings.Join(caught, "; "))
					}
				}
			})
		}
	})
	t.Logf("\n| mistake | caught by |\n|---|---|\n%s", strings.Join(found, "\n"))
	if *table && !t.Failed() {
		writeRows(t, found[told:])
	}
}

// relayDoc has the table of relay's mistakes.
const relayDoc = "../../docs/algorithms/relay.md"

const tableHead = "| mistake | caught by, after |\n|---|---|\n"

func row(what string, caught []string) string {
	if len(caught) == 0 {
		caught = []string{"nothing"}
	}
	return fmt.Sprintf("| %s | %s |", what, strings.Join(caught, "; "))
}

// cut returns what relayDoc has before the rows of the table, the rows, and the
// rest.
func cut(t *testing.T) (before string, rows []string, after string) {
	t.Helper()
	doc, err := os.ReadFile(relayDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(doc), tableHead)
	table, after, ends := strings.Cut(rest, "\n\n")
	if !found || !ends {
		t.Fatalf("%s has no table of mistakes", relayDoc)
	}
	return before, strings.Split(table, "\n"), after
}

// readRows returns what the table says, by mistake.
func readRows(t *testing.T) map[string][]string {
	t.Helper()
	_, rows, _ := cut(t)
	said := make(map[string][]string)
	for _, r := range rows {
		cells := strings.Split(r, " | ")
		if len(cells) != 2 && !*table {
			t.Fatalf("%s: no row of a table: %s", relayDoc, r)
		}
		said[strings.TrimPrefix(cells[0], "| ")] = strings.Split(strings.TrimSuffix(cells[len(cells)-1], " |"), "; ")
	}
	if len(rows) != len(relayMistakes) && !*table {
		t.Errorf("%s tells of %d mistakes, and there are %d; write it with -table", relayDoc, len(rows), len(relayMistakes))
	}
	return said
}

func writeRows(t *testing.T, rows []string) {
	t.Helper()
	before, _, after := cut(t)
	doc := before + tableHead + strings.Join(rows, "\n") + "\n\n" + after
	if err := os.WriteFile(relayDoc, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compare checks that the table says what has just been found.
func (m mistake) compare(t *testing.T, said map[string][]string, caught []string) {
	t.Helper()
	for _, c := range caught {
		if !slices.Contains(said[m.what], c) {
			t.Errorf("%s says: %s; found: %s; write the table with -table, and read the difference", relayDoc, strings.Join(said[m.what], "; "), c)
		}
	}
}

// make runs the checks with the mistake in place and says which of them failed.
func (m mistake) make(t *testing.T) []string {
	args := append([]string{"-short", "-timeout", "5m", "-run", m.tests()}, m.packages()...)
	out, passed := overlay.Test(t, m.edits(), args...)
	if passed {
		return nil
	}
	return catchers(out)
}

// edits lists what is to be edited.
func (m mistake) edits() (list []overlay.Edit) {
	for _, e := range append([]edit{{m.file, m.old, m.new}}, m.also...) {
		list = append(list, overlay.Edit{File: filepath.Join("..", e.file), Old: e.old, New: e.new})
	}
	return list
}

// tests names the checks to run: those that must catch the mistake, or with
// -table all that are about the file.
func (m mistake) tests() string {
	about := m.algorithm()
	if about == "" {
		about = "ricart-agrawala|token-ring" // enough for what all share
	}
	of := map[string]string{
		"random":   "^TestConformance$/^(" + about + ")$/^(random|calm)$",
		"open":     "^TestConformance$/^(" + about + ")$/^open$",
		"explorer": "^TestConformance$/^(" + about + ")$/^explore$",
		"scenario": "^TestScenarios$/^(" + about + "|epoch)$", // and the scenarios of epochs
		"paper":    "^TestPaper.*$/^(alone|epoch)$",
		"live":     "^TestLive$/^" + about + "$",
		"unit":     "^TestIgnores.*$",
	}
	var run []string
	for by := range strings.FieldsSeq(m.by) {
		run = append(run, of[by])
	}
	if *table || len(run) == 0 {
		run = slices.Sorted(maps.Values(of))
	}
	return strings.Join(run, "|")
}

// packages names those that have the checks to run: each has to be built.
func (m mistake) packages() (list []string) {
	own := "../" + filepath.Dir(m.file)
	has := func(checks ...string) bool {
		return slices.ContainsFunc(strings.Fields(m.by), func(by string) bool { return slices.Contains(checks, by) })
	}
	switch {
	case m.algorithm() == "":
		return []string{"."}
	case *table || m.by == "":
		return []string{".", own}
	}
	if has("random", "open", "explorer", "scenario") {
		list = append(list, ".")
	}
	if has("paper", "live", "unit") {
		list = append(list, own)
	}
	return list
}

// algorithm names the algorithm that the file is part of, or none if several
// share it. Packages are called like their algorithms, without dashes and
// without what says more than is needed inside algo ("token-ring" is ring).
func (m mistake) algorithm() string {
	for _, name := range roster.Names() {
		if strings.HasSuffix(strings.ReplaceAll(name, "-", ""), filepath.Dir(m.file)) {
			return name
		}
	}
	return ""
}

var failures = []struct {
	by    string
	match *regexp.Regexp
}{
	{"random: seed %s", regexp.MustCompile(`random, seed (\d+)`)},
	{"open: seed %s", regexp.MustCompile(`open, seed (\d+)`)},
	{"open: %s states", regexp.MustCompile(`open, after (\d+) states`)},
	{"explorer: %s states", regexp.MustCompile(`explorer, after (\d+) states`)},
	{"scenario: %s", regexp.MustCompile(`--- FAIL: TestScenarios/\S+/(\S+)`)},
	{"paper: %s", regexp.MustCompile(`--- FAIL: TestPaper(\w+)`)},
	{"live: %s", regexp.MustCompile(`--- FAIL: TestLive/relay/(\S+)`)},
	{"unit: %s", regexp.MustCompile(`--- FAIL: TestIgnores(\w+)`)},
}

// catchers says which checks have failed.
func catchers(output string) (caught []string) {
	for _, f := range failures {
		if found := findings(f.match, output); len(found) > 0 {
			caught = append(caught, fmt.Sprintf(f.by, strings.Join(found, ", ")))
		}
	}
	return caught
}

// findings lists what failed, sorted, and no more than three. Those in whose output
// a rule is broken are enough, if there are any: others only go another way.
func findings(match *regexp.Regexp, output string) []string {
	var all, broken []string
	places := match.FindAllStringSubmatchIndex(output, -1)
	for i, at := range places {
		end := len(output)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		name := strings.ReplaceAll(output[at[2]:at[3]], "_", " ")
		all = append(all, name)
		if strings.Contains(output[at[0]:end], "BROKEN") {
			broken = append(broken, name)
		}
	}
	if len(broken) > 0 {
		all = broken
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), 3)]
}
