package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asConch makes the test binary behave as conch, so that demo, which starts
// itself once for each peer, can be tested as it is.
const asConch = "CONCH_TEST_RUN_AS_CONCH"

func TestMain(m *testing.M) {
	if os.Getenv(asConch) != "" && !slices.Contains(os.Args, "-test.fuzzworker") { // which go test starts
		main()
	}
	os.Setenv(asConch, "1")
	dir, err := os.MkdirTemp("", "conch") // for the sockets of peers that name none
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_RUNTIME_DIR", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// conch runs a command line in this process.
func runConch(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestBadUsage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []badUse{
		{"fly", exitUsage, `unknown command "fly"`},
		{"demo --fly", exitUsage, "unknown flag: --fly"},
		{"demo now", exitUsage, "unknown command"},
		{"demo --peers 0", exitUsage, "--peers 0: use 1 to 31"},
		{"demo --peers many", exitUsage, "--peers"},
		{"demo --entries 0", exitUsage, "--entries 0"},
		{"demo --algorithm luck", exitUsage, `no algorithm is called "luck"`},
		{"demo --discovery luck", exitUsage, `--discovery "luck"`},
		{"demo --peers 1 --crash", exitUsage, "--crash needs --peers 2 or more"},
		{"demo --peers 2 --kill 1", exitUsage, "--kill needs --peers 3 or more"},
		{"demo --kill 101", exitUsage, "--kill 101: use 0 to 100"},
		{"demo --guests 1", exitUsage, "--guests needs --discovery serf"},
		{"demo --guests -1 --discovery serf", exitUsage, "--guests -1"},
		{"demo --guests 1 --discovery serf --algorithm raymond", exitUsage, "--guests: raymond needs every peer"},
		{"demo --ttl 1ms", exitUsage, "--ttl 1ms: the least is 100ms"},
		{"demo --dir " + dir, exitUsage, "is not empty"},
		{"sim now", exitUsage, "unknown command"},
		{"sim --algorithm luck", exitUsage, `no algorithm is called "luck"`},
		{"sim --peers 0", exitUsage, "--peers 0: use 1 to 31"},
		{"sim --peers 32", exitUsage, "--peers 32: use 1 to 31"},
		{"sim --peers 3 --voters 4", exitUsage, "4 of 3 peers cannot vote"},
		{"sim --open", exitUsage, "--open needs --voters"},
		{"sim --open --voters 1 --algorithm raymond", exitUsage, "--open: raymond needs every peer"},
		{"sim --runs 0", exitUsage, "--runs 0"},
		{"sim --faults luck", exitUsage, `--faults: no fault is called "luck"`},
		{"sim --faults wipe --algorithm token-ring", exitUsage, "--faults: token-ring"},
		{"sim --faults stop --algorithm token-ring", exitUsage, "--faults: token-ring keeps nothing"},
		{"sim --delay long", exitUsage, "--delay"},
		{"sim --delay 2s..1s", exitUsage, "--delay"},
		{"sim --ttl 1ns", exitUsage, "the least is 100ms"},
		{"sim --duration -1s", exitUsage, "time does not go back"},
		{"check", exitUsage, "accepts 1 arg(s)"},
		{"check nowhere", exitUnknown, "nowhere"},
		{"explain", exitUsage, "accepts 1 arg(s)"},
		{"explain nowhere --entry 0", exitUsage, "--entry 0"},
		{"explain nowhere", exitFalse, "nowhere"},
	}
	badUsage(t, tests)
}

// badUse is a command line that is wrong, and what is said about it.
type badUse struct {
	args string
	code int
	want string
}

func badUsage(t *testing.T, tests []badUse) {
	t.Helper()
	for _, tt := range tests {
		code, stdout, stderr := runConch(t, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("conch %s: exit %d, stderr %q; want exit %d, %q", tt.args, code, stderr, tt.code, tt.want)
		}
		if stdout != "" {
			t.Errorf("conch %s: stdout %q, want nothing", tt.args, stdout)
		}
	}
}

func TestBadPeerUsage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "peers.txt"), []byte("a 127.0.0.1:1\nb 127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	badUsage(t, []badUse{
		{"peer", exitUsage, "name"},
		{"peer --name a", exitUsage, "peers-file"},
		{"peer --name a --peers-file x --peer a=127.0.0.1:1", exitUsage, "peers-file"},
		{"peer --name a --peer a=127.0.0.1:1 --entries 3", exitUsage, "--entries goes with --enter-every"},
		{"peer --name a --peer a=127.0.0.1:1 --work 3s", exitUsage, "--work goes with --enter-every"},
		{"peer --name a --peer a=127.0.0.1:1 --linger-at 3", exitUsage, "--linger-at goes with --enter-every"},
		{"peer --name a --peer a=127.0.0.1:1 --enter-every 1s --linger-at 3", exitUsage, "--linger-at goes with --critical-section"},
		{"peer --name A --peer a=127.0.0.1:1", exitUsage, `--name: peer name "A"`},
		{"peer --name a --peer a=127.0.0.1:1 --enter-every 1s --lock \x01", exitUsage, "--lock: lock name"},
		{"peer --name a --peer a=127.0.0.1:1 --listen here", exitUsage, `--listen "here": write HOST:PORT`},
		{"peer --name a --peer a=127.0.0.1:1 --advertise here", exitUsage, "--advertise: address"},
		{"peer --name a --peer a=127.0.0.1:1 --log-format xml", exitUsage, "--log-format"},
		{"peer --name a --peer a=127.0.0.1:1 --log-level loud", exitUsage, "--log-level"},
		{"peer --name a --peer a=127.0.0.1:1 --trace", exitUsage, "--trace needs --trace-dir or --dir"},
		{"peer --name a --peers-file nowhere.txt", exitUsage, "nowhere.txt"},
		{"peer --name a --peers-file " + dir + "/peers.txt", exitUsage, "peers.txt:2: peers a and b have the same address"},
		{"peer --name c --peer a=127.0.0.1:1", exitUsage, "c is not among the peers (a)"},
		{"peer --name a --peer a=127.0.0.1", exitUsage, "write HOST:PORT"},
		{"peer --name a --peer a=127.0.0.1:1 --voters a,B", exitUsage, `--voters: peer name "B"`},
		{"peer --name a --peer a=127.0.0.1:1 --voters a,b", exitUsage, `--voters: "b" is not among the peers (a)`},
		{"peer --name a --join 127.0.0.1:1", exitUsage, "--join needs --voters a,b,c"},
		{"peer --name a --join here --voters a", exitUsage, `--join: address "here": write HOST:PORT`},
		{"peer --name a --join 127.0.0.1:1 --voters a --network mars", exitUsage, `--network "mars": write lan, wan or loopback`},
		{"peer --name a --join 127.0.0.1:1 --voters a --peers-file x", exitUsage, "peers-file"},
		{"peer --name d --join 127.0.0.1:1 --voters a,b --algorithm lamport", exitUsage, "lamport needs every peer, so the voters (a, b) are all there are, and d is none of them"},
		{"peer --name a --join 127.0.0.1:1 --voters a,a", exitUsage, "a is named twice"},
		{"peer --name a --join 127.0.0.1:1 --voters a --listen 127.0.0.1:0 --serf-addr 127.0.0.1:0 --keyring nowhere", exitFalse, "nowhere"},
		{"peer --name a --join 127.0.0.1:1 --voters a --serf-addr nowhere", exitUsage, `--serf-addr "nowhere": write HOST:PORT`},
		{"peer --name a --join 127.0.0.1:1 --voters a --serf-advertise :1", exitUsage, "--serf-advertise: address \":1\" has no host"},
		{"peer --name a --peer a=127.0.0.1:1 --keyring keys", exitUsage, "--keyring goes with --join or --serf-addr"},
		{"peer --name a --peers-file peers.txt --network wan", exitUsage, "--network goes with --join or --serf-addr"},
		{"peer --name a --peer a=127.0.0.1:1 --ttl 1ms", exitUsage, "--ttl 1ms: the least is 100ms"},
		{"peer --name a --peer a=127.0.0.1:1 --linger 2s", exitUsage, "--linger 2s: at most a third of the TTL, 1.66"},
		{"peer --name a --peer a=127.0.0.1:1 --drift -3", exitUsage, "--drift -3: from 1 to 100000"},
		{"peer --name a --peer a=127.0.0.1:1 --algorithm luck", exitUsage, `no algorithm is called "luck"`},
		{"peer --name a --peer a=127.0.0.1:1 --algorithm raymond:binary", exitUsage, "of other shapes, raymond:line, raymond:star"},
	})
}

func TestHelp(t *testing.T) {
	code, stdout, _ := runConch(t, "help")
	if code != exitOK {
		t.Fatalf("exit %d", code)
	}
	for _, want := range []string{"See it work:", "Run it:", "Understand what happened:", "demo", "peer", "check", "explain", "completion"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("help does not say %q:\n%s", want, stdout)
		}
	}
	if code, stdout, _ := runConch(t, "version"); code != exitOK || !strings.HasPrefix(stdout, "conch ") {
		t.Errorf("version: exit %d, %q", code, stdout)
	}
	if code, stdout, _ := runConch(t, "completion", "bash"); code != exitOK || !strings.Contains(stdout, "conch") {
		t.Errorf("completion bash: exit %d, %d bytes", code, len(stdout))
	}
}

// TestDemo runs the demo as it is, with real processes, and then looks at what
// it left as a person would: check and explain.
func TestDemo(t *testing.T) {
	tests := []struct{ args, entries string }{
		{"--algorithm ricart-agrawala", "9"},
		{"--algorithm token-ring --discovery flags", "9"},
		{"--algorithm raymond:star --peers 4 --entries 2", "8"},
		{"--peers 1 --entries 2", "2"},
		{"--peers 5 --entries 2 --seed 7", "10"},
		{"--discovery serf --guests 1 --entries 2", "8"},
		{"--discovery serf --algorithm maekawa --peers 4 --entries 2", "8"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			if testing.Short() && strings.Contains(tt.args, "serf") {
				t.Skip("each takes seconds; leave out -short")
			}
			dir := filepath.Join(t.TempDir(), "run")
			args := append([]string{"demo", "--dir", dir}, strings.Fields(tt.args)...)
			code, stdout, stderr := runConch(t, args...)
			if code != exitOK {
				t.Fatalf("exit %d, stderr %q\n%s", code, stderr, stdout)
			}
			for _, file := range []string{"peers.txt", "a.ndjson", "a.log", "critical-section.txt", "verdict.json", "state/a"} {
				if _, err := os.Stat(filepath.Join(dir, file)); err != nil && (file != "peers.txt" || !strings.Contains(tt.args, "serf")) {
					t.Error(err)
				}
			}
			if code, stdout, stderr := runConch(t, "check", dir); code != exitOK || !strings.Contains(stdout, tt.entries+" entries") {
				t.Errorf("check: exit %d, want %s entries:\n%s%s", code, tt.entries, stdout, stderr)
			}
			if code, story, stderr := runConch(t, "explain", dir, "--entry", "2"); code != exitOK || !strings.Contains(stdout, strings.TrimPrefix(story, legend+"\n")) {
				t.Errorf("explain: exit %d, and not what the demo told:\n%s%s", code, story, stderr)
			}
			if code, story, stderr := runConch(t, "explain", dir, "--json"); code != exitOK || !strings.Contains(story, `"Entry 1 of lock`) {
				t.Errorf("explain as JSON: exit %d\n%s%s", code, story, stderr)
			}
			if code, _, stderr := runConch(t, "explain", dir, "--entry", "100"); code != exitFalse || !strings.Contains(stderr, "100") {
				t.Errorf("explain an entry that is not there: exit %d, %q", code, stderr)
			}
		})
	}
}

// An interrupted demo ends its peers and says how far it came.
func TestDemoInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	code := run(ctx, []string{"demo", "--dir", filepath.Join(t.TempDir(), "run")}, strings.NewReader(""), &out, &errOut)
	if code != exitUnknown || !strings.Contains(errOut.String(), "interrupted after") {
		t.Errorf("exit %d, %q", code, errOut.String())
	}
}
