package command

import (
	"flag"
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/overlay"
)

var seeded = flag.Bool("mistakes", false, "break the package on purpose, and see that its tests notice")

// mistakes are rules of this package, each broken on purpose, and the tests that
// must notice.
var mistakes = []struct{ what, tests, file, old, new string }{
	{"SIGTERM is all", "LeaseEnds", "end_unix.go", "if r.forfeited || o == kill {", "if r.forfeited {"},
	{"SIGKILL comes when the lease ends", "LeaseEnds", "watch.go", "last := deadline.Add(-w.margin())", "last := deadline"},
	{"only the command is ended, not its group", "HoldEnds|LeftBehind|Signals", "run_unix.go", "unix.Kill(-r.group, sig)", "unix.Kill(r.group, sig)"},
	{"orphans are not adopted", "Daemons|LeftBehind", "tree_linux.go", "unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == nil", "true"},
	{"who left the group is not killed", "Daemons|LeftBehind", "end_unix.go", "unix.Kill(pid, unix.SIGKILL)", "_ = pid"},
	{"a renewal comes too late after SIGTERM", "Watch", "watch.go", "!ended && (!leased || now.Before(begin))", "w.asked.IsZero() && !ended && (!leased || now.Before(begin))"},
	{"a stopped command goes on whatever has become of the hold", "StoppedTooLong", "job_unix.go", "	if !r.lasts() {\n		r.forfeited", "	if false {\n		r.forfeited"},
	{"who left the group goes on while we are stopped", "StoppedTooLong", "job_unix.go", "if !r.freeze() {", "if r.send(unix.SIGSTOP); false {"},
	{"we do not stop with the command", "StopTyped", "job_unix.go", "	stopSelf()\n", ""},
	{"a job in the background never gets the terminal", "StopTyped", "job_unix.go", "case asksTerminal && r.tty.foreground():", "case false:"},
	{"the terminal is the command's whoever else needs it", "Script", "terminal_unix.go", "os.Getpid() != t.group", "os.Getpid() == 0"},
	{"the terminal is not taken back", "LeftBehind", "terminal_unix.go", "		unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, t.group)\n", ""},
	{"the modes of the terminal stay as they are", "TerminalModes", "run_unix.go", "		r.tty.restore()\n", ""},
	{"the outer environment wins", "Environment", "run_unix.go", "environment(os.Environ(), env)", "append(env, os.Environ()...)"},
	{"a command outlives us", "Killed", "tree_linux.go", "Pdeathsig: unix.SIGKILL", "Pdeathsig: 0"},
	{"what was there before is the command's", "Strangers", "tree_linux.go", "			t.strangers[p.pid] = true\n", ""},
	{"nobody waits for what is left behind", "LeftBehind", "run_unix.go", "if r.exited && r.empty(none) {", "if r.exited && (none || true) {"},
	{"nohup is undone", "Ignored", "job_unix.go", "if !signal.Ignored(s) {", "if true {"},
	{"without job control a command that was stopped stays so", "StopWithoutJobControl", "job_unix.go", "	case r.lasts():\n", "	case false:\n"},
	{"signals end by exit code", "ExitCodes", "run_unix.go", "128 + int(status.Signal())", "int(status.Signal())"},
	{"a directory is a program", "Resolve", "command.go", "case info.IsDir():", "case false:"},
}

// TestMistakes makes every mistake and demands that a test notices:
//
//	go test ./internal/command -run Mistakes -mistakes -v
func TestMistakes(t *testing.T) {
	for _, m := range mistakes {
		edits := []overlay.Edit{{File: m.file, Old: m.old, New: m.new}}
		if err := overlay.Check(edits); err != nil {
			t.Error(err)
			continue
		}
		if !*seeded {
			continue // it takes three minutes
		}
		t.Run(m.what, func(t *testing.T) {
			out, passed := overlay.Test(t, edits, "-timeout", "30s", "-failfast", "-run", m.tests, ".")
			if passed {
				t.Fatal("not caught")
			}
			if !strings.Contains(out, "--- FAIL: Test") {
				t.Fatalf("this is no finding:\n%s", out)
			}
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "--- FAIL") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}
