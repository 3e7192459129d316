package main

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/compare"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// handIn has the report that is handed in, and the runs that it was made from.
const handIn = "../../docs/report"

// handInRuns are the folders of those runs.
var handInRuns = []string{"three", "five"}

// makeHandIn makes the report anew, in a folder of its own, and returns that.
func makeHandIn(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"report", "-o", filepath.Join(dir, "report.pdf"), "--html", filepath.Join(dir, "report.html")}
	for _, run := range handInRuns {
		args = append(args, filepath.Join(handIn, run))
	}
	if code, out, stderr := runConch(t, args...); code != exitOK || out != "" {
		t.Fatalf("exit %d, %s%s", code, out, stderr)
	}
	return dir
}

// TestHandIn wants the report that is handed in to be the one of the traces beside
// it. How well a PDF is compressed depends on the version of Go, so what is in it
// is compared.
func TestHandIn(t *testing.T) {
	dir := makeHandIn(t)
	for _, name := range []string{"report.html", "report.pdf"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(handIn, name)
		have, err := os.ReadFile(path)
		if err == nil && bytes.Equal(inflated(have), inflated(got)) {
			continue
		}
		if !*rewrite {
			t.Errorf("%s is not the report of the runs beside it; go test ./cmd/conch -run HandIn -rewrite makes it anew", path)
			continue
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var streams = regexp.MustCompile(`(?s)/Length \d+.{0,80}?stream\r?\n(.*?)\nendstream`)

// inflated is a PDF without compression, and without what depends on that: the
// lengths of its parts, and where they begin.
func inflated(pdf []byte) []byte {
	plain := streams.ReplaceAllFunc(pdf, func(part []byte) []byte {
		content := streams.FindSubmatch(part)[1]
		z, err := zlib.NewReader(bytes.NewReader(content))
		if err != nil {
			return content
		}
		text, err := io.ReadAll(z)
		if err != nil {
			return content
		}
		return text
	})
	if at := bytes.LastIndex(plain, []byte("\nxref\n")); at >= 0 {
		plain = plain[:at]
	}
	return plain
}

// TestHandInBelongs changes a trace and wants another report.
func TestHandInBelongs(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(handIn, "three"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "b.ndjson")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte(`"reason":"it wants`), []byte(`"reason":"she wants`), 1)
	if bytes.Equal(text, changed) {
		t.Fatal("nothing to change in the trace of b")
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "report")
	if code, _, stderr := runConch(t, "report", "-o", out+".pdf", "--html", out+".html", dir, filepath.Join(handIn, "five")); code != exitOK {
		t.Fatal(stderr)
	}
	for _, kind := range []string{".pdf", ".html"} {
		was, err := os.ReadFile(filepath.Join(handIn, "report"+kind))
		if err != nil {
			t.Fatal(err)
		}
		is, err := os.ReadFile(out + kind)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(inflated(was), inflated(is)) {
			t.Errorf("the report%s does not change with the trace", kind)
		}
	}
}

// TestHandInAgrees wants the checker, the comparison and the report to have the
// same numbers for the same runs.
func TestHandInAgrees(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(handIn, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	said := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(string(page), "|"))
	said = regexp.MustCompile(`[\s|]+`).ReplaceAllString(said, "|")
	for _, run := range handInRuns {
		code, out, stderr := runConch(t, "check", "--json", filepath.Join(handIn, run))
		if code != exitOK {
			t.Fatalf("%s: %s", run, stderr)
		}
		var verdict check.Report
		if err := json.Unmarshal([]byte(out), &verdict); err != nil {
			t.Fatal(err)
		}
		cost, _ := roster.CostOf(verdict.Runs[0])
		a := compare.Algorithm{Name: verdict.Runs[0], Light: compare.Formula(cost.Light), Heavy: compare.Formula(cost.Heavy)}
		row, err := compare.Measure(&verdict, a, len(verdict.Peers), compare.Medium, time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			fmt.Sprintf("messages for an entry, mean|%.2f|", row.Messages),
			fmt.Sprintf("messages for an entry, median|%d|", row.Median),
			fmt.Sprintf("messages for an entry, most|%d|", row.Max),
			fmt.Sprintf("upkeep for an entry, mean|%.2f|", row.Upkeep),
			fmt.Sprintf("from an exit to the next entry, median|%.2f ms|%d exits with somebody waiting; the mean is %.2f ms", row.HandoffP, row.Handoffs, row.Handoff),
			fmt.Sprintf("waiting, median|%.2f ms|", row.WaitP50),
			fmt.Sprintf("waiting, 99 in 100 at most|%.2f ms|", row.WaitP99),
			fmt.Sprintf("fairness by entries|%.2f|", row.Jain),
			fmt.Sprintf("%d messages for %d entries", verdict.Locks[0].Messages, row.Entries),
		} {
			if !strings.Contains(said, strings.ReplaceAll(want, " ", "|")) {
				t.Errorf("%s: the report does not say %q", run, want)
			}
		}
	}
}

// A demo writes its report beside the traces.
func TestDemoReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if code, _, stderr := runConch(t, "demo", "--entries", "1", "--dir", dir, "--report"); code != exitOK || !strings.Contains(stderr, "conch: wrote "+dir) {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	for name, begins := range map[string]string{"report.pdf": "%PDF-", "report.html": "<!DOCTYPE html>"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.HasPrefix(text, []byte(begins)) {
			t.Errorf("%s begins with %.20q (%v)", name, text, err)
		}
	}
}

func TestReportUsage(t *testing.T) {
	run := writeRun(t, tracetest.Play(tracetest.Config{Seed: 2, Peers: 3, Entries: 2, Locks: 2}))
	pdf := filepath.Join(t.TempDir(), "report.pdf")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{run}, exitUsage, "-o: name the file to write"},
		{[]string{"-o", pdf}, exitUsage, "requires at least 1 arg"},
		{[]string{filepath.Join(run, "none"), "-o", filepath.Join(run, "none", "report.pdf")}, exitUsage, "report.pdf cannot be written: no such file or directory"},
		{[]string{filepath.Join(run, "none"), "-o", pdf, "--html", run}, exitUsage, "is a directory; name a file"},
		{[]string{run, "-o", pdf, "--html", filepath.Dir(pdf) + "/./report.pdf"}, exitUsage, "is also the file of -o"},
		{[]string{run, "-o", filepath.Join(run, "a.ndjson")}, exitUsage, "a.ndjson is what a trace is called"},
		{[]string{run, "-o", pdf, "--repository", "github"}, exitUsage, `--repository "github": use a URL`},
		{[]string{run, "-o", pdf, "--lock", "x"}, exitFalse, `the traces know of no lock "x"; there are "demo", "other"`},
		{[]string{t.TempDir(), "-o", pdf}, exitFalse, "no trace"},
		{[]string{run, "-o", pdf, "--lock", "other"}, exitOK, "wrote " + pdf},
	} {
		code, _, stderr := runConch(t, append([]string{"report"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit %d, %q", c.args, code, stderr)
		}
		if _, err := os.Stat(pdf); (err == nil) != (c.code == exitOK) {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}
