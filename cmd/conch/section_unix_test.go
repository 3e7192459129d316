//go:build unix

package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A peer that is interrupted inside its own section leaves it before it lets go
// of the lock. The shared file is a pipe here that takes the exit line late.
func TestInterruptedInside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"peer", "--name", "a", "--peer", "a=" + addrs[0], "--log-level", "off",
			"--enter-every", "1ms", "--critical-section", path}, strings.NewReader(""), io.Discard, io.Discard)
	}()
	next := func() string {
		f, err := os.Open(path) // waits for the writer, as the writer does for this
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		line, err := bufio.NewReader(f).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	if line := next(); !strings.HasPrefix(line, "enter a ") {
		t.Fatalf("got %q", line)
	}
	interrupt()
	select {
	case code := <-done:
		t.Fatalf("the peer is gone, exit %d, and its exit is not written", code)
	case <-time.After(100 * time.Millisecond): // long enough for one that does not wait
	}
	if line := next(); !strings.HasPrefix(line, "exit a ") {
		t.Errorf("got %q", line)
	}
	if code := <-done; code != exitOK {
		t.Errorf("exit %d", code)
	}
}
