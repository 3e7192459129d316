package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo/roster"
)

// A peer that is killed with -9 stops the others, who say for whom they wait (or
// they do without it, where a token goes only to who has called it); check says
// honestly what can be told of what remains; and when the peer is started again,
// all go on, and the whole run is sound.
func TestKilledPeer(t *testing.T) {
	for _, algorithm := range demoed() {
		if roster.Leases(algorithm) {
			continue // nobody waits for long
		}
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			o := &demoOptions{peers: 3, entries: 1000, algorithm: algorithm, discovery: "file", seed: 3, dir: t.TempDir()}
			c, err := startCluster(o)
			if err != nil {
				t.Fatal(err)
			}
			wait(t, "some entries", func() bool { return len(c.entries(t, "b")) >= 3 })

			b := c.peers[1]
			b.cmd.Process.Kill() // by somebody who says nothing about it
			<-b.done
			<-c.ended
			before, beforeA := len(c.entries(t, "b")), len(c.entries(t, "a"))
			waiting := regexp.MustCompile(`has waited for [0-9.]+s \(waits for .*b, which is down`)
			wait(t, "somebody to say that it waits for b", func() bool {
				withoutB := goesWhereCalled(algorithm) && len(c.entries(t, "a")) > beforeA+9 // b has not called the token
				return withoutB || waiting.Match(c.read(t, "a.log")) || waiting.Match(c.read(t, "c.log"))
			})
			if code, stdout, stderr := runConch(t, "check", o.dir); code == exitFalse || !strings.Contains(stdout, "b") {
				t.Errorf("check of what remains: exit %d\n%s%s", code, stdout, stderr)
			}

			if err := c.start(b, o.entries); err != nil {
				t.Fatal(err)
			}
			wait(t, "b to enter again", func() bool { return len(c.entries(t, "b")) >= before+3 })
			if err := c.stop(); err != nil {
				t.Error(err)
			}
			if code, stdout, stderr := runConch(t, "check", o.dir); code != exitOK {
				t.Errorf("check after the restart: exit %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// goesWhereCalled says that the algorithm's token passes nobody by chance who
// wants nothing: the others may do for long without such a peer.
func goesWhereCalled(algorithm string) bool {
	switch algorithm {
	case "suzuki-kasami", "raymond", "naimi-trehel":
		return true
	}
	return false
}

// entries returns the lines that say that a peer has entered.
func (c *cluster) entries(t *testing.T, name string) [][]byte {
	return regexp.MustCompile(`(?m)^enter `+name+` `).FindAll(c.read(t, "critical-section.txt"), -1)
}

func (c *cluster) read(t *testing.T, file string) []byte {
	text, err := os.ReadFile(filepath.Join(c.o.dir, file))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return text
}

// wait waits until a condition on other processes holds.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !holds() {
		if !pause(ctx, 10*time.Millisecond) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Started twice: the second process is told so, by its directory or its port,
// and the first goes on.
func TestStartedTwice(t *testing.T) {
	o := &demoOptions{peers: 1, entries: 1, algorithm: "ricart-agrawala", discovery: "file", dir: t.TempDir()}
	c, err := startCluster(o)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the entry", func() bool { return len(c.entries(t, "a")) == 1 })
	peersFile := filepath.Join(o.dir, "peers.txt")
	code, _, stderr := runConch(t, "peer", "--name", "a", "--peers-file", peersFile, "--dir", filepath.Join(o.dir, "state", "a"))
	if code != exitFalse || !strings.Contains(stderr, "in use by another process") {
		t.Errorf("with the same directory: exit %d, %s", code, stderr)
	}
	code, _, stderr = runConch(t, "peer", "--name", "a", "--peers-file", peersFile)
	if code != exitFalse || !strings.Contains(stderr, "address already in use") {
		t.Errorf("with the same port: exit %d, %s", code, stderr)
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}

// Typed commands, one peer: what a person sees.
func TestConsole(t *testing.T) {
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	out := &screen{}
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"peer", "--name", "a", "--peer", "a=" + addrs[0], "--log-level", "off"}, in, out, out)
	}()
	for _, step := range []struct{ line, answer string }{
		{"help", "unlock NAME"},
		{"status", "no lock is held or wanted here"},
		{"lock", "lock what? Write lock NAME"},
		{"fly", `unknown command "fly"`},
		{"unlock x", "x: you neither hold it nor wait for it"},
		{"lock x", "x: entered after"},
		{"lock x", "x: you hold it or wait for it already"},
		{"status", "x: held for"},
		{"unlock x", "x: left"},
		{"lock x y", "x y: entered after"},
	} {
		fmt.Fprintln(typed, step.line)
		wait(t, fmt.Sprintf("%q after %q; the screen shows\n%s", step.answer, step.line, out), func() bool {
			return strings.Contains(out.String(), step.answer)
		})
	}
	typed.Close() // ends nothing
	interrupt()
	if code := <-done; code != exitOK {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// screen is what a person sees.
type screen struct{ lines }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		s.w = &bytes.Buffer{}
	}
	return s.w.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		return ""
	}
	return s.w.(*bytes.Buffer).String()
}
