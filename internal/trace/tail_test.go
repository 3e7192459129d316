package trace

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// notes are lines of a peer's trace: a start, and notes with numbers.
func notes(from, to int) []byte {
	var b []byte
	for i := from; i < to; i++ {
		e := Event{At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Peer: "a", Incarnation: 1, Clock: 1, Kind: Note, Reason: fmt.Sprintf("note %04d", i)}
		if i == 0 {
			e.Kind, e.Reason = Start, ""
		}
		b = AppendEvent(b, &e)
	}
	return b
}

// TestTail has a trace grow, be put aside, and lose its oldest file. Each
// reading has the last events, in order, with the lines on which they stand,
// and not much more than it should.
func TestTail(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	const most = 4000
	tail := NewTail(dir, most)
	line := len(notes(1, 2))
	whole := map[string][]byte{} // by file
	lines := 0
	write := func(n int) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		text := notes(lines, lines+n)
		whole[path] = append(whole[path], text...)
		lines += n
		if _, err := file.Write(text); err != nil || file.Close() != nil {
			t.Fatal(err)
		}
	}
	for step := range 40 {
		write(7)
		if step%9 == 8 {
			aside := fmt.Sprintf("%s.%d", path, step)
			if err := os.Rename(path, aside); err != nil {
				t.Fatal(err)
			}
			whole[aside], whole[path] = whole[path], nil
			write(1)
		}
		if changed, err := tail.Look(); !changed || err != nil {
			t.Fatalf("step %d: changed %t, %v", step, changed, err)
		}
		if changed, err := tail.Look(); changed || err != nil {
			t.Fatalf("step %d: changed %t again, %v", step, changed, err)
		}
		var got []string
		ok, err := tail.Read(func(m *Merger) {
			for e := range m.Events() {
				text := bytes.Split(whole[e.Pos.File], []byte("\n"))[e.Pos.Line-1]
				if !bytes.Contains(text, []byte(e.Reason)) {
					t.Fatalf("step %d: %s at %s, where there is %s", step, e.Reason, e.Pos, text)
				}
				got = append(got, e.Reason)
			}
			for _, p := range m.Problems() {
				if p.Disorder {
					t.Errorf("step %d: %v", step, p)
				}
			}
		})
		if !ok || err != nil {
			t.Fatalf("step %d: %t, %v", step, ok, err)
		}
		last := fmt.Sprintf("note %04d", lines-1)
		least, largest := min(lines-1, most/line-1), 2*most/line+8
		if len(got) < least || len(got) > largest || got[len(got)-1] != last || !slices.IsSorted(got) {
			t.Fatalf("step %d: %d of %d events, from %s to %s", step, len(got), lines, got[0], got[len(got)-1])
		}
	}
}

// TestTailOfMoving says so if a file is put aside while it is read.
func TestTailOfMoving(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	tail := NewTail(dir, 1000)
	if ok, err := tail.Read(func(m *Merger) {
		for range m.Events() {
			t.Error("an event of nobody")
		}
	}); !ok || err != nil {
		t.Errorf("nothing is there: %t, %v", ok, err)
	}
	if err := os.WriteFile(path, notes(0, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	ok, err := tail.Read(func(*Merger) {
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
	})
	if ok || err != nil {
		t.Errorf("put aside: %t, %v", ok, err)
	}
	if _, err := NewTail(filepath.Join(dir, "nowhere"), 1000).Look(); err == nil {
		t.Error("no error about a folder that is not there")
	}
}
