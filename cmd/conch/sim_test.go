package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/sim"
)

// The same flags print the same bytes, and timings are not among them.
func TestSim(t *testing.T) {
	for _, args := range []string{
		"--algorithm ricart-agrawala --runs 3",
		"--algorithm token-ring --peers 3 --faults none",
		"--algorithm token-ring --peers 12 --faults crash,pause --ttl 1s --duration 10s",
		"--algorithm ricart-agrawala --delay 5ms..20ms --faults cut",
		"--peers 1 --ttl 1s --duration 3s",
		"--algorithm relay --runs 2",
		"--algorithm relay --voters 3",
	} {
		t.Run(args, func(t *testing.T) {
			args := append([]string{"sim", "--seed", "7"}, strings.Fields(args)...)
			code, stdout, stderr := runConch(t, args...)
			if code != exitOK || !strings.Contains(stdout, "\nsound: ") || !strings.HasPrefix(stdout, "seed 7, ") {
				t.Fatalf("exit %d, %q\n%s", code, stderr, stdout)
			}
			if !strings.HasPrefix(stderr, "took ") {
				t.Errorf("stderr %q", stderr)
			}
			if _, again, _ := runConch(t, args...); again != stdout {
				t.Errorf("first\n%s\nthen\n%s", stdout, again)
			}
			code, stdout, _ = runConch(t, append(args, "--json")...)
			var r simResult
			if err := json.Unmarshal([]byte(stdout), &r); code != exitOK || err != nil || r.Seed != 7 || r.Entries == 0 || r.Failure != nil {
				t.Errorf("exit %d, %v\n%s", code, err, stdout)
			}
		})
	}
}

// A seed that nobody chose is printed, so that the run can be had again.
func TestSimChance(t *testing.T) {
	_, first, _ := runConch(t, "sim", "--faults", "none", "--duration", "10s")
	seed, _, _ := strings.Cut(strings.TrimPrefix(first, "seed "), ",")
	if _, again, _ := runConch(t, "sim", "--faults", "none", "--duration", "10s", "--seed", seed); again != first {
		t.Errorf("first\n%s\nthen\n%s", first, again)
	}
}

// A failure is told with its seed and its story, and the middle of a long story
// is left out.
func TestSimFailure(t *testing.T) {
	r := simResult{Failure: &simFailure{Seed: 9, Reason: "b enters while a is inside", Scenario: strings.Repeat("line\n", 1000) + "the end\n"}}
	r.set(sim.Stats{})
	var b strings.Builder
	if err := r.writeText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT SOUND, seed 9: b enters while a is inside\n", "lines left out", "the end\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("does not say %q:\n%s", want, b.String())
		}
	}
	if n := strings.Count(b.String(), "\n"); n > simStoryLines+20 {
		t.Errorf("%d lines", n)
	}
}
