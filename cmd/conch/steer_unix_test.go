//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conchlock/conch/view"
)

// An operator sees who holds a lock, asks for it, and ends the hold, from a shell.
func TestSeeAndSteer(t *testing.T) {
	t.Parallel()
	_, addr := alone(t)
	ask := func(want int, args ...string) string {
		t.Helper()
		code, out, err := runConch(t, append(args, "--addr", addr)...)
		if code != want {
			t.Errorf("%v: exit %d, want %d: %s%s", args, code, want, out, err)
		}
		return out + err
	}
	wait(t, "the peer to grant locks", func() bool { code, _, _ := runConch(t, "status", "--addr", addr); return code == exitOK })
	if out := ask(exitOK, "status"); !strings.Contains(out, "peer a of cluster conch, relay, for ") || !strings.Contains(out, "locks can be had: a vote") || !strings.Contains(out, "no lock is held") {
		t.Errorf("status: %s", out)
	}
	watch := exec.Command(os.Args[0], "why", "x", "--watch", "--json", "--addr", addr)
	pipe, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	until := func(what string, so func(l view.Lock) bool) {
		t.Helper()
		for lines.Scan() {
			var v view.View
			if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
				t.Fatalf("%v: %s", err, lines.Text())
			}
			if so(v.Lock("x")) {
				return
			}
		}
		t.Fatalf("why --watch has ended without %s", what)
	}
	asked := filepath.Join(t.TempDir(), "asked")
	holds := startLock(t, addr, "x", "--label", "the job", "--on-ask", "usr1", "--shell", "--", "trap 'touch "+asked+"' USR1; while :; do sleep 60; done")
	until("the holder", func(l view.Lock) bool { return l.Holder != nil && l.Holder.Label == "the job" })
	waits := startLock(t, addr, "x", "--label", "the next", "--", "true")
	until("who waits", func(l view.Lock) bool { return len(l.Waiters) == 1 })
	for _, c := range []struct{ cmd, want string }{
		{"locks", "the job"}, {"why x", "1  at a"}, {"why x", "the next"}, {"why y", "held by nobody"}, {"locks --json", `"label": "the job"`}, {"status --json", `"algorithm":`},
	} {
		if out := ask(exitOK, strings.Split(c.cmd, " ")...); !strings.Contains(out, c.want) {
			t.Errorf("%s: %s", c.cmd, out)
		}
	}
	steerRefuses(t, ask)
	if out := ask(exitOK, "ask", "x", "--reason", "the disk", "--by", "me"); !strings.Contains(out, "x: asked the holder at peer a") || !strings.Contains(out, "(the job)") {
		t.Errorf("ask: %s", out)
	}
	wait(t, "the command to be asked", func() bool { _, err := os.Stat(asked); return err == nil })
	if out := ask(exitOK, "unlock", "x", "--force", "--reason", "it hangs", "--by", "me"); !strings.Contains(out, "it goes on when that has left, in ") {
		t.Errorf("unlock: %s", out)
	}
	if code := holds.end(); code != exitLost || !strings.Contains(holds.err.String(), "me has ended it: it hangs") {
		t.Errorf("who held it: exit %d, %s", code, holds.err.String())
	}
	if !strings.Contains(holds.err.String(), `me asks for lock "x": the disk`) {
		t.Errorf("who held it was not asked: %s%s", holds.out.String(), holds.err.String())
	}
	if code := waits.end(); code != exitOK {
		t.Errorf("who waited: exit %d, %s", code, waits.err.String())
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(strings.TrimPrefix(addr, "unix:")), "audit.log"))
	if err != nil || strings.Count(string(text), "it hangs") != 2 {
		t.Errorf("the audit log: %s, %v", text, err)
	}
	watch.Process.Signal(os.Interrupt)
	for lines.Scan() {
	}
	if err := watch.Wait(); err != nil {
		t.Errorf("why --watch: %v", err)
	}
}

// steerRefuses tries what tells nobody anything.
func steerRefuses(t *testing.T, ask func(want int, args ...string) string) {
	t.Helper()
	for _, c := range []struct {
		cmd, want string
		code      int
	}{
		{"unlock x", "--force ends it all the same", exitUsage},
		{"unlock x --force", "--reason is needed", exitUsage},
		{"unlock x --force --reason r --token 5", "it is held with another token", exitFalse},
		{"unlock y --force --reason r", "nobody holds it", exitFalse},
		{"ask y", "nobody holds it", exitFalse},
		{"ask x --by \x01", "--by", exitUsage},
		{"why \x01", "lock name", exitUsage},
		{"lock x --on-ask KILL -- true", "use one of HUP", exitUsage},
	} {
		if out := ask(c.code, strings.Split(c.cmd, " ")...); !strings.Contains(out, c.want) {
			t.Errorf("%s: %s", c.cmd, out)
		}
	}
	for _, cmd := range []string{"status", "locks", "why x", "ask x", "unlock x --force --reason r"} {
		if code, _, err := runConch(t, append(strings.Split(cmd, " "), "--addr", "unix:/nowhere")...); code != exitNoPeer || !strings.Contains(err, "start one with conch peer") {
			t.Errorf("%s without a peer: exit %d, %s", cmd, code, err)
		}
	}
}
