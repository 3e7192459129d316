//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// alone starts a peer that is a cluster by itself, and serves at an address.
func alone(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	start := func() *exec.Cmd {
		p := exec.Command(os.Args[0], "peer", "--name", "a", "--peer", "a="+addrs[0], "--dir", dir, "--ttl", "1s", "--log-level", "warn")
		p.Stderr = os.Stderr
		out, err := p.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("the peer says %q: %v", line, err)
		}
		go io.Copy(io.Discard, out)
		return p
	}
	p := start()
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p, "unix:" + filepath.Join(dir, "conch.sock")
}

// lockRun is one conch lock.
type lockRun struct {
	*exec.Cmd
	t        *testing.T
	out, err bytes.Buffer
}

func startLock(t *testing.T, addr string, args ...string) *lockRun {
	t.Helper()
	r := &lockRun{Cmd: exec.Command(os.Args[0], append([]string{"lock"}, args...)...), t: t}
	r.WaitDelay = 10 * time.Second
	r.Env = append(os.Environ(), "CONCH_ADDR="+addr)
	r.Stdout, r.Stderr = &r.out, &r.err
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for its end, and returns the exit code.
func (r *lockRun) end() int {
	err := r.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return r.ProcessState.ExitCode()
}

// The command's exit code is conch lock's, and its environment says what it holds.
func TestLockExitCodes(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds; leave out -short")
	}
	t.Parallel()
	_, addr := alone(t)
	self := os.Args[0]
	for _, tt := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"x -- sh -c exit", 0, "", ""},
		{"x --shell -- echo one; exit 3", 3, "one\n", ""},
		{"x -- sh -c kill\t-9\t$$", 137, "", ""},
		{"x -- nonesuch", 127, "", "nonesuch: not found in $PATH"},
		{"x -- /", 126, "", "is a directory"},
		{"x -- /nowhere/at/all", 127, "", "not found"},
		{"x --shell -- [ $CONCH_LOCK = x ] && [ $CONCH_TOKEN -gt 0 ]", 0, "", ""},
		{"x -- " + self + " lock y -- sh -c echo\t$CONCH_LOCK", 0, "y\n", ""},
		{"x -- " + self + " lock x -- true", exitNotAcquired, "", "it would wait for itself"},
		{"x -- " + self + " lock y -- " + self + " lock z -- " + self + " lock x -- true", exitNotAcquired, "", "it would wait for itself"},
		{"x -- " + self + " lock y -- " + self + " lock z -- true", 0, "", ""},
		{"x --name a --peer a=192.0.2.1:1 -- true", exitNoPeer, "", "cannot listen on 192.0.2.1:1"},
		{"x", exitUsage, "", "write the command after --"},
		{"x --", exitUsage, "", "write the command after --"},
		{"x y -- true", exitUsage, "", "write the command after --"},
		{"-- true", exitUsage, "", "write the command after --"},
		{"x --wait -1s -- true", exitUsage, "", "--wait -1s: it cannot be negative"},
		{"x --wait 1s --try -- true", exitUsage, "", "--try and --wait say different things"},
		{"x --code-lost 256 -- true", exitUsage, "", "an exit code is from 0 to 255"},
		{"x --kill-after -1s -- true", exitUsage, "", "--kill-after -1s"},
		{"x --addr unix:/nowhere -- true", exitNoPeer, "", "no peer answers at unix:/nowhere: start one with conch peer"},
		{"x --addr nothing -- true", exitUsage, "", "write HOST:PORT"},
		{"x --ttl 100ms -- true", exitUsage, "", "--ttl 100ms: use 1s to 1h"},
		{"\x01 -- true", exitUsage, "", "lock name"},
	} {
		args := strings.Split(tt.args, " ")
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "\t", " ")
		}
		r := startLock(t, addr, args...)
		if code := r.end(); code != tt.code || r.out.String() != tt.out || !strings.Contains(r.err.String(), tt.err) {
			t.Errorf("conch lock %s: exit %d, want %d; stdout %q, stderr %q", tt.args, code, tt.code, r.out.String(), r.err.String())
		}
	}
}

// holding starts a command that holds x and has said so. It ends with its stdin.
func holding(t *testing.T, addr string, flags ...string) (*lockRun, io.Closer) {
	t.Helper()
	r := &lockRun{Cmd: exec.Command(os.Args[0], append(append([]string{"lock", "x"}, flags...), "--", "sh", "-c", "echo in; exec cat")...), t: t}
	r.Env = append(os.Environ(), "CONCH_ADDR="+addr)
	in, err := r.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Stderr = &r.err
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "in\n" {
		t.Fatalf("the command says %q: %v; %s", line, err, r.err.String())
	}
	t.Cleanup(func() { r.Process.Kill() })
	return r, in
}

// Who does not get the lock in time says so, with a code of its own.
func TestLockNotAcquired(t *testing.T) {
	t.Parallel()
	_, addr := alone(t)
	holder, in := holding(t, addr)
	for _, flags := range [][]string{{"--try"}, {"--wait", "0"}, {"--wait", "50ms"}, {"--wait", "50ms", "--code-not-acquired", "5"}} {
		r := startLock(t, addr, append(append([]string{"x"}, flags...), "--", "echo", "never")...)
		want := exitNotAcquired
		if len(flags) == 4 {
			want = 5
		}
		if code := r.end(); code != want || r.out.Len() > 0 || !strings.Contains(r.err.String(), "not acquired") || !strings.Contains(r.err.String(), "; held at a for ") || !strings.Contains(r.err.String(), "process") {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", flags, code, r.out.String(), r.err.String())
		}
	}
	r := startLock(t, addr, "x", "--", "echo", "at last")
	in.Close()
	if code := holder.end(); code != 0 {
		t.Errorf("the holder ends with %d: %s", code, holder.err.String())
	}
	if code := r.end(); code != 0 || r.out.String() != "at last\n" {
		t.Errorf("exit %d, %q, %q", code, r.out.String(), r.err.String())
	}
}

// When conch lock is killed its command dies, and the next one gets in.
func TestLockKilled(t *testing.T) {
	t.Parallel()
	_, addr := alone(t)
	holder, _ := holding(t, addr, "--ttl", "1s")
	holder.Process.Kill()
	holder.end()
	if r := startLock(t, addr, "x", "--", "true"); r.end() != 0 {
		t.Errorf("after the holder was killed: %s", r.err.String())
	}
}

// A peer that is gone, or hangs, costs the command its lock: it is ended in time.
func TestLockLost(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds; leave out -short")
	}
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		peer, addr := alone(t)
		holder, _ := holding(t, addr, "--ttl", "1s", "--code-lost", "75")
		began := time.Now()
		peer.Process.Signal(sig)
		if code := holder.end(); code != 75 || !strings.Contains(holder.err.String(), "was lost while the command ran") {
			t.Errorf("%v: exit %d after %s: %s", sig, code, time.Since(began), holder.err.String())
		}
		peer.Process.Signal(syscall.SIGCONT)
	}
}

// Without a peer on the machine, conch lock is one itself.
func TestLockTakesPart(t *testing.T) {
	t.Parallel()
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	r := startLock(t, "unix:/nowhere", "x", "--name", "a", "--peer", "a="+addrs[0], "--", "sh", "-c", "echo $CONCH_LOCK")
	if code := r.end(); code != 0 || r.out.String() != "x\n" {
		t.Errorf("exit %d, %q, %q", code, r.out.String(), r.err.String())
	}
	r = startLock(t, "unix:/nowhere", "x", "--name", "b", "--peer", "a="+addrs[0], "--", "true")
	if code := r.end(); code != exitUsage || !strings.Contains(r.err.String(), "b is not among the peers (a)") {
		t.Errorf("exit %d, %q", code, r.err.String())
	}
}

// A span in the environment is shown to those who ask who holds the lock, and the command
// has it as it was. What is none is named, and costs nothing else.
func TestLockTraceparent(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds; leave out -short")
	}
	_, addr := alone(t)
	for _, tt := range []struct{ env, want, err string }{
		{"", "", ""},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""},
		{"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "", "TRACEPARENT"},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", "", "TRACEPARENT"},
		{"nonsense\x01", "", `TRACEPARENT "nonsense\x01" is not passed on`},
	} {
		t.Setenv("TRACEPARENT", tt.env)
		holder := startLock(t, addr, "x", "--", "sh", "-c", `printf '%s\n' "$TRACEPARENT"; exec `+os.Args[0]+" why x --json")
		code := holder.end()
		first, rest, _ := strings.Cut(holder.out.String(), "\n")
		var v struct {
			Locks []struct{ Holder struct{ Trace string } }
		}
		if err := json.Unmarshal([]byte(rest), &v); err != nil || code != 0 || len(v.Locks) != 1 {
			t.Fatalf("%q: exit %d, %v: %s%s", tt.env, code, err, holder.out.String(), holder.err.String())
		}
		if got := v.Locks[0].Holder.Trace; first != tt.env || got != tt.want || !strings.Contains(holder.err.String(), tt.err) || tt.err == "" && holder.err.Len() > 0 {
			t.Errorf("%q: the command has %q, others see %q; %s", tt.env, first, got, holder.err.String())
		}
	}
}
