//go:build unix

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch"
)

// managerSocket is where a service manager would listen. The function returns the next
// message to it.
func managerSocket(t *testing.T) (path string, next func() string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // in all, whatever comes
	return path, func() string {
		t.Helper()
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

// A real peer tells its service manager that it is ready, alive, and about to end, and
// who is there.
func TestNotify(t *testing.T) {
	path, next := managerSocket(t)
	addrs, err := freeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	start := func(name string, env ...string) *exec.Cmd {
		p := exec.Command(os.Args[0], "peer", "--name", name, "--peer", "a="+addrs[0], "--peer", "b="+addrs[1], "--peer", "c="+addrs[2],
			"--ttl", "1s", "--log-level", "off", "--socket", filepath.Join(filepath.Dir(path), name))
		p.Env, p.Stderr = append(os.Environ(), env...), os.Stderr
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Process.Kill(); p.Wait() })
		return p
	}
	until := func(want string) {
		t.Helper()
		for said := ""; said != want; {
			if said = next(); said != "WATCHDOG=1" && !strings.HasPrefix(said, "STATUS=") {
				t.Fatalf("the peer says %q, and not %q", said, want)
			}
		}
	}
	a := start("a", "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=200000")
	if said, want := next(), "READY=1\nSTATUS=peer a: 1 of 3 votes, 1 of 3 peers up; without a majority nobody here gets a lock"; said != want {
		t.Fatalf("the peer says %q, want %q", said, want)
	}
	if conn, err := net.Dial("unix", filepath.Join(filepath.Dir(path), "a")); err != nil {
		t.Errorf("it says that it is ready, and does not serve: %v", err)
	} else {
		conn.Close()
	}
	until("WATCHDOG=1")
	b := start("b")
	until("STATUS=peer a: 2 of 3 votes, 2 of 3 peers up")
	b.Process.Kill()
	until("STATUS=peer a: 1 of 3 votes, 1 of 3 peers up; without a majority nobody here gets a lock")
	a.Process.Signal(syscall.SIGTERM)
	const stopping = "STOPPING=1\nSTATUS=stops: waits until its programs have given back what they hold"
	for {
		said := next()
		if said == stopping {
			break
		}
		if said != "WATCHDOG=1" {
			t.Fatalf("the peer says %q", said)
		}
	}
	if err := a.Wait(); err != nil {
		t.Errorf("the peer ends: %v", err)
	}
}

// What the environment says is for this process, and not for those that it starts.
func TestNotifierEnvironment(t *testing.T) {
	path, _ := managerSocket(t)
	for _, tt := range []struct {
		socket, period, pid string
		watchdog            time.Duration
		want                string
	}{
		{socket: path, period: "30000000", watchdog: 30 * time.Second},
		{socket: path},
		{socket: path, period: "30000000", pid: "1"},
		{period: "30000000"},
		{socket: path, period: "soon", want: "WATCHDOG_USEC=soon: it must be a number"},
		{socket: path, period: "0", want: "WATCHDOG_USEC=0: it must be a number"},
		{socket: path + "x", want: "no such file"},
	} {
		t.Setenv("NOTIFY_SOCKET", tt.socket)
		t.Setenv("WATCHDOG_USEC", tt.period)
		t.Setenv("WATCHDOG_PID", tt.pid)
		n, err := newNotifier()
		switch {
		case tt.want != "":
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v: %v", tt, err)
			}
		case err != nil || (n == nil) != (tt.socket == ""):
			t.Errorf("%+v: %v, %v", tt, n, err)
		case n != nil && n.watchdog != tt.watchdog:
			t.Errorf("%+v: the watchdog waits for %s", tt, n.watchdog)
		}
		n.close()
		for _, entry := range os.Environ() {
			if strings.HasPrefix(entry, "NOTIFY_") || strings.HasPrefix(entry, "WATCHDOG_") {
				t.Errorf("%+v: %s is left", tt, entry)
			}
		}
	}
}

// hanging is a peer that answers a few times, and then is stuck in a step.
type hanging struct {
	answers int
	freed   chan struct{}
}

func (h *hanging) Status() conch.Status {
	if h.answers--; h.answers < 0 {
		<-h.freed
	}
	return conch.Status{Name: "a", Voter: true}
}

func (h *hanging) PeersChanged() <-chan struct{} { return nil }

// said counts what is said to a service manager, which is busy at first.
type said struct {
	net.Conn
	n    map[string]int
	busy int // for so many messages
}

func (s *said) Write(text []byte) (int, error) {
	if s.busy--; s.busy >= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	s.n[string(text)]++
	return len(text), nil
}
func (s *said) SetWriteDeadline(time.Time) error { return nil }

// A peer that hangs in a step is silent, so that the watchdog ends it.
func TestNotifyHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := &hanging{answers: 5, freed: make(chan struct{})}
		conn := &said{n: make(map[string]int)}
		n := &notifier{conn: conn, watchdog: 10 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { n.run(ctx, peer, "relay"); close(done) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := conn.n["WATCHDOG=1"]; got != 2 {
			t.Errorf("of a peer that hangs after 10 s, it was said %d times that it is alive", got)
		}
		if got := conn.n["READY=1\nSTATUS=peer a: 1 of 1 votes, 1 of 1 peers up"]; got != 1 || len(conn.n) != 2 {
			t.Errorf("it was said: %v", conn.n)
		}
		cancel()
		close(peer.freed)
		<-done
	})
}

// That the peer is ready is said until the manager has heard it, and then no more.
func TestNotifyBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &said{n: make(map[string]int), busy: 3}
		n := &notifier{conn: conn}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { n.run(ctx, &hanging{answers: 100}, "relay"); close(done) }()
		time.Sleep(time.Hour)
		cancel()
		<-done
		if got := conn.n["READY=1\nSTATUS=peer a: 1 of 1 votes, 1 of 1 peers up"]; got != 1 || len(conn.n) != 2 {
			t.Errorf("it was said: %v", conn.n)
		}
	})
}

// Who else reaches the socket is said by --socket-mode, whatever the umask.
func TestSocketMode(t *testing.T) {
	addrs, err := freeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		flag         string
		mode, folder os.FileMode
	}{{"0600", 0o600, 0o700}, {"0660", 0o660, 0o710}, {"0666", 0o666, 0o711}} {
		t.Run(tt.flag, func(t *testing.T) {
			t.Parallel()
			path, next := managerSocket(t)
			folder := filepath.Join(filepath.Dir(path), "run")
			p := exec.Command("sh", "-c", `umask 0077 && exec "$@"`, "sh",
				os.Args[0], "peer", "--name", "a", "--peer", "a="+addrs[i], "--log-level", "off", "--socket", filepath.Join(folder, "s"), "--socket-mode", tt.flag)
			p.Env, p.Stderr = append(os.Environ(), "NOTIFY_SOCKET="+path), os.Stderr
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Process.Kill(); p.Wait() })
			next() // it is ready
			for path, want := range map[string]os.FileMode{filepath.Join(folder, "s"): tt.mode, folder: tt.folder} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s is %v, %v; want %v", path, info, err, want)
				}
			}
		})
	}
	badUsage(t, []badUse{{"peer --name a --peer a=127.0.0.1:1 --socket-mode 0777", exitUsage, `--socket-mode: "0777": use 0600, 0660 or 0666`}})
}
