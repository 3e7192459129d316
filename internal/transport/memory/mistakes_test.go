package memory_test

import (
	"flag"
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/overlay"
)

var seeded = flag.Bool("mistakes", false, "break the links on purpose, and see that the tests notice")

// mistakes are what could be wrong with peers that come and go.
var mistakes = []struct{ what, file, old, new string }{
	{"sessions of removed peers are forgotten", "members.go", "t.floor = max(t.floor, p.largestSession())", "_ = p.largestSession()"},
	{"with a new incarnation sessions begin at 1", "out.go", "max(p.floor, h.Floor)+1", "1"},
	{"sessions of earlier incarnations are forgotten", "members.go", "return max(p.largest, p.session)", "return p.session"},
	{"nobody says from where his sessions count", "handshake.go", "p.floor,\n", "0,\n"},
	{"any number is a session's", "out.go", "if h.Floor >= maxSession {", "if false {"},

	{"open and closed clusters mix", "handshake.go", "if h.Open != t.cfg.Open {", "if false {"},
	{"who has no vote is compared, too", "config.go", "if votes > 0 || !c.Open {", "if true {"},
	{"who has no vote is named for ever", "config.go", "if c.Open && votes == 0 && name != c.Self {", "if c.Open && votes < 0 {"},

	{"Remove does not wait for what is being told", "members.go", "\tp.end(fmt.Errorf(\"%s takes %s for gone\", t.cfg.Self, name)) // which it may read, if it is not\n\tif runs {\n\t\t<-p.done\n\t}\n",
		"\tgo p.end(fmt.Errorf(\"%s takes %s for gone\", t.cfg.Self, name))\n\t_ = runs\n"},
	{"what is sent to who is gone is kept", "members.go", "p.closed = true", "p.closed = false"},
	{"a removed peer is told to be down", "peer.go", "\tif p.gone {\n\t\treturn\n\t}\n", ""},
	{"a stream waits for who is gone", "in.go", "if p.gone { // since", "if false { // since"},
	{"a stream that waited when its peer was removed waits on", "members.go", "\t\tp.pending.cancel(why)\n", ""},
	{"Remove does not forget the address", "members.go", "\tdelete(t.addrs, name)\n", ""},
	{"voters may be removed", "members.go", "return t.cfg.Open && !always", "return t.cfg.Open && (!always || name != t.cfg.Self)"},

	{"who is not known yet is worth a warning", "transport.go", "if r.Cause == CauseUnknown {", "if false {"},
	{"a rumour breaks what is up", "members.go", "\tif p.up {\n\t\treturn\n\t}\n", ""},
	{"a new address waits for the end of the pause", "members.go", "\t\tp.out.cancel(errAgain)\n\t}\n\tp.arouse()\n", "\t\tp.out.cancel(errAgain)\n\t}\n"},
	{"who is nowhere is dialed", "out.go", "if p.t.where(p.name) == \"\" {", "if false {"},
	{"nobody rests", "out.go", "d = pauseRest", "_ = pauseRest"},
	{"a stream from it ends no rest", "in.go", "\tp.arouse()\n", "\tp.kick()\n"},
	{"a rest never ends", "members.go", "\tp.resting.Store(false)\n", ""},
}

// edit is one mistake in package link.
func edit(file, old, new string) []overlay.Edit {
	return []overlay.Edit{{File: "../link/" + file, Old: old, New: new}}
}

// TestMistakesApply sees that each mistake can still be made.
func TestMistakesApply(t *testing.T) {
	for _, m := range mistakes {
		if err := overlay.Check(edit(m.file, m.old, m.new)); err != nil {
			t.Errorf("%s: %v", m.what, err)
		}
	}
}

// TestMistakes makes every mistake and demands that a test catches it:
//
//	go test ./internal/transport/memory -run Mistakes -mistakes -v
func TestMistakes(t *testing.T) {
	if !*seeded {
		t.Skip("builds and runs the tests once for each mistake; with -mistakes")
	}
	for _, m := range mistakes {
		t.Run(m.what, func(t *testing.T) {
			out, passed := overlay.Test(t, edit(m.file, m.old, m.new), "-short", "-timeout", "1m", "-skip", "Mistakes", ".", "../link")
			if passed {
				t.Fatal("not caught")
			}
			if !strings.Contains(out, "--- FAIL: Test") && !strings.Contains(out, "panic: ") {
				t.Fatalf("this is no finding:\n%s", out)
			}
			caught := 0
			for line := range strings.Lines(out) {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "--- FAIL") || strings.HasPrefix(line, "panic: ") {
					if caught++; caught <= 4 {
						t.Log(line)
					}
				}
			}
		})
	}
}
