//go:build unix

package fence

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// childEnv names the directory in which a child process is to write. The test
// binary starts itself.
const childEnv = "CONCH_FENCE_CHILD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := writeUntilKilled(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// text is what WriteFile writes with a token: long enough that a write of it in
// place would be caught half done.
func text(token Token) string { return strings.Repeat(token.String()+"\n", 5000) }

// writeUntilKilled writes for ever, with tokens around the highest one. It appends
// each token to a log under the fence, and replaces a file; it tells its parent by
// a line.
func writeUntilKilled(dir string) error {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	logged, err := OpenFile(log.Name())
	if err != nil {
		return err
	}
	whole, err := OpenFile(filepath.Join(dir, "whole"))
	if err != nil {
		return err
	}
	for {
		highest, err := logged.Highest("a")
		if err != nil {
			return err
		}
		token := Token(max(1, int(highest)+3-rand.IntN(6)))
		err = logged.Do(context.Background(), "a", token, func() error {
			_, err := fmt.Fprintln(log, token)
			return err
		})
		if err == nil {
			err = whole.WriteFile(context.Background(), "a", token, []byte(text(token)), 0o600)
		}
		if err != nil && !errors.Is(err, ErrStale) {
			return err
		}
		if _, err := fmt.Println(); err != nil {
			return err // the parent is gone
		}
	}
}

// child is a process that writes.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	log   *strings.Builder
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), log: new(strings.Builder)}
	c.cmd.Env = append(os.Environ(), childEnv+"="+dir)
	c.cmd.Stderr = c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// kill ends the process after some more writes, in the middle of another.
func (c *child) kill(t *testing.T, after int) {
	t.Helper()
	for range after {
		if !c.lines.Scan() {
			break
		}
	}
	c.cmd.Process.Kill()
	c.cmd.Wait()
	if c.log.Len() > 0 {
		t.Error(c.log)
	}
}

// Two processes write at once. Again and again one of them is killed at whatever
// it does. What was written is in the order of tokens, no token that was written
// is forgotten, and the file that is replaced is always whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	log, whole := open(t, filepath.Join(dir, "log")), open(t, filepath.Join(dir, "whole"))
	rng := rand.New(rand.NewPCG(1, 1))
	writers := [2]*child{startChild(t, dir), startChild(t, dir)}
	kills := 60
	if testing.Short() {
		kills = 12
	}
	last, written := Token(0), 0
	for i := range kills {
		writers[i%2].kill(t, 1+rng.IntN(5))
		tokens, highest := readLog(t, log)
		for _, token := range tokens[written:] {
			if token < last {
				t.Fatalf("token %d was written after %d", token, last)
			}
			last = token
		}
		if written = len(tokens); highest < last {
			t.Fatalf("%d was written, and %d is the highest", last, highest)
		}
		checkWhole(t, whole)
		writers[i%2] = startChild(t, dir)
	}
	for _, w := range writers {
		w.kill(t, 1)
	}
	t.Logf("%d processes were killed while they wrote %d times, with tokens up to %d", kills, written, last)
}

// readLog returns the tokens that were written, and then the highest: it can only
// have become higher since.
func readLog(t *testing.T, f *File) (tokens []Token, highest Token) {
	t.Helper()
	text, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		n, err := strconv.ParseUint(strings.TrimSuffix(line, "\n"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, Token(n))
	}
	if highest, err = f.Highest("a"); err != nil {
		t.Fatal(err)
	}
	return tokens, highest
}

func checkWhole(t *testing.T, f *File) {
	t.Helper()
	got, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(got), "\n")
	token, err := ParseToken(first)
	if err != nil || string(got) != text(token) {
		t.Fatalf("a file of %d bytes that begins with token %q is not whole", len(got), first)
	}
	if highest, err := f.Highest("a"); err != nil || highest < token {
		t.Fatalf("the file has token %d, and %d is the highest (%v)", token, highest, err)
	}
}
