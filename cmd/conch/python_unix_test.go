//go:build unix

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// python is a program that uses examples/python/conch.py. It reads from its input
// when it is to go on.
type python struct {
	*exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors bytes.Buffer
}

func startPython(t *testing.T, addr, program string) *python {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 to try the Python client with")
	}
	p := &python{Cmd: exec.Command(path, "-c", "from conch import *\n"+program)}
	p.Env = append(os.Environ(), "CONCH_ADDR="+addr, "PYTHONPATH=../../examples/python", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")
	p.Stderr = &p.errors
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	return p
}

// says wants the next line to be this.
func (p *python) says(t *testing.T, want string) {
	t.Helper()
	if line, err := p.out.ReadString('\n'); line != want+"\n" {
		t.Fatalf("the Python program says %q, want %q: %v; %s", line, want, err, p.errors.String())
	}
}

func (p *python) ends(t *testing.T) {
	t.Helper()
	p.in.Close()
	if err := p.Wait(); err != nil {
		t.Errorf("the Python program ends with %v: %s", err, p.errors.String())
	}
}

func TestPythonIsShort(t *testing.T) {
	code, err := os.ReadFile("../../examples/python/conch.py")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(code, []byte("\n")); n >= 100 {
		t.Errorf("conch.py has %d lines", n)
	}
}

// A Python program holds a lock for much longer than a lease lasts, with a token that
// grows, and gives it back; who waits too long is told.
func TestPythonLocks(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds; leave out -short")
	}
	t.Parallel()
	_, addr := alone(t)
	p := startPython(t, addr, `
c = Conch(ttl=1)
with c.lock("x", wait=10, label="a test") as hold:
    print("in", 0 < hold.left() <= 1)
    with c.lock("y"): print("both")
    input()
    time.sleep(2.5)  # longer than session and lease
    hold.check()
    first = hold.token
    try: c.lock("x", wait=0)
    except NotAcquired as e: print("busy:", e.code)
with c.lock("x") as hold: print(hold.token > first)
try: c.lock("\n")
except ConchError as e: print(e.code)
hold = c.lock("x")
try: hold.release(); hold.release()
except Lost as e: print(e)
try:
    with c.lock("x"): raise KeyError("of the program itself")
except KeyError as e: print(e)
c.close()
try: c.lock("x")
except ConchError as e: print(e.code)
`)
	p.says(t, "in True")
	p.says(t, "both")
	if r := startLock(t, addr, "x", "--try", "--", "true"); r.end() != exitNotAcquired {
		t.Errorf("somebody else gets in: %s", r.err.String())
	}
	io.WriteString(p.in, "\n")
	p.says(t, "busy: deadline_exceeded")
	p.says(t, "True")
	p.says(t, "invalid_argument")
	p.says(t, "lock 'x' was lost while it was held")
	p.says(t, "'of the program itself'")
	p.says(t, "not_found")
	if r := startLock(t, addr, "x", "--try", "--", "true"); r.end() != 0 {
		t.Errorf("the lock was not given back: %s", r.err.String())
	}
	p.ends(t)
}

// A Python program whose peer is killed, or hangs, is told before the lease ends.
func TestPythonLost(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds; leave out -short")
	}
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		peer, addr := alone(t)
		p := startPython(t, addr, `
try:
    with Conch(ttl=1).lock("x") as hold:
        print("in")
        input()
        while True:
            hold.check()
            time.sleep(0.01)
except Lost as e: print(e, now_ns() < hold.end_ns)
try: Conch()
except ConchError as e: print(str(e).split(" at ")[0])
`)
		p.says(t, "in")
		peer.Process.Signal(sig)
		io.WriteString(p.in, "\n")
		p.says(t, "lock 'x' is lost True")
		p.says(t, "no peer answers")
		peer.Process.Signal(syscall.SIGCONT)
		p.ends(t)
	}
}

// A Python program that is killed loses its lock to the next one, which waits.
func TestPythonKilled(t *testing.T) {
	t.Parallel()
	_, addr := alone(t)
	p := startPython(t, addr, "h = Conch(ttl=1).lock('x')\nprint('in')\ninput()\n")
	p.says(t, "in")
	other := startPython(t, addr, "with Conch(ttl=1).lock('x', wait=20): print('next')\n")
	p.Process.Kill()
	p.Wait()
	other.says(t, "next")
	other.ends(t)
}

// The same over TCP, if the peer is asked to serve there.
func TestServe(t *testing.T) {
	t.Parallel()
	addrs, err := freeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	peer := exec.Command(os.Args[0], "peer", "--name", "a", "--peer", "a="+addrs[0], "--socket", "none", "--serve", addrs[1], "--log-level", "warn")
	out, err := peer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { peer.Process.Kill(); peer.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the peer says %q: %v", line, err)
	}
	if r := startLock(t, addrs[1], "x", "--", "echo", "in"); r.end() != 0 || r.out.String() != "in\n" {
		t.Errorf("conch lock: %s", r.err.String())
	}
	badUsage(t, []badUse{
		{"peer --name a --peer a=127.0.0.1:1 --serve 0.0.0.0:7420", exitUsage, "not of this machine alone"},
		{"peer --name a --peer a=127.0.0.1:1 --serve :7420", exitUsage, "no TLS yet"},
		{"peer --name a --peer a=127.0.0.1:1 --serve here", exitUsage, "write HOST:PORT"},
		{"peer --name a --peer a=" + addrs[2] + " --socket none --serve " + addrs[1], exitFalse, "--serve: listen tcp"},
	})
	if strings.HasPrefix(addrs[1], "127.") {
		p := startPython(t, addrs[1], "with Conch().lock('x'): print('in')\n")
		p.says(t, "in")
		p.ends(t)
	}
}
