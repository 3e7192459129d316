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
	// varying is what is new in each run: names of sessions, tokens, how long leases
	// last.
	varying = regexp.MustCompile(`"session": ?"[A-Z2-7]{26}"|"token": ?"[0-9]+"|"length": ?"[0-9.]+s"`)
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
	text, err := os.ReadFile(servicePage)
	if err != nil {
		t.Fatal(err)
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
	if blocks < 5 {
		t.Errorf("%s has %d consoles", servicePage, blocks)
	}
	keep(t, servicePage, got)
}
