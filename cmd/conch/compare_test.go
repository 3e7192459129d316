package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/compare"
)

// The same flags print the same bytes, and timings are not among them.
func TestCompare(t *testing.T) {
	for _, args := range []string{
		"--entries 30",
		"--peers 1,2 --entries 20 --load heavy",
		"--peers 31 --entries 5 --algorithms relay,maekawa",
		"--peers 9,3..4,3 --entries 10 --algorithms token-ring --load medium",
		"--deaths --algorithms raymond",
	} {
		args := append([]string{"compare", "--seed", "7"}, strings.Fields(args)...)
		code, stdout, stderr := runConch(t, args...)
		if code != exitOK || stdout == "" || !strings.HasPrefix(stderr, "took ") {
			t.Fatalf("%v: exit %d, %q\n%s", args, code, stderr, stdout)
		}
		if _, again, _ := runConch(t, args...); again != stdout {
			t.Errorf("first\n%s\nthen\n%s", stdout, again)
		}
	}
	_, one, _ := runConch(t, "compare", "--seed", "1", "--peers", "5", "--load", "medium", "--algorithms", "relay")
	if _, other, _ := runConch(t, "compare", "--seed", "2", "--peers", "5", "--load", "medium", "--algorithms", "relay"); one[20:] == other[20:] {
		t.Error("another seed makes the same runs")
	}
}

func TestCompareFormats(t *testing.T) {
	base := []string{"compare", "--entries", "10", "--peers", "3,4", "--algorithms", "lamport,relay"}
	chart := filepath.Join(t.TempDir(), "messages.svg")
	code, stdout, stderr := runConch(t, append(base, "--json", "--chart", chart)...)
	var r compare.Result
	if err := json.Unmarshal([]byte(stdout), &r); code != exitOK || err != nil || len(r.Rows) != 12 || len(r.Deaths) != 4 || r.Unit != "T" {
		t.Errorf("exit %d, %v, %s\n%s", code, err, stderr, stdout)
	}
	svg, err := os.ReadFile(chart)
	if err != nil || !strings.HasPrefix(string(svg), "<svg") && !strings.HasPrefix(string(svg), "<?xml") || !strings.Contains(string(svg), "lamport") {
		t.Errorf("%v, %.60s", err, svg)
	}
	code, stdout, _ = runConch(t, append(base, "--csv")...)
	lines, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if code != exitOK || err != nil || len(lines) != 13 {
		t.Errorf("exit %d, %v\n%s", code, err, stdout)
	}
	if code, stdout, _ = runConch(t, append(base, "--markdown")...); code != exitOK || strings.Count(stdout, "| peers, ") != 3 {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// Real processes are measured by the same code, and leave nothing behind. What
// asks everybody costs the same whatever the moments are.
func TestCompareReal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	code, stdout, stderr := runConch(t, "compare", "--real", "--algorithms", "ricart-agrawala,lamport", "--entries", "9", "--json")
	var r compare.Result
	if err := json.Unmarshal([]byte(stdout), &r); code != exitOK || err != nil || len(r.Rows) != 2 || r.Unit != "us" || len(r.Deaths) > 0 {
		t.Fatalf("exit %d, %v, %s\n%s", code, err, stderr, stdout)
	}
	for _, x := range r.Rows {
		if x.Entries != 9 || x.Messages != x.Most || x.Peers != 3 || x.Load != compare.Heavy || x.WaitP99 <= 0 {
			t.Errorf("%+v", x)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCompareBadUsage(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ args, want string }{
		{"compare now", "unknown command"},
		{"compare --algorithms luck", `--algorithms: no algorithm is called "luck"; there are: relay, `},
		{"compare --algorithms relay,lamprot", "did you mean lamport?"},
		{"compare --algorithms relay,relay", "relay is there twice"},
		{"compare --algorithms=", "--algorithms: name one or more"},
		{"compare --peers 0", `--peers "0": use numbers from 1 to 31`},
		{"compare --peers 3..32", `--peers "3..32"`},
		{"compare --peers 5..3", `--peers "5..3"`},
		{"compare --peers 3..", `--peers "3.."`},
		{"compare --peers 3,many", `--peers "many"`},
		{"compare --load much", `--load "much": use light, medium, heavy or all`},
		{"compare --entries 0", "--entries 0: use 1 to 100000"},
		{"compare --real --entries 10001", "--entries 10001: use 1 to 10000"},
		{"compare --json --csv", "json"},
		{"compare --real --markdown", "markdown"},
		{"compare --deaths --peers 3", "deaths"},
		{"compare --chart=", "--chart: name a file"},
		{"compare --chart " + dir, "is a directory"},
		{"compare --chart " + dir + "/none/a.svg", "cannot be written"},
	} {
		code, stdout, stderr := runConch(t, strings.Split(c.args, " ")...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("conch %s: exit %d, %q, %q, want %q", c.args, code, stdout, stderr, c.want)
		}
	}
}
