//go:build unix

package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/client"
)

// A peer whose file descriptors are used up goes on, keeps what its programs hold, and
// takes new ones when there is room again.
func TestDescriptorsUsedUp(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	peer := exec.Command("sh", "-c", `ulimit -n 40 && exec "$@"`, "sh", os.Args[0], "peer", "--name", "a", "--peer", "a="+addrs[0], "--dir", dir, "--log-level", "off")
	out, err := peer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	complaints, err := peer.StderrPipe()
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
	go io.Copy(io.Discard, out)
	socket := filepath.Join(dir, "conch.sock")
	program, err := client.Dial(t.Context(), client.Config{Addr: "unix:" + socket, TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	hold, err := program.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range 100 { // more than it can take: the rest waits for it
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	if line, err := bufio.NewReader(complaints).ReadString('\n'); !strings.Contains(line, "too many open files") {
		t.Fatalf("the peer says %q: %v", line, err)
	}
	go io.Copy(io.Discard, complaints)
	for range 20 { // over connections that are there
		h, err := program.Mutex("y").Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Unlock(); err != nil {
			t.Error(err)
		}
	}
	for _, conn := range conns {
		conn.Close()
	}
	if r := startLock(t, "unix:"+socket, "y", "--", "true"); r.end() != 0 {
		t.Errorf("when there is room again: %s", r.err.String())
	}
	if err := hold.Unlock(); err != nil {
		t.Errorf("what was held before: %v", err)
	}
}
