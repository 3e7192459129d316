package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/check"
)

// A demo that kills its peers ends with all entries made and a sound verdict,
// whatever the algorithm; the verdict knows of the hold that was broken off.
func TestDemoKills(t *testing.T) {
	for _, algorithm := range demoed() {
		for _, c := range []struct {
			args        string
			exits       int
			crash, kill int
		}{
			{"--crash --seed 1", 9, 1, 0},
			{"--crash --seed 2 --ttl 500ms", 9, 1, 0},
			{"--peers 5 --entries 2 --kill 3 --seed 5 --ttl 300ms", 10, 0, 3},
			{"--peers 4 --entries 3 --crash --kill 2 --seed 6 --ttl 300ms --discovery flags", 12, 1, 2},
		} {
			t.Run(algorithm+" "+c.args, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "run")
				code, stdout, stderr := runConch(t, append([]string{"demo", "--algorithm", algorithm, "--dir", dir}, strings.Fields(c.args)...)...)
				if code != exitOK {
					t.Fatalf("exit %d, stderr %q\n%s", code, stderr, stdout)
				}
				inside := strings.Count(stdout, "is killed (-9) inside the critical section")
				if all := strings.Count(stdout, "is killed (-9)"); inside != c.crash || all != c.crash+c.kill {
					t.Errorf("%d killed, %d of them inside", all, inside)
				}
				if n := strings.Count(stdout, "is started again"); n != c.crash+c.kill {
					t.Errorf("%d started again", n)
				}
				text, err := os.ReadFile(filepath.Join(dir, "verdict.json"))
				if err != nil {
					t.Fatal(err)
				}
				var r check.Report
				if err := json.Unmarshal(text, &r); err != nil {
					t.Fatal(err)
				}
				if r.Totals.Exits < c.exits || r.Totals.Died < c.crash {
					t.Errorf("%+v", r.Totals)
				}
				if c.crash == 0 {
					return
				}
				x := r.Broken[0]
				if x.How != "killed" || x.Next == "" || x.After <= 0 {
					t.Errorf("%+v", x)
				}
				if !strings.Contains(stdout, fmt.Sprintf("the hold with token %d of %s ended when %s was killed; ", x.Token, x.Peer, x.Peer)) {
					t.Errorf("the verdict does not tell of %+v", x)
				}
				told := strings.Contains(stdout, fmt.Sprintf("%s is killed inside, with token %d: by the demo", x.Peer, x.Token)) ||
					strings.Contains(stdout, fmt.Sprintf("(%s had been killed inside, with token %d, ", x.Peer, x.Token)) // before the next had asked
				if !told {
					t.Errorf("no story tells of %+v\n%s", x, stdout)
				}
			})
		}
	}
}

// demoed are the algorithms that run as processes: a few if time is short, as the
// processes are the same.
func demoed() []string {
	if testing.Short() {
		return roster.Names()[:3]
	}
	return roster.Names()
}

// The seed decides whether the first or the second that enters is killed.
func TestDemoSeedOfCrash(t *testing.T) {
	for seed, want := range map[uint64]int{2: 1, 3: 2} {
		o := &demoOptions{peers: 3, entries: 1, algorithm: roster.Default, discovery: "file", crash: true, seed: seed, dir: t.TempDir()}
		if err := o.complete(); err != nil || o.linger != want || o.ttl != demoCrashTTL {
			t.Errorf("seed %d: %v, entry %d, TTL %s", seed, err, o.linger, o.ttl)
		}
	}
}
