package sqltest

import (
	"flag"
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/overlay"
)

var seeded = flag.Bool("mistakes", false, "break the SQL part of the fence on purpose, and see that the tests notice")

// mistakes are the rules of fence/sql.go, each broken on purpose. SQLite shows all
// but the last, which only PostgreSQL can.
var mistakes = []struct{ what, run, old, new string }{
	{"an equal token is refused", "/SQLite", "conch_fence.token <= excluded.token", "conch_fence.token < excluded.token"},
	{"an older token is taken", "/SQLite", " WHERE conch_fence.token <= excluded.token", ""},
	{"a newer token is refused", "/SQLite", "conch_fence.token <= excluded.token", "conch_fence.token >= excluded.token"},
	{"the highest token is not raised", "/SQLite", "SET token = excluded.token", "SET token = conch_fence.token"},
	{"no token is looked at", "/SQLite", "return token.Check()", "return nil"},
	{"the check comes after the write", "/SQLite", "\tif err := Check(ctx, tx, lock, token); err != nil {\n\t\treturn err\n\t}\n\tif err := write(tx); err != nil {", "\tif err := write(tx); err != nil {\n\t\treturn err\n\t}\n\ttx.Commit()\n\tif err := Check(ctx, tx, lock, token); err != nil {"},
	{"a refused transaction is committed", "/SQLite", "\tif err := Check(ctx, tx, lock, token); err != nil {", "\tif err := Check(ctx, tx, lock, token); err != nil {\n\t\twrite(tx)\n\t\ttx.Commit()"},
	{"a failed write is committed", "/SQLite", "\tif err := write(tx); err != nil {", "\tif err := write(tx); err != nil {\n\t\ttx.Commit()"},
	{"the check is not in the transaction", "/PostgreSQL", "\tif err := Check(ctx, tx, lock, token); err != nil {", "\tapart, err := db.BeginTx(ctx, options)\n\tif err != nil {\n\t\treturn err\n\t}\n\terr = Check(ctx, apart, lock, token)\n\tapart.Commit()\n\tif err != nil {"},
}

// TestMistakes makes every mistake and demands that a test catches it:
//
//	cd fence/sqltest && go test -run Mistakes -mistakes -v
func TestMistakes(t *testing.T) {
	for _, m := range mistakes {
		file := "../sql.go"
		if strings.Contains(m.old, "token.Check()") {
			file = "../fence.go"
		}
		edits := []overlay.Edit{{File: file, Old: m.old, New: m.new}}
		if err := overlay.Check(edits); err != nil {
			t.Errorf("%s: %v", m.what, err)
		}
		if !*seeded {
			continue
		}
		t.Run(m.what, func(t *testing.T) {
			if m.run == "/PostgreSQL" {
				openPostgres(t) // skips this, if it is not here
			}
			out, passed := overlay.Test(t, edits, "-failfast", "-timeout", "30s", "-run", "(Check|Rollback|Crowd|OneAtATime)"+m.run, ".")
			if passed {
				t.Fatal("not caught")
			}
			if !strings.Contains(out, "--- FAIL: ") {
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
