package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 1, time.UTC)

// sendEvent is the n-th message of a's first incarnation.
func sendEvent(n int) Event {
	at := algo.Time(n + 1)
	return Event{
		At: noon, Peer: "a", Incarnation: 1, Clock: at, Kind: Send, Lock: "demo", Reason: "it wants nothing",
		Message: &Message{
			ID: MessageID{"a", 1, uint64(n)}, Kind: "reply", From: "a", To: "b", Clock: at,
			Fields: []algo.Field{{Key: "request", Value: "4.c"}},
		},
	}
}

func startEvent(incarnation int) Event {
	return Event{At: noon, Peer: "a", Incarnation: algo.Incarnation(incarnation), Clock: 1, Kind: Start, Algorithm: "relay"}
}

func open(t testing.TB, path string, o Options) *Writer {
	t.Helper()
	w, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func record(r Recorder, events ...Event) {
	for i := range events {
		r.Record(&events[i])
	}
}

// readAll reads the trace in dir of peer a until its end or a problem.
func readAll(t testing.TB, dir string) ([]Event, error) {
	t.Helper()
	readers, problems, err := Dir(dir, false)
	if err != nil || len(problems) > 0 || len(readers) != 1 {
		t.Fatalf("Dir: %d readers, problems %v, error %v", len(readers), problems, err)
	}
	defer readers[0].Close()
	return drain(readers[0])
}

func drain(s Source) ([]Event, error) {
	var events []Event
	for {
		var l Line
		if err := s.Next(&l); err == io.EOF {
			return events, nil
		} else if err != nil {
			return events, err
		}
		events = append(events, l.Event)
	}
}

func TestFormat(t *testing.T) {
	e := sendEvent(42)
	e.Message.Upkeep = true
	e.Message.Fields = append(e.Message.Fields, algo.Field{Key: "to", Value: "a \"quoted\"\n\x01\xff é"})
	got := string(AppendEvent(nil, &e))
	want := `{"ts":"2026-11-23T12:00:00.000000001Z","peer":"a","incarnation":1,"clock":43,"event":"send","lock":"demo",` +
		`"reason":"it wants nothing","message":{"id":"a-1-42","kind":"reply","from":"a","to":"b","clock":43,"upkeep":true,` +
		`"request":"4.c","to_":"a \"quoted\"\n\u0001` + "\ufffd" + ` é"}}` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("this is no JSON")
	}
	var l Line
	if err := new(decoder).decode([]byte(strings.TrimSpace(got)), &l); err != nil {
		t.Fatal(err)
	}
	if again := AppendEvent(nil, &l.Event); string(again) != got {
		t.Errorf("read and written again: %s", again)
	}
}

func TestFormatOfLease(t *testing.T) {
	e := Event{At: noon, Peer: "a", Incarnation: 1, Clock: 3, Kind: Enter, Lock: "demo", Token: 7, Lease: time.Second, Reason: "a majority voted"}
	got := string(AppendEvent(nil, &e))
	want := `{"ts":"2026-11-23T12:00:00.000000001Z","peer":"a","incarnation":1,"clock":3,"event":"enter","lock":"demo","token":7,"lease":1000000000,"reason":"a majority voted"}` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	var l Line
	if err := new(decoder).decode([]byte(strings.TrimSpace(got)), &l); err != nil || l.Lease != time.Second {
		t.Errorf("read as %+v, %v", l.Event, err)
	}
}

func TestWriterRoundTrip(t *testing.T) {
	dir := t.TempDir()
	w := open(t, filepath.Join(dir, "a.ndjson"), Options{})
	events := []Event{startEvent(1), sendEvent(1), sendEvent(2)}
	record(w, events...)
	w.Flush()
	got, err := readAll(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(encode(got)) != fmt.Sprint(encode(events)) {
		t.Errorf("got %s", encode(got))
	}
}

func encode(events []Event) []byte {
	var b []byte
	for i := range events {
		b = AppendEvent(b, &events[i])
	}
	return b
}

func TestRecordDoesNotAllocate(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "a.ndjson"), Options{})
	e := sendEvent(1)
	extend := Event{At: noon, Peer: "a", Incarnation: 1, Clock: 2, Kind: Extend, Lock: "demo", Token: 7, Lease: time.Second}
	for range 100 {
		record(w, e, extend)
	}
	w.Flush()
	record(w, e, extend)
	w.Flush()
	if n := testing.AllocsPerRun(100, func() { w.Record(&e); w.Record(&extend); w.Flush() }); n > 0 {
		t.Errorf("%v allocations for two events", n)
	}
}

func TestConcurrentFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ndjson")
	w := open(t, path, Options{})
	var mu sync.Mutex // the peer's lock: it puts events in order
	n := 0
	record(w, startEvent(1))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				mu.Lock()
				n++
				e := sendEvent(n)
				id := e.Message.ID.String()
				w.Record(&e)
				mu.Unlock()
				w.Flush()
				if text, _ := os.ReadFile(path); !bytes.Contains(text, []byte(`"`+id+`"`)) {
					t.Errorf("message %s is not in the file after Flush", id)
				}
			}
		})
	}
	all.Wait()
	events, err := readAll(t, filepath.Dir(path))
	if err != nil || len(events) != 801 {
		t.Errorf("%d events, error %v", len(events), err)
	}
}

func TestRestartCutsTornLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	text := encode([]Event{startEvent(1), sendEvent(1)})
	if err := os.WriteFile(path, text[:len(text)-20], 0o644); err != nil {
		t.Fatal(err)
	}
	if events, err := readAll(t, dir); err != nil || len(events) != 1 {
		t.Errorf("with the torn line: %d events, %v", len(events), err)
	}
	w := open(t, path, Options{})
	record(w, startEvent(2))
	w.Flush()
	events, err := readAll(t, dir)
	if err != nil || len(events) != 3 {
		t.Fatalf("after the restart: %d events, %v", len(events), err)
	}
	if note := events[2]; note.Kind != Note || !strings.HasSuffix(note.Reason, "of a line that was not finished were cut off") {
		t.Errorf("there should be a note: %+v", note)
	}
}

func TestAppendCrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	text := encode([]Event{startEvent(3), {At: noon, Peer: "a", Incarnation: 3, Clock: 9, Kind: Request, Lock: "l"}, sendEvent(1)})
	if err := os.WriteFile(path, text[:len(text)-20], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := AppendCrash(path, noon, "killed by the demo"); err != nil {
		t.Fatal(err)
	}
	events, err := readAll(t, dir)
	if err != nil || len(events) != 3 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if err := AppendCrash(path, noon, "and again, before it could start"); err != nil {
		t.Fatal(err)
	}
	if again, err := readAll(t, dir); err != nil || len(again) != 3 {
		t.Errorf("%d events after a second kill, %v", len(again), err)
	}
	if c := events[2]; c.Kind != Crash || c.Incarnation != 3 || c.Clock != 9 {
		t.Errorf("got %+v", c)
	}
}

func TestOpenSaysHowToMend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "a.ndjson")
	_, err := Open(path, Options{})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "make the folder first") {
		t.Errorf("got %v", err)
	}
	if os.Geteuid() == 0 {
		return // may write everywhere
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err = Open(filepath.Join(dir, "a.ndjson"), Options{})
	if err == nil || !strings.Contains(err.Error(), "make the folder and the file writable") {
		t.Errorf("got %v", err)
	}
}

// TestFullDisk takes the file away from the writer, which is then as helpless
// as with a full disk, and gives it back.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	var said []error
	w := open(t, path, Options{Buffer: 2000, OnError: func(err error) { said = append(said, err) }})
	record(w, startEvent(1))
	w.Flush()
	file := w.file
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w.file = readOnly
	for n := 1; n <= 20; n++ {
		record(w, sendEvent(n))
		w.Flush()
	}
	if len(said) != 1 || w.Err() == nil || !errors.Is(w.Err(), said[0]) && w.Err().Error() != said[0].Error() {
		t.Errorf("told %v, Err %v", said, w.Err())
	}
	readOnly.Close()
	w.file = file
	record(w, sendEvent(21))
	w.Flush()
	record(w, sendEvent(22))
	w.Flush()
	if err := w.Err(); err != nil {
		t.Error(err)
	}
	events, err := readAll(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	kept, lost := 0, 0
	for _, e := range events {
		if e.Kind == Send {
			kept++
		}
		if e.LostEvents() {
			fmt.Sscan(e.Reason, &lost)
		}
	}
	if kept+lost != 22 || lost == 0 || kept < 4 {
		t.Errorf("%d messages kept, %d events lost, of 22:\n%s", kept, lost, encode(events))
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	w := open(t, path, Options{Cap: 8 * 1000})
	record(w, startEvent(1))
	for n := 1; n <= 200; n++ {
		record(w, sendEvent(n))
		w.Flush()
	}
	segments, err := Segments(path)
	if err != nil || len(segments) != segmentsKept {
		t.Fatalf("%d files, %v", len(segments), err)
	}
	var size int64
	for _, s := range segments {
		info, err := os.Stat(s.Path)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 8*1000+8*300 {
		t.Errorf("%d bytes are kept", size)
	}
	readers, _, err := Dir(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	var l Line
	if err := readers[0].Next(&l); err != nil || l.Gap != "its beginning was removed" {
		t.Errorf("first event: gap %q, error %v", l.Gap, err)
	}
	events, err := drain(readers[0])
	if err != nil || events[len(events)-1].Message.ID.Number != 200 {
		t.Errorf("%d events, error %v", len(events), err)
	}
}

func BenchmarkWriter(b *testing.B) {
	for _, batch := range []int{1, 16} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			w := open(b, filepath.Join(b.TempDir(), "a.ndjson"), Options{Cap: 1 << 28})
			e := sendEvent(1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.Record(&e)
				if i%batch == batch-1 {
					w.Flush()
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkReader(b *testing.B) {
	e := sendEvent(1)
	line := bytes.TrimSpace(AppendEvent(nil, &e))
	var d decoder
	var l Line
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if err := d.decode(line, &l); err != nil {
			b.Fatal(err)
		}
	}
}
