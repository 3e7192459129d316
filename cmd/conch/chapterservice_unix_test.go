//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const servicePage = "../../docs/service.md"

var (
	consoles = regexp.MustCompile("(?s)<!-- run( grpcurl)? -->\n```console\n(.*?)```\n")
	// varying is what is new in each run: names of sessions, tokens, times, how long
	// something has lasted or will.
	varying = regexp.MustCompile(`"session": ?"[A-Z2-7]{26}"|"token": ?"[0-9]+"|"length": ?"[0-9.]+s"|"(?:at|since|deadline)": ?"[^"]+"|\b[0-9]{16}\b|\b[0-9.]+m?s\b`)
)

func masked(text string) string {
	return varying.ReplaceAllStringFunc(text, func(s string) string { return s[:strings.LastIndex(strings.TrimSuffix(s, `"`), `"`)+1] })
}

// runConsole runs the commands of a console, in one shell with those before, and
// returns them with what they print.
func runConsole(shell func(string) string, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			out.WriteString(line + steady(shell(command)))
		}
	}
	return out.String()
}

// steady takes out what differs from build to build: protobuf does not want its JSON
// and its errors to be compared, and puts blanks where it likes.
func steady(printed string) string {
	var out strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(printed, "\u00a0", " ")) {
		var compact bytes.Buffer
		if strings.HasPrefix(line, "{") && json.Compact(&compact, []byte(line)) == nil {
			line = strings.TrimSuffix(compact.String(), "\n") + "\n"
		}
		out.WriteString(line)
	}
	return out.String()
}

// newShell starts a shell, and returns what runs one command in it.
func newShell(t *testing.T, env ...string) func(command string) string {
	t.Helper()
	const mark = "-- that was all --"
	cmd := exec.Command("sh")
	cmd.Env = append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	out := bufio.NewReader(pipe)
	return func(command string) string {
		fmt.Fprintf(in, "%s\necho '%s'\n", command, mark)
		var printed strings.Builder
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: the shell ends: %v", command, err)
			}
			if line == mark+"\n" {
				return printed.String()
			}
			printed.WriteString(line)
		}
	}
}

// Commands in docs/service.md print what it says they do.
func TestChaptersService(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl to try the calls with")
	}
	_, addr := alone(t)
	dir := t.TempDir()
	if !testing.Short() {
		build := exec.Command("go", "build", "-modfile=../../tools/go.mod", "-o", filepath.Join(dir, "grpcurl"), "github.com/fullstorydev/grpcurl/cmd/grpcurl")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("grpcurl: %v\n%s", err, out)
		}
	}
	shell := newShell(t, "SOCKET="+strings.TrimPrefix(addr, "unix:"), "PATH="+dir+":"+os.Getenv("PATH"))
	keepConsoles(t, servicePage, 5, shell)
}

// keepConsoles runs the consoles of a page, and wants what they print to be there.
func keepConsoles(t *testing.T, page string, least int, shell func(string) string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	got := consoles.ReplaceAllStringFunc(string(text), func(block string) string {
		parts := consoles.FindStringSubmatch(block)
		blocks++
		if parts[1] != "" && testing.Short() {
			return block
		}
		printed := runConsole(shell, parts[2])
		if masked(printed) == masked(parts[2]) {
			return block
		}
		return strings.Replace(block, parts[2], printed, 1)
	})
	if blocks < least {
		t.Errorf("%s has %d consoles", page, blocks)
	}
	keep(t, page, got)
}

// Commands in docs/seeing.md, too.
func TestChaptersSeeing(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds; leave out -short")
	}
	t.Parallel()
	c := startFound(t)
	wait(t, "locks to be had", func() bool {
		code, _, _ := runConch(t, "status", "--addr", c.addr("a"))
		return code == exitOK
	})
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "conch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	shell := newShell(t, "PATH="+dir+":"+os.Getenv("PATH"), "CONCH_ADDR="+c.addr("b"), "A="+c.addr("a"))
	keepConsoles(t, "../../docs/seeing.md", 4, shell)
	shell("wait 2>/dev/null")
}
