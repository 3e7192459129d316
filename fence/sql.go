package fence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Schema is the statement that makes the table which InTx and Check need. It is
// there for programs that keep all their statements in one place; others call
// CreateTable.
const Schema = `CREATE TABLE IF NOT EXISTS conch_fence (
	lock TEXT NOT NULL PRIMARY KEY,
	token BIGINT NOT NULL
)`

// raiseSQL raises the highest token of a lock, and touches no row if that is
// larger. PostgreSQL locks the row in either case.
const raiseSQL = `INSERT INTO conch_fence (lock, token) VALUES ($1, $2)
ON CONFLICT (lock) DO UPDATE SET token = excluded.token WHERE conch_fence.token <= excluded.token`

const highestSQL = `SELECT token FROM conch_fence WHERE lock = $1`

// CreateTable makes the table conch_fence, unless it is there.
func CreateTable(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, Schema)
	if err == nil {
		return nil
	}
	// In PostgreSQL one of two that make it at the same time may fail.
	var token Token
	if err := db.QueryRowContext(ctx, highestSQL, "").Scan(&token); errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return fmt.Errorf("fence: table conch_fence cannot be made: %w", err)
}

// Check refuses the token with a *StaleError if a larger one was seen for the
// lock, and otherwise remembers it: all in tx, with one statement. What tx writes
// after Check is fenced, if tx is rolled back when Check returns an error; InTx
// does that. Call Check first in tx, before anything is read.
//
// It is one with the writes because, until tx ends, no other transaction can
// pass its own Check for the same lock:
//
//   - PostgreSQL, READ COMMITTED (the default): the row of the lock stays locked
//     until tx ends. Another Check waits for that, then sees what was committed.
//   - PostgreSQL, REPEATABLE READ and SERIALIZABLE: the same, but one that has
//     waited fails with a serialization error (SQLSTATE 40001) if the row has
//     changed. It is passed on as it is; roll back and try again, as always there.
//   - SQLite has one writer at a time. One that cannot wait for its turn gets
//     SQLITE_BUSY, which is passed on as it is: set a busy timeout, and begin
//     with BEGIN IMMEDIATE or call Check first.
//
// Other databases were not tried. MySQL and MariaDB refuse the statement: they do
// not know ON CONFLICT, and what they have in its place does not say whether an
// equal token or a larger one was there.
//
// If tx is rolled back the highest token goes back with all that it came with. A
// lock's row is a place where its writers wait for each other; those of other
// locks do not. Transactions that check several locks should do so in one order.
func Check(ctx context.Context, tx *sql.Tx, lock string, token Token) error {
	if err := check(lock, token); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, raiseSQL, lock, int64(token))
	if err != nil {
		return fmt.Errorf("fence: lock %q: %w", lock, err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("fence: lock %q: the driver does not tell whether the token was taken: %w", lock, err)
	}
	if rows == 1 {
		return nil
	}
	var highest int64
	if err := tx.QueryRowContext(ctx, highestSQL, lock).Scan(&highest); err != nil {
		return fmt.Errorf("fence: lock %q: %w", lock, err)
	}
	return &StaleError{Lock: lock, Token: token, Highest: Token(highest)}
}

// InTx begins a transaction with the options, which may be nil, checks the token,
// and calls write. It commits if write returns nil, and rolls back otherwise, and
// if the token is refused or write panics. ctx bounds all of it.
func InTx(ctx context.Context, db *sql.DB, options *sql.TxOptions, lock string, token Token, write func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("fence: lock %q: %w", lock, err)
	}
	defer tx.Rollback() // without effect after a commit
	if err := Check(ctx, tx, lock, token); err != nil {
		return err
	}
	if err := write(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("fence: lock %q: %w", lock, err)
	}
	return nil
}
