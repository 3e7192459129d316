//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const operationsPage = "../../docs/operations.md"

// Commands in docs/operations.md print what it says they do, with real peers.
func TestChaptersOperations(t *testing.T) {
	if testing.Short() {
		t.Skip("it crashes peers, and waits for leases")
	}
	text, err := os.ReadFile(operationsPage)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, name := range []string{"a", "b", "c"} {
			var pid int
			if text, err := os.ReadFile(filepath.Join(dir, name+".pid")); err != nil {
				t.Errorf("was peer %s started? %v", name, err)
			} else if _, err := fmt.Sscan(string(text), &pid); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		os.RemoveAll(dir)
	})
	addrs, err := freeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	cluster := fmt.Sprintf("ttl = \"1s\"\nlog-level = \"warn\"\n[peers]\na = %q\nb = %q\nc = %q\n", addrs[0], addrs[1], addrs[2])
	if err := os.WriteFile(filepath.Join(dir, "cluster.toml"), []byte(cluster), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "conch")); err != nil {
		t.Fatal(err)
	}
	shell := newShell(t, "PATH="+dir+":"+os.Getenv("PATH"))
	shell("cd " + dir)
	blocks := 0
	got := consoles.ReplaceAllStringFunc(string(text), func(block string) string {
		commands := consoles.FindStringSubmatch(block)[2]
		blocks++
		return strings.Replace(block, commands, runConsole(shell, commands), 1)
	})
	if blocks != 4 {
		t.Errorf("%s has %d consoles", operationsPage, blocks)
	}
	keep(t, operationsPage, got)
}
