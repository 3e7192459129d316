package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/trace/export"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

func TestDiagram(t *testing.T) {
	dir := writeRun(t, tracetest.Play(tracetest.Config{Seed: 2, Peers: 3, Entries: 3, Locks: 2}))
	for _, c := range []struct{ args, title string }{
		{"--lock demo", `Lock "demo": 3 peers, 9 entries, 36 messages`},
		{"--lock other --entry 4", `Entry 4 of lock "other": `},
		{"--lock demo --from 0.5 --to 1ms", `Lock "demo": 3 peers, `},
	} {
		path := filepath.Join(t.TempDir(), "run.svg")
		args := append([]string{"diagram", dir, "-o", path}, strings.Fields(c.args)...)
		code, stdout, stderr := runConch(t, args...)
		if code != exitOK || stdout != "" || !strings.HasPrefix(stderr, "conch: "+path+" shows: "+c.title) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		title := ""
		d := xml.NewDecoder(bytes.NewReader(text))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", c.args, err)
			}
			if start, ok := token.(xml.StartElement); ok && start.Name.Local == "title" && title == "" {
				if err := d.DecodeElement(&title, &start); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !strings.HasPrefix(title, c.title) {
			t.Errorf("%s: the title is %q, want %q", c.args, title, c.title)
		}
		again := filepath.Join(t.TempDir(), "again.svg")
		args[3] = again
		if code, _, stderr := runConch(t, args...); code != exitOK {
			t.Errorf("%s again: exit %d, %s", c.args, code, stderr)
		}
		if second, err := os.ReadFile(again); err != nil || !bytes.Equal(text, second) {
			t.Errorf("%s: the same traces give other bytes (%v)", c.args, err)
		}
	}
}

// TestWideDiagram wants room for the labels of many peers.
func TestWideDiagram(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds; leave out -short")
	}
	for peers, want := range map[int]string{3: `width="760"`, 9: `width="760"`, 20: `width="1200"`} {
		dir := writeRun(t, tracetest.Play(tracetest.Config{Seed: 2, Peers: peers, Entries: 1}))
		path := filepath.Join(t.TempDir(), "run.svg")
		if code, _, stderr := runConch(t, "diagram", dir, "-o", path); code != exitOK {
			t.Fatalf("%d peers: exit %d, %s", peers, code, stderr)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if head, _, _ := strings.Cut(string(text), "\n"); !strings.Contains(head, want) {
			t.Errorf("%d peers: the picture begins with %s, want %s", peers, head, want)
		}
	}
}

// TestBadDiagram wants what is wrong to be named, and no file to be left.
func TestBadDiagram(t *testing.T) {
	two := writeRun(t, tracetest.Play(tracetest.Config{Seed: 2, Peers: 3, Entries: 3, Locks: 2}))
	one := writeRun(t, tracetest.Play(tracetest.Config{Seed: 2, Peers: 3, Entries: 3}))
	out := t.TempDir()
	svg := filepath.Join(out, "x.svg")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"diagram", exitUsage, "accepts 1 arg(s)"},
		{"diagram nowhere", exitUsage, "-o: name the file to write"},
		{"diagram nowhere -o " + svg, exitFalse, "nowhere"},
		{"diagram " + out + " -o " + svg, exitFalse, "there is no trace here"},
		// The file is tried before anything is read.
		{"diagram nowhere -o " + out, exitUsage, "is a directory; name a file"},
		{"diagram nowhere -o " + filepath.Join(out, "none", "x.svg"), exitUsage, "cannot be written"},
		{"diagram " + one + " --entry 0 -o " + svg, exitUsage, "--entry 0: entries are counted from 1"},
		{"diagram " + one + " --entry 10 -o " + svg, exitFalse, `there is no entry 10 of lock "demo": it was entered 9 times`},
		{"diagram " + one + " --entry 1 --from 3 -o " + svg, exitUsage, "leave out --from and --to"},
		{"diagram " + one + " --from 3 --to 2 -o " + svg, exitUsage, "--to 2ms is not after --from 3ms"},
		{"diagram " + one + " --from soon -o " + svg, exitUsage, "write milliseconds, as 1500, or a time with its unit, as 1.5s"},
		{"diagram " + one + " --from -1 -o " + svg, exitUsage, "--from"},
		{"diagram " + one + " --from 1h -o " + svg, exitFalse, `nothing happened to lock "demo" from 1h0m0s on`},
		{"diagram " + two + " -o " + svg, exitFalse, `which lock? There are "demo" and "other"`},
		{"diagram " + two + " --entry 1 -o " + svg, exitFalse, `which lock? There are "demo" and "other"`},
		{"diagram " + two + " --lock third -o " + svg, exitFalse, `the traces know of no lock "third"`},
		{"trace", exitUsage, "name a format: shiviz or perfetto"},
		{"trace xml " + one, exitUsage, `no format is called "xml"`},
		{"trace shiviz", exitUsage, "accepts 1 arg(s)"},
		{"trace shiviz nowhere", exitFalse, "nowhere"},
		{"trace perfetto " + out, exitFalse, "there is no trace here"},
		{"trace perfetto nowhere -o " + out, exitUsage, "is a directory; name a file"},
	} {
		code, stdout, stderr := runConch(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("conch %s: exit %d, stdout %q, stderr %q; want exit %d, %q", c.args, code, stdout, stderr, c.code, c.want)
		}
	}
	if files, err := os.ReadDir(out); err != nil || len(files) > 0 {
		t.Errorf("files are left: %v %v", files, err)
	}
}

// TestDamagedDiagram draws what is there, and says that something is missing.
func TestDamagedDiagram(t *testing.T) {
	dir := writeRun(t, tracetest.Play(tracetest.Config{Seed: 2, Peers: 3, Entries: 3}))
	if err := os.Remove(filepath.Join(dir, "b.ndjson")); err != nil {
		t.Fatal(err)
	}
	svg := filepath.Join(t.TempDir(), "x.svg")
	code, _, stderr := runConch(t, "diagram", dir, "-o", svg)
	if code != exitOK || !strings.Contains(stderr, "the traces have gaps") || !strings.Contains(stderr, "the trace of peer b") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// TestNothingToTell wants to hear why something is not in the traces, where
// these are damaged.
func TestNothingToTell(t *testing.T) {
	garbage := t.TempDir()
	if err := os.WriteFile(filepath.Join(garbage, "a.ndjson"), []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cut := writeRun(t, tracetest.Play(tracetest.Config{Seed: 2, Peers: 3, Entries: 3}))
	if err := os.Remove(filepath.Join(cut, "b.ndjson")); err != nil {
		t.Fatal(err)
	}
	svg := filepath.Join(t.TempDir(), "x.svg")
	for args, want := range map[string]string{
		"explain " + garbage:                         garbage + ": the traces know of no lock; but the traces have gaps: " + filepath.Join(garbage, "a.ndjson:1"),
		"diagram " + garbage + " -o " + svg:          garbage + ": the traces know of no lock; but the traces have gaps: " + filepath.Join(garbage, "a.ndjson:1"),
		"explain " + cut + " --entry 9":              "it was entered 6 times; but the traces have gaps: " + cut,
		"diagram " + cut + " --entry 9 -o " + svg:    "it was entered 6 times; but the traces have gaps: " + cut,
		"diagram " + cut + " --from 1h -o " + svg:    "but the traces have gaps: " + cut,
		"explain " + cut + " --lock x":               `know of no lock "x"; but the traces have gaps: ` + cut,
		"diagram " + cut + " --lock x -o " + svg:     "but the traces have gaps: " + cut,
		"diagram " + garbage + " --lock x -o " + svg: "but the traces have gaps: " + garbage,
	} {
		if code, _, stderr := runConch(t, strings.Fields(args)...); code != exitFalse || !strings.Contains(stderr, want) {
			t.Errorf("conch %s: exit %d, %s; want %s", args, code, stderr, want)
		}
	}
}

func TestTraceExports(t *testing.T) {
	dir := writeRun(t, tracetest.Play(tracetest.Config{Seed: 2, Peers: 3, Entries: 3}))
	file := filepath.Join(t.TempDir(), "out")
	for _, format := range []string{"shiviz", "perfetto"} {
		code, stdout, stderr := runConch(t, "trace", format, dir)
		if code != exitOK || stderr != "" {
			t.Fatalf("%s: exit %d, %s", format, code, stderr)
		}
		switch format {
		case "shiviz":
			if n := len(regexp.MustCompile(export.ShiVizParser).FindAllString(stdout, -1)); n < 100 {
				t.Errorf("%d events", n)
			}
		case "perfetto":
			var v struct {
				TraceEvents []struct {
					Time float64 `json:"ts"`
				} `json:"traceEvents"`
			}
			if err := json.Unmarshal([]byte(stdout), &v); err != nil || len(v.TraceEvents) < 100 {
				t.Errorf("%d events, %v", len(v.TraceEvents), err)
			}
			for _, e := range v.TraceEvents {
				if e.Time < 0 || e.Time > 1e7 {
					t.Errorf("an event %v µs after the beginning of the run", e.Time)
				}
			}
		}
		if code, again, stderr := runConch(t, "trace", format, dir, "-o", file); code != exitOK || again != "" {
			t.Errorf("%s -o: exit %d, %s", format, code, stderr)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != stdout {
			t.Errorf("%s: the file is another than the output (%v)", format, err)
		}
	}
}
