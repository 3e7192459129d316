package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/conchlock/conch/fence"
)

const lock = "ledger"

// openSQLite returns a database in a file.
func openSQLite(t *testing.T) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "ledger.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// eachDatabase runs a test on every database that is here, with the tables of the
// fence and of a ledger.
func eachDatabase(t *testing.T, test func(t *testing.T, db *sql.DB)) {
	for _, d := range []struct {
		name string
		open func(*testing.T) *sql.DB
		id   string
	}{
		{"SQLite", openSQLite, "id INTEGER PRIMARY KEY AUTOINCREMENT"},
		{"PostgreSQL", openPostgres, "id BIGSERIAL PRIMARY KEY"},
	} {
		t.Run(d.name, func(t *testing.T) {
			db := d.open(t)
			if err := fence.CreateTable(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("CREATE TABLE ledger (" + d.id + ", token BIGINT NOT NULL)"); err != nil {
				t.Fatal(err)
			}
			test(t, db)
		})
	}
}

// write adds a line to the ledger.
func write(ctx context.Context, tx *sql.Tx, token fence.Token) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO ledger (token) VALUES ($1)", int64(token))
	return err
}

// inTx writes one line under the fence.
func inTx(ctx context.Context, db *sql.DB, options *sql.TxOptions, lock string, token fence.Token) error {
	return fence.InTx(ctx, db, options, lock, token, func(tx *sql.Tx) error { return write(ctx, tx, token) })
}

// written returns the tokens in the ledger, in the order of its lines.
func written(t *testing.T, db *sql.DB) (tokens []fence.Token) {
	t.Helper()
	rows, err := db.Query("SELECT token FROM ledger ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var token int64
		if err := rows.Scan(&token); err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, fence.Token(token))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestCheck(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sql.DB) {
		for _, c := range []struct {
			lock  string
			token fence.Token
			want  error
		}{
			{lock, 33, nil},
			{lock, 33, nil}, // a hold writes many times
			{lock, 34, nil},
			{lock, 33, fence.ErrStale},
			{lock, 34, nil},
			{"Ein Schloß; DROP TABLE ledger --'", 1, nil},
			{lock, 0, fence.ErrNoToken},
			{lock, 1 << 53, fence.ErrNoToken},
			{"", 1, fence.ErrLockName},
			{lock, fence.MaxToken, nil},
			{lock, fence.MaxToken - 1, fence.ErrStale},
		} {
			err := inTx(t.Context(), db, nil, c.lock, c.token)
			if !errors.Is(err, c.want) {
				t.Errorf("lock %q, token %d: %v, want %v", c.lock, c.token, err, c.want)
			}
			var stale *fence.StaleError
			if errors.As(err, &stale) && (stale.Lock != c.lock || stale.Token != c.token || stale.Highest <= c.token) {
				t.Errorf("%#v", stale)
			}
		}
		if got, want := written(t, db), []fence.Token{33, 33, 34, 34, 1, fence.MaxToken}; !slices.Equal(got, want) {
			t.Errorf("the ledger has %v, want %v", got, want)
		}
		if err := fence.CreateTable(t.Context(), db); err != nil { // it keeps what is there
			t.Error(err)
		}
		if err := inTx(t.Context(), db, nil, lock, 35); !errors.Is(err, fence.ErrStale) {
			t.Error(err)
		}
	})
}

// A transaction that is rolled back takes its token with it, as it takes what it
// has written.
func TestRollback(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sql.DB) {
		broken := errors.New("broken")
		err := fence.InTx(t.Context(), db, nil, lock, 34, func(tx *sql.Tx) error {
			return errors.Join(write(t.Context(), tx, 34), broken)
		})
		if !errors.Is(err, broken) {
			t.Error(err)
		}
		func() {
			defer func() { recover() }()
			fence.InTx(t.Context(), db, nil, lock, 35, func(*sql.Tx) error { panic("broken") })
		}()
		if err := inTx(t.Context(), db, nil, lock, 33); err != nil {
			t.Error(err)
		}
		if got := written(t, db); !slices.Equal(got, []fence.Token{33}) {
			t.Errorf("the ledger has %v", got)
		}
	})
}

// Many write at once, with tokens in any order, and the first write of a lock is
// among them. What is committed is in the order of tokens. A higher isolation may
// cost a serialization error instead of a wait; it is passed on.
func TestCrowd(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sql.DB) {
		for _, level := range []sql.IsolationLevel{sql.LevelDefault, sql.LevelRepeatableRead, sql.LevelSerializable} {
			t.Run(level.String(), func(t *testing.T) {
				if strings.Contains(t.Name(), "SQLite") && level == sql.LevelRepeatableRead {
					t.Skip("the driver does not know it, and SQLite has one level only")
				}
				crowd(t, db, fmt.Sprint("crowd ", level), &sql.TxOptions{Isolation: level})
			})
		}
	})
}

func crowd(t *testing.T, db *sql.DB, lock string, options *sql.TxOptions) {
	if _, err := db.Exec("DELETE FROM ledger"); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	var mu sync.Mutex
	outcomes := make(map[string]int)
	count := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		outcomes[what]++
	}
	for i := range 12 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			for turn := range 20 {
				token := fence.Token(1 + 10*turn + rng.IntN(30))
				switch err := inTx(t.Context(), db, options, lock, token); {
				case err == nil:
					count("committed")
				case errors.Is(err, fence.ErrStale):
					count("stale")
				case options.Isolation != sql.LevelDefault && (strings.Contains(err.Error(), "40001") || strings.Contains(err.Error(), "40P01")):
					count("not serializable")
				default:
					t.Errorf("token %d: %v", token, err)
				}
			}
		})
	}
	writers.Wait()
	tokens := written(t, db)
	if !slices.IsSorted(tokens) || len(tokens) != outcomes["committed"] || outcomes["committed"] == 0 || outcomes["stale"] == 0 {
		t.Errorf("%v; the ledger has %v", outcomes, tokens)
	}
	t.Log(outcomes)
}

// Until a transaction ends no other passes the check of its lock, with a newer
// token neither; those of other locks do. (SQLite has one writer at a time.)
func TestOneAtATime(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sql.DB) {
		if err := inTx(t.Context(), db, nil, lock, 1); err != nil {
			t.Fatal(err)
		}
		newer := make(chan error, 1)
		err := fence.InTx(t.Context(), db, nil, lock, 33, func(tx *sql.Tx) error {
			if !strings.Contains(t.Name(), "SQLite") {
				if err := inTx(t.Context(), db, nil, "another", 1); err != nil {
					t.Error(err)
				}
			}
			impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := inTx(impatient, db, nil, lock, 34); err == nil || errors.Is(err, fence.ErrStale) {
				t.Errorf("while the write with token 33 goes on, 34 gets %v", err)
			}
			go func() { newer <- inTx(t.Context(), db, nil, lock, 34) }()
			return write(t.Context(), tx, 33)
		})
		if err != nil {
			t.Error(err)
		}
		if err := <-newer; err != nil {
			t.Error(err)
		}
		tokens := slices.DeleteFunc(written(t, db), func(token fence.Token) bool { return token == 1 })
		if !slices.Equal(tokens, []fence.Token{33, 34}) {
			t.Errorf("the ledger has %v", tokens)
		}
	})
}

// Processes that start at the same time all make the table.
func TestCreateTableAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sql.DB) {
		for range 5 {
			if _, err := db.Exec("DROP TABLE conch_fence"); err != nil {
				t.Fatal(err)
			}
			var starters sync.WaitGroup
			for range 8 {
				starters.Go(func() {
					if err := fence.CreateTable(t.Context(), db); err != nil {
						t.Error(err)
					}
				})
			}
			starters.Wait()
		}
	})
}
