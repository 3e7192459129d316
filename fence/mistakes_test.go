package fence_test

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/overlay"
)

var seeded = flag.Bool("mistakes", false, "break the fence on purpose, and see that the tests notice")

// mistakes are the rules of the fence, each broken on purpose.
var mistakes = []struct{ what, file, old, new string }{
	{"an equal token is refused", "fence.go", "if token < highest {", "if token <= highest {"},
	{"a larger token is refused", "fence.go", "if token < highest {", "if token > highest {"},
	{"nothing is refused", "fence.go", "if token < highest {", "if false {"},
	{"0 is a token", "fence.go", "if t == 0 || t > MaxToken {", "if t > MaxToken {"},
	{"2^53 is a token", "fence.go", "if t == 0 || t > MaxToken {", "if t == 0 || t > MaxToken+1 {"},
	{"leading zeros are read", "fence.go", " && t.String() == text {", " {"},

	{"memory: the turn ends before the write", "memory.go", "\tdefer leave()\n\tif err := m.raise", "\tleave()\n\tif err := m.raise"},
	{"memory: the check comes after the write", "memory.go", "if err := m.raise(lock, token); err != nil {\n\t\treturn err\n\t}\n\treturn write()", "err = write()\n\treturn errors.Join(err, m.raise(lock, token))"},
	{"memory: the check comes before the turn", "memory.go", "\tleave, err := m.turns.enter(ctx, lock)", "\tif err := m.raise(lock, token); err != nil {\n\t\treturn err\n\t}\n\tleave, err := m.turns.enter(ctx, lock)"},
	{"a turn is forgotten while others wait", "memory.go", "k.users--; k.users == 0", "k.users--; k.users <= 1"},
	{"who gives up keeps its place", "memory.go", "\t\tt.forget(key, k)\n\t\treturn nil", "\t\treturn nil"},

	{"files: the lock is let go of before the write", "file.go", "\tdefer leave()\n\tif err := k.raise", "\tleave()\n\tif err := k.raise"},
	{"files: only this process is kept out", "flock_unix.go", "how := syscall.LOCK_EX", "how := syscall.LOCK_SH"},
	{"files: the check comes after the write", "file.go", "if err := k.raise(path, lock, token); err != nil {\n\t\treturn err\n\t}\n\treturn write()", "err = write()\n\treturn errors.Join(err, k.raise(path, lock, token))"},
	{"files: the token is read before the lock", "file.go", "\tleave, err := k.enter(ctx, path, lock)\n", "\tif err := k.raise(path, lock, token); err != nil {\n\t\treturn err\n\t}\n\tleave, err := k.enter(ctx, path, lock)\n"},
	{"files: who gave up enters all the same", "file.go", "if o := <-entered; o.err == nil {", "if o := <-entered; o.err != nil {"},
	{"files: the write begins before its token is kept", "file.go", "\t\tknown[lock] = token\n", "\t\tknown[lock] = token\n\t\tdefer func() {\n\t\t\tk.disk.syncDir(\".\")\n\t\t}()\n\t\treturn nil\n"},
	{"files: no sync before the rename", "disk.go", "err = f.Sync()", "err = nil"},
	{"files: no sync of the directory after the rename", "disk.go", "return d.syncDir(filepath.Dir(path))", "_ = filepath.Dir(path)\n\treturn nil"},
	{"files: a token that is there is taken to be on the disk", "file.go", "err = k.disk.syncDir(filepath.Dir(path))", "err = nil"},
	{"files: the sidecar is written in place", "disk.go", "d.create(temp, path, perm)", "d.create(path, path, perm)"},
	{"files: a failed write of the token is no matter", "disk.go", "\tif err != nil {\n\t\td.remove(temp)\n\t\treturn err", "\tif err != nil {\n\t\td.remove(temp)\n\t\treturn nil"},
	{"files: damage begins anew", "file.go", "return nil, damaged(path, err)", "return make(map[string]Token), nil"},
	{"files: lines in any order are no damage", "sidecar.go", "if !bytes.Equal(formatSidecar(highest), text) {", "if false {"},

	{"HTTP: the client's word is taken for the lock", "http.go", "err != nil || name != lock {", "err != nil || name == \"\" {"},
	{"HTTP: of several tokens the first counts", "http.go", "case len(tokens) > 1 || len(locks) > 1:", "case len(locks) > 1:"},
	{"HTTP: the handler runs after the Store's turn", "http.go", "\t\tf.next.ServeHTTP(w, r)\n\t\treturn nil\n\t})", "\t\treturn nil\n\t})\n\tif begun {\n\t\tf.next.ServeHTTP(w, r)\n\t}"},
	{"HTTP: no end to those who wait", "http.go", "f.inside.Add(1) > int64(f.Limit)", "f.inside.Add(1) < 0"},
	{"HTTP: places are not given back", "http.go", "defer f.inside.Add(-1)", "defer f.inside.Add(0)"},

	{"gRPC: the client's word is taken for the lock", "fencegrpc/server.go", "err != nil || name != lock {", "err != nil || name == \"\" {"},
	{"gRPC: the handler runs after the Store's turn", "fencegrpc/server.go", "\t\treturn handle(ctx)\n\t})\n\tswitch", "\t\treturn nil\n\t})\n\tif begun {\n\t\terr = handle(ctx)\n\t}\n\tswitch"},
	{"gRPC: what the caller was called with is sent, not its own hold", "fencegrpc/fencegrpc.go", "md.Set(TokenKey, token.String())", "md.Append(TokenKey, token.String())"},
}

// TestMistakes makes every mistake and demands that a test catches it:
//
//	go test ./fence -run Mistakes -mistakes -v
func TestMistakes(t *testing.T) {
	for _, m := range mistakes {
		edits := []overlay.Edit{{File: m.file, Old: m.old, New: m.new}}
		if strings.Contains(m.new, "errors.Join") && m.file == "memory.go" {
			edits = append(edits, overlay.Edit{File: m.file, Old: "\t\"fmt\"\n", New: "\t\"errors\"\n\t\"fmt\"\n"})
		}
		if err := overlay.Check(edits); err != nil {
			t.Errorf("%s: %v", m.what, err)
		}
		if !*seeded {
			continue
		}
		t.Run(m.what, func(t *testing.T) {
			t.Parallel()
			out, passed := overlay.Test(t, edits, "-short", "-failfast", "-timeout", "10s", "-skip", "Mistakes", "./"+filepath.Dir(m.file))
			if passed {
				t.Fatal("not caught")
			}
			if !strings.Contains(out, "--- FAIL: ") && !strings.Contains(out, "panic: test timed out") {
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
