package node_test

import (
	"flag"
	"testing"

	"github.com/conchlock/conch/internal/overlay"
)

var seeded = flag.Bool("mistakes", false, "break the package on purpose, and see that its tests notice")

// mistakes are rules of steering, each broken on purpose, and the tests that must notice.
var mistakes = []struct{ what, tests, file, old, new string }{
	{"a hold that was ended is left at once", "ForcedHold", "steer.go", "h.alarm = h.deadline\n", "h.alarm = now\n"},
	{"a hold that was ended is renewed", "ForcedHold", "guard.go", "	if h.cause != nil {\n		return false\n	}\n	h.deadline", "	h.deadline"},
	{"nothing ends it when its lease does", "ForcedHold", "steer.go", "h.alarm = h.deadline\n", "h.alarm = algo.Never\n"},
	{"its caller is not told", "ForcedHold", "steer.go", "	h.finish(cause)\n	if", "	if"},
	{"any hold of the lock is meant", "SteerMeans", "steer.go", " || l.hold.token != w.Token", ""},
	{"nobody hears that it was asked", "Changed", "steer.go", "	n.stir(name)\n", ""},
	{"nobody hears that another one waits", "Changed", "locks.go", "	} else {\n		n.stir(l.name)\n	}\n", "	}\n"},
	{"nobody hears that somebody gives up", "Changed", "locks.go", "	n.stir(l.name)\n	if i == 0", "	if i == 0"},
	{"nobody hears of steps", "Changed", "step.go", "	n.stir(in.Lock)\n", ""},
}

// TestMistakes makes every mistake and demands that a test notices:
//
//	go test ./internal/node -run Mistakes -mistakes -v
func TestMistakes(t *testing.T) {
	for _, m := range mistakes {
		edits := []overlay.Edit{{File: m.file, Old: m.old, New: m.new}}
		if err := overlay.Check(edits); err != nil {
			t.Error(err)
			continue
		}
		if !*seeded {
			continue
		}
		t.Run(m.what, func(t *testing.T) {
			if out, passed := overlay.Test(t, edits, "-timeout", "5s", "-failfast", "-run", m.tests, "."); passed {
				t.Fatalf("not caught:\n%s", out)
			}
		})
	}
}
