package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/internal/local"
)

// startFound starts peers that find each other, 3 of which vote.
func startFound(t *testing.T) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o := &demoOptions{peers: 3, algorithm: "relay", discovery: "serf", seed: 1, ttl: time.Second, dir: dir}
	c, err := startCluster(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *cluster) addr(name string) string {
	return local.UnixPrefix + filepath.Join(c.o.dir, "state", name, local.SocketName)
}

// conch peers tells who is there, and tells it again when that changes.
func TestPeers(t *testing.T) {
	t.Parallel()
	c := startFound(t)
	all := regexp.MustCompile(`(?s)a +up +\S+ +voter +\d+ +127\S+ +- +this peer, found at 127\S+.*b +up .*c +up `)
	var out string
	wait(t, "all peers to be up", func() bool {
		_, out, _ = runConch(t, "peers", "--addr", c.addr("a"))
		return all.MatchString(out)
	})

	watch := exec.Command(os.Args[0], "peers", "--watch", "--json", "--addr", c.addr("a"))
	pipe, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	next := func() (roll struct {
		Others []struct {
			Name, Reason, Suspected string
			Up, Voter               bool
		}
	}) {
		if !lines.Scan() {
			t.Fatal("conch peers --watch has ended")
		}
		if err := json.Unmarshal(lines.Bytes(), &roll); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		return roll
	}
	if roll := next(); len(roll.Others) != 2 || !roll.Others[0].Up || !roll.Others[1].Voter {
		t.Errorf("at first: %+v", roll)
	}
	c.peers[1].expected.Store(true)
	c.peers[1].cmd.Process.Kill()
	for roll := next(); roll.Others[0].Up || roll.Others[0].Suspected == ""; roll = next() {
	}
	if code, out, _ := runConch(t, "peers", "--addr", c.addr("a")); code != exitOK || !regexp.MustCompile(`b +down .*suspected: failed`).MatchString(out) {
		t.Errorf("exit %d:\n%s", code, out)
	}
	watch.Process.Signal(os.Interrupt)
	io.Copy(io.Discard, pipe)
	if err := watch.Wait(); err != nil {
		t.Errorf("interrupted, it ends with %v", err)
	}
}

// Who asks for a peer that is not there is told what to do.
func TestNoPeer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		addr string
		code int
		want string
	}{
		{"unix:/nowhere", exitNoPeer, "no peer answers at unix:/nowhere: start one with conch peer, or name the socket of one: of a peer with --dir DIR it is unix:DIR/conch.sock (--addr, $CONCH_ADDR)"},
		{local.UnixPrefix + file, exitNoPeer, "start one with conch peer"},
		{"127.0.0.1:1", exitNoPeer, "no peer answers at 127.0.0.1:1"},
		{"here", exitUsage, "write HOST:PORT, or unix:PATH"},
		{"unix:", exitUsage, "write unix:PATH"},
	} {
		if code, _, stderr := runConch(t, "peers", "--addr", tt.addr); code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: exit %d, %s", tt.addr, code, stderr)
		}
	}
	t.Setenv("CONCH_ADDR", "unix:/elsewhere")
	if code, _, stderr := runConch(t, "peers", "--watch"); code != exitNoPeer || !strings.Contains(stderr, "unix:/elsewhere") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// A second peer at one socket says so, and does without if nobody has chosen it.
func TestTakenSocket(t *testing.T) {
	t.Parallel()
	c := startFound(t)
	socket := strings.TrimPrefix(c.addr("a"), local.UnixPrefix)
	wait(t, "a to serve", func() bool { _, err := os.Stat(socket); return err == nil })
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	code, _, stderr := runConch(t, "peer", "--name", "x", "--peer", "x="+addrs[0], "--socket", socket, "--log-level", "off")
	if code != exitFalse || !strings.Contains(stderr, "--socket: socket "+socket+": another process serves there") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	c.peers[0].expected.Store(true)
	c.peers[0].cmd.Process.Kill() // its socket stays
	<-c.peers[0].done
	if err := c.start(c.peers[0], 0); err != nil {
		t.Fatal(err)
	}
	wait(t, "a to serve again", func() bool { code, _, _ := runConch(t, "peers", "--addr", c.addr("a")); return code == exitOK })
}
