package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/trace"
)

// chapterRuns has a folder with the traces of a real run for each algorithm, and
// the picture of it.
const chapterRuns = chapters + "/runs"

// readChapter returns the text of an algorithm's chapter.
func readChapter(t *testing.T, name string) (path, text string) {
	t.Helper()
	path = filepath.Join(chapters, name+".md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(b)
}

// keep compares what a file should be with what it is, or writes it.
func keep(t *testing.T, path, got string) {
	t.Helper()
	if text, err := os.ReadFile(path); err == nil && string(text) == got {
		return
	}
	if !*rewrite {
		t.Errorf("%s is not what its commands print; go test ./cmd/conch -run Chapters -rewrite writes it anew, as\n%.4000s", path, got)
		return
	}
	if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The pictures are drawn from the traces beside them. Those are of runs that
// were sound, and nothing else lies about.
func TestChaptersRuns(t *testing.T) {
	made, err := os.ReadFile(filepath.Join(chapterRuns, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"README.md"}
	for _, name := range roster.Names() {
		want = append(want, name, name+".svg")
		dir := filepath.Join(chapterRuns, name)
		code, out, stderr := runConch(t, "check", dir)
		if code != exitOK {
			t.Fatalf("%s: exit %d, %s%s", dir, code, out, stderr)
		}
		svg := filepath.Join(t.TempDir(), "run.svg")
		if code, _, stderr := runConch(t, "diagram", dir, "-o", svg); code != exitOK || strings.Contains(stderr, "gaps") {
			t.Fatalf("%s: exit %d, %s", dir, code, stderr)
		}
		got, err := os.ReadFile(svg)
		if err != nil {
			t.Fatal(err)
		}
		keep(t, filepath.Join(chapterRuns, name+".svg"), string(got))
		path, text := readChapter(t, name)
		if !regexp.MustCompile(`\n!\[[^\]]{80,}\]\(runs/` + name + `\.svg\)\n`).MatchString(text) {
			t.Errorf("%s does not show runs/%s.svg with a text for who cannot see it", path, name)
		}
		peers, err := filepath.Glob(filepath.Join(dir, "*"+trace.Suffix))
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("| [%s](%[1]s) | `go run ./cmd/conch demo --algorithm %[1]s --peers %d --entries 1 ", name, len(peers)); !strings.Contains(string(made), line) {
			t.Errorf("runs/README.md has no line %s", line)
		}
	}
	files, err := os.ReadDir(chapterRuns)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if !slices.EqualFunc(files, want, func(f os.DirEntry, name string) bool { return f.Name() == name }) {
		t.Errorf("%s has %v, want %v", chapterRuns, files, want)
	}
}

// storyBlock is the story of an entry in a chapter, and the command that tells it.
var storyBlock = regexp.MustCompile(`(?s)<!-- story: conch ([^\n]*) -->\n(.*?)<!-- end of story -->\n`)

// Stories in chapters are what their commands print.
func TestChaptersStories(t *testing.T) {
	for _, name := range roster.Names() {
		path, text := readChapter(t, name)
		stories := 0
		got := storyBlock.ReplaceAllStringFunc(text, func(block string) string {
			stories++
			command := storyBlock.FindStringSubmatch(block)[1]
			args := strings.Fields(command)
			if len(args) != 4 || args[0] != "explain" || args[1] != "docs/algorithms/runs/"+name || args[2] != "--entry" {
				t.Errorf("%s: the command of a story is %q", path, command)
				return block
			}
			args[1] = filepath.Join(chapterRuns, name)
			code, out, stderr := runConch(t, args...)
			if code != exitOK || stderr != "" {
				t.Fatalf("%s: %s: exit %d, %s", path, command, code, stderr)
			}
			return "<!-- story: conch " + command + " -->\n```\n" + out + "```\n<!-- end of story -->\n"
		})
		if stories == 0 || stories != strings.Count(text, "<!-- story:") {
			t.Errorf("%s: %d stories have a command and an end", path, stories)
		}
		keep(t, path, got)
	}
}

// cited is a message, or the token of an entry, that a sentence speaks of: the
// kind and the number as they stand in the picture, and from whom to whom.
var cited = regexp.MustCompile("`([a-z]+) ([0-9]+)`(?: from ([a-z]) to ([a-z](?:, [a-z]\\b)*(?: and [a-z]\\b)?))?")

// What the sentences of a chapter say of its run is in the traces: every message
// and every token.
func TestChaptersSentences(t *testing.T) {
	for _, name := range roster.Names() {
		path, text := readChapter(t, name)
		_, section, _ := strings.Cut(text, "\n## A run\n")
		section, _, _ = strings.Cut(section, "\n## ")
		section = strings.Join(strings.Fields(storyBlock.ReplaceAllString(section, "")), " ")
		facts := chapterFacts(t, name)
		found := cited.FindAllStringSubmatch(section, -1)
		if len(found) < 5 {
			t.Errorf("%s: the walk through the run cites %d messages and tokens", path, len(found))
		}
		for _, c := range found {
			if c[3] == "" {
				if c[1] != "token" || !facts["enter "+c[2]] {
					t.Errorf("%s: %s: nobody entered with that token; of a message, say from whom to whom", path, c[0])
				}
				continue
			}
			for _, to := range regexp.MustCompile(`, | and `).Split(c[4], -1) {
				if sent := fmt.Sprintf("%s %s from %s to %s", c[1], c[2], c[3], to); !facts[sent] {
					t.Errorf("%s: there was no %s", path, sent)
				}
			}
		}
		numbers := regexp.MustCompile(`[0-9]+ messages`).FindAllString(section, -1)
		if len(numbers) < 2 || slices.ContainsFunc(numbers, func(n string) bool { return !facts[n] }) {
			t.Errorf("%s: the picture's text and the walk say how many messages there were: %q", path, numbers)
		}
	}
}

// chapterFacts lists what happened in a chapter's run: messages, entries, and how
// many messages there were.
func chapterFacts(t *testing.T, name string) map[string]bool {
	t.Helper()
	readers, problems, err := trace.Dir(filepath.Join(chapterRuns, name), true)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	facts, messages := map[string]bool{}, 0
	for _, r := range readers {
		for l := (trace.Line{}); ; {
			if err := r.Next(&l); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			switch {
			case l.Kind == trace.Enter:
				facts["enter "+strconv.FormatUint(uint64(l.Token), 10)] = true
			case l.Kind == trace.Send && !l.Message.Upkeep:
				messages++
				facts[fmt.Sprintf("%s %d from %s to %s", l.Message.Kind, l.Clock, l.Peer, l.Message.To)] = true
			}
		}
		r.Close()
	}
	facts[fmt.Sprintf("%d messages", messages)] = true
	return facts
}

// chapterHeadings are in every chapter, in this order; others may stand between
// them.
var chapterHeadings = []string{"Rules", "A run", "Cost", "When a peer dies", "Where it shines", "Source"}

// Chapters have one shape. That of the default algorithm begins as if it had its
// rules already told: they are long, and a section of the specification, which
// stands before the source.
func TestChaptersShape(t *testing.T) {
	heading := regexp.MustCompile(`(?m)^## (?:([0-9])\. )?(.*)$`)
	for _, name := range roster.Names() {
		path, text := readChapter(t, name)
		if title := "# " + name + ": "; !strings.HasPrefix(text, title) {
			t.Errorf("%s does not begin with %q", path, title)
		}
		want := chapterHeadings
		if name == roster.Default {
			want = append(slices.Clone(want[1:5]), "Rules", "Source")
		}
		var got []string
		numbered := 0
		for _, h := range heading.FindAllStringSubmatch(text, -1) {
			if h[1] != "" {
				if numbered++; h[1] != strconv.Itoa(numbered) {
					t.Errorf("%s: section %s comes after %d", path, h[1], numbered-1)
				}
			}
			if slices.Contains(want, h[2]) {
				got = append(got, h[2])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the sections %q, want %q", path, got, want)
		}
	}
}

// The README lists every command, with what one has to give it.
func TestChaptersCommands(t *testing.T) {
	const path = "../../README.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## The commands\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var listed, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)[ `]").FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	for _, c := range rootCommand().Commands() {
		if name := c.Name(); name != "help" && name != "completion" {
			want = append(want, name)
		}
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("%s lists %q, want %q", path, listed, want)
	}
}
