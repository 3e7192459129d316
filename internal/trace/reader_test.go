package trace

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	startLine = `{"ts":"2026-11-23T12:00:00Z","peer":"a","incarnation":1,"clock":1,"event":"start"}` + "\n"
	sendLine  = `{"ts":"2026-11-23T12:00:00Z","peer":"a","incarnation":1,"clock":2,"event":"send","lock":"l","message":{"id":"a-1-1","kind":"k","from":"a","to":"b","clock":2}}` + "\n"
	enterLine = `{"ts":"2026-11-23T12:00:00Z","peer":"a","incarnation":1,"clock":2,"event":"enter","lock":"l","token":7,"lease":5}` + "\n"
	stopLine  = `{"ts":"2026-11-23T12:00:00Z","peer":"a","incarnation":1,"clock":3,"event":"stop"}` + "\n"
	nextLine  = `{"ts":"2026-11-23T12:00:00Z","peer":"a","incarnation":2,"clock":3,"event":"start"}` + "\n"
)

func TestReaderRefuses(t *testing.T) {
	edit := func(line string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(line) }
	for _, c := range []struct{ text, want string }{
		{startLine + "garbage\n", `a.ndjson:2: there should be a { here: "garbage"`},
		{startLine + "\n" + stopLine, `a.ndjson:2: the line is not finished`},
		{startLine + sendLine[:50] + "\n" + stopLine, `a.ndjson:2: the line is not finished`},
		{startLine + sendLine[:50] + "\n", `a.ndjson:2: the line is not finished`},
		{startLine + stopLine + sendLine[:50], `a.ndjson:3: the line is not finished`},
		{startLine + "{}\n", `a.ndjson:2: ts is missing`},
		{startLine + edit(sendLine, "}}", "}} x"), `a.ndjson:2: something follows the object: "x"`},
		{startLine + edit(sendLine, `"event":"send"`, `"event":"sent"`), `a.ndjson:2: event: "sent" is unknown`},
		{startLine + edit(sendLine, `"lock"`, `"lick"`), `a.ndjson:2: field "lick" is unknown`},
		{startLine + edit(sendLine, `"lock":"l"`, `"lock":"l","lock":"m"`), `a.ndjson:2: lock is there twice`},
		{startLine + edit(sendLine, `"clock":2,"event"`, `"clock":9007199254740992,"event"`), `a.ndjson:2: clock: 9007199254740992 is above 2^53-1`},
		{startLine + edit(sendLine, `"clock":2,"event"`, `"clock":-2,"event"`), `a.ndjson:2: clock: there should be a whole number here`},
		{startLine + edit(sendLine, `"clock":2,"event"`, `"clock":02,"event"`), `a.ndjson:2: clock: a number begins with 0`},
		{startLine + edit(sendLine, `"clock":2,"event"`, `"clock":2.5,"event"`), `a.ndjson:2: there should be a , here: ".5`},
		{startLine + edit(sendLine, "12:00:00Z", "12:00:00+01:00"), `is no time like`},
		{startLine + edit(sendLine, `"a-1-1"`, `"a-1"`), `"a-1" is not like a-1-42`},
		{startLine + edit(sendLine, `"a-1-1"`, `"a-1-01"`), `"a-1-01" is not like a-1-42`},
		{startLine + edit(sendLine, `"kind":"k"`, `"kind":"\ud8"`), `a.ndjson:2: message: kind:`},
		{startLine + edit(sendLine, `"kind":"k"`, "\"kind\":\"\xff\""), `is no UTF-8`},
		{startLine + edit(sendLine, `"to":"b"`, `"to":"a"`), `goes from a to itself`},
		{startLine + edit(sendLine, `"clock":2}`, `"clock":3}`), `says clock 3, and is sent at 2`},
		{startLine + edit(sendLine, `"event":"send"`, `"event":"enter"`), `enter without a token`},
		{startLine + edit(enterLine, `"event":"enter"`, `"event":"exit"`), `exit with a lease`},
		{startLine + edit(stopLine, `"event":"stop"`, `"event":"stop","algorithm":"relay"`), `stop with an algorithm`},
		{startLine + edit(enterLine, `"event":"enter"`, `"event":"extend"`, `,"lease":5`, ``), `extend without a lease`},
		{startLine + edit(enterLine, `"event":"enter"`, `"event":"extend"`, `"token":7,`, ``), `extend without a token`},
		{startLine + edit(enterLine, `"lock":"l",`, ``), `enter without a lock`},
		{startLine + edit(enterLine, `"lease":5`, `"lease":-5`), `lease: there should be a whole number here`},
		{startLine + edit(stopLine, `"peer":"a"`, `"peer":"b"`), `a.ndjson:2: an event of peer b in the trace of a`},
		{startLine + sendLine + sendLine, `a.ndjson:3: the line is there twice`},
		{startLine + edit(sendLine, "a-1-1", "a-1-3"), ``},
		{startLine + sendLine + edit(startLine, "start", "note"), `a.ndjson:3: the clock goes back from 2 to 1`},
		{startLine + edit(sendLine, "a-1-1", "a-1-2"), `message a-1-2 is sent after number 0`},
		{startLine + stopLine + edit(sendLine, `"clock":2`, `"clock":4`), `a.ndjson:3: send after the end of incarnation 1`},
		{startLine + stopLine + startLine, `a.ndjson:3: incarnation 1 starts after incarnation 1`},
		{startLine + edit(stopLine, `"incarnation":1`, `"incarnation":2`), `an event of incarnation 2, which has not started`},
		{startLine + `{"ts":"` + strings.Repeat("9", lineMax) + `"}` + "\n", `a.ndjson:2: the line has more than 1048576 bytes`},
	} {
		_, err := drain(NewReader("a", strings.NewReader(c.text), false))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestReaderTakes(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"", 0},
		{startLine[:20], 0},
		{startLine + enterLine + strings.Replace(enterLine, "enter", "extend", 1), 3},
		{startLine + sendLine + stopLine + nextLine, 4},
		{startLine + sendLine[:50], 1},
		{startLine + sendLine[:len(sendLine)-1], 1},
		{startLine + sendLine[:50] + "\n" + nextLine, 2},
		{strings.ReplaceAll(startLine, ",", " , "), 1},
		{strings.ReplaceAll(startLine, "\n", "\r\n"), 1},
	} {
		events, err := drain(NewReader("a", strings.NewReader(c.text), false))
		if err != nil || len(events) != c.want {
			t.Errorf("%s\n got %d events, %v", c.text, len(events), err)
		}
	}
}

// FuzzReader holds the decoder against encoding/json: a line that it takes is
// JSON with the same content, and comes out the same when written and read
// again.
func FuzzReader(f *testing.F) {
	f.Add([]byte(startLine + sendLine))
	f.Add([]byte(enterLine))
	f.Add([]byte(startLine + strings.ReplaceAll(sendLine, `"l"`, `"\u00e9\ud83d\ude00"`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		drain(NewReader("a", bytes.NewReader(text), false))
		line, _, _ := bytes.Cut(text, []byte("\n"))
		var l, again Line
		if new(decoder).decode(line, &l) != nil {
			return
		}
		var plain struct {
			Peer, Event, Lock, Reason string
			Clock, Lease              uint64
		}
		if err := json.Unmarshal(line, &plain); err != nil {
			t.Fatalf("taken, but no JSON: %v", err)
		}
		if !bytes.ContainsAny(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZſK\\") && (plain.Peer != string(l.Peer) || plain.Event != string(l.Kind) || plain.Lock != l.Lock || plain.Reason != l.Reason || plain.Clock != uint64(l.Clock) || plain.Lease != uint64(l.Lease)) {
			t.Fatalf("read as %+v, JSON says %+v", l.Event, plain)
		}
		written := AppendEvent(nil, &l.Event)
		if err := new(decoder).decode(bytes.TrimSpace(written), &again); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if w := AppendEvent(nil, &again.Event); !bytes.Equal(w, written) {
			t.Fatalf("%s becomes %s", written, w)
		}
	})
}

// TestReaderOfNoFile has traces that are there and cannot be read: nobody may
// take such a peer for one to which nothing happened, and nothing may hang.
func TestReaderOfNoFile(t *testing.T) {
	for target, want := range map[string]string{
		"nowhere":  "no such file or directory",
		os.DevNull: "it is no regular file",
	} {
		dir := t.TempDir()
		if err := os.Symlink(target, filepath.Join(dir, "a"+Suffix)); err != nil {
			t.Skip(err)
		}
		readers, _, err := Dir(dir, false)
		if err != nil || len(readers) != 1 {
			t.Fatalf("%s: %d readers, %v", target, len(readers), err)
		}
		if _, err := drain(readers[0]); err == nil || !strings.Contains(err.Error(), "a"+Suffix+": "+want) {
			t.Errorf("%s: %v, want %s", target, err, want)
		}
	}
}
