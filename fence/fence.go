// Package fence is the check at the resource: it keeps the highest fencing token
// seen for each lock and refuses older ones, atomically with the write that the
// token comes with.
//
// No lock service can stop a holder that was paused: it wakes up, believes in a
// hold that has ended, and writes. Every hold of a Conch lock has a token larger
// than those of all earlier holds, so whoever takes the write can tell, if it
// looks. This package looks:
//
//   - [File] and [Directory] guard files, with a small file beside them;
//   - [InTx] and [Check] guard the tables of a database, in the caller's
//     transaction;
//   - [HTTP] guards a handler, and package fencegrpc a gRPC service;
//   - [Memory] guards what is in memory, and [Store] is what others implement.
//
// A token equal to the highest is taken: one hold may write many times. What a
// hold has not shown to the resource, the resource cannot know; so show the token
// before reading what the write will rest on, and read and write under the same
// Do or in the same transaction. A token that nobody checks protects nothing, and
// tokens of different clusters, or of different algorithms, do not know each
// other. docs/fence.md says which to use when, and what each cannot do.
package fence

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Token is a fencing token, 1 to MaxToken. It is made from that of a hold,
// fence.Token(hold.Token()), or parsed from what a holder has sent.
//
// It is a type of its own and not conch.Token, because a server that only guards
// a resource joins no cluster: this package imports the standard library alone,
// and does not bring gRPC and the algorithms into such a program. It is no bare
// uint64 either, so that a token is not given for some other number.
type Token uint64

// MaxToken is the largest token: numbers from 2^53 on do not survive JSON.
const MaxToken Token = 1<<53 - 1

// Errors, for errors.Is. A write that was refused with one of them certainly did
// not begin.
var (
	// ErrStale says that a larger token was seen for the lock. It comes as a
	// *StaleError, which has the tokens.
	ErrStale = errors.New("stale token")
	// ErrNoToken says that a number is no token: 0, or 2^53 and above.
	ErrNoToken = errors.New("no token")
	// ErrLockName says that a name is no lock's: 1 to 200 bytes of printable UTF-8.
	ErrLockName = errors.New("no name of a lock")
	// ErrDamaged says that what keeps the highest tokens cannot be read. Nothing
	// is written until somebody has mended it; the error says how.
	ErrDamaged = errors.New("damaged")
)

// StaleError is the refusal of a token. errors.Is finds ErrStale in it.
type StaleError struct {
	Lock    string
	Token   Token // the one refused
	Highest Token // the largest one seen, or at least one larger than Token
}

// Error names the lock and both tokens, and says what to do.
func (e *StaleError) Error() string {
	return fmt.Sprintf("fence: lock %q: token %d is refused, as %d was here: that hold has ended and others have entered since; "+
		"lock again, read again what the write rests on, and write with the new token", e.Lock, e.Token, e.Highest)
}

// Is says that target is ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

// Check returns an error that wraps ErrNoToken if t is no token.
func (t Token) Check() error {
	if t == 0 || t > MaxToken {
		return fmt.Errorf("fence: %d is %w: tokens are 1 to 2^53-1; give the token of a hold", uint64(t), ErrNoToken)
	}
	return nil
}

// String returns t in decimal.
func (t Token) String() string { return strconv.FormatUint(uint64(t), 10) }

// ParseToken reads what String has written, and nothing else: decimal digits
// without a sign, blanks or leading zeros. Its error wraps ErrNoToken.
func ParseToken(text string) (Token, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if t := Token(n); err == nil && t.Check() == nil && t.String() == text {
		return t, nil
	}
	return 0, fmt.Errorf("fence: %.40q is %w: tokens are decimal, 1 to 2^53-1", text, ErrNoToken)
}

// maxLockName is the limit of the length of a lock's name, in bytes. It is the
// same as that of package algo, which this one does not import.
const maxLockName = 200

// check says what is wrong with a lock's name or a token.
func check(lock string, token Token) error {
	if err := checkLock(lock); err != nil {
		return err
	}
	return token.Check()
}

func checkLock(lock string) error {
	printable := utf8.ValidString(lock)
	for _, r := range lock {
		printable = printable && unicode.IsPrint(r)
	}
	if lock == "" || len(lock) > maxLockName || !printable {
		return fmt.Errorf("fence: %.40q is %w: names have 1 to %d bytes of printable UTF-8", lock, ErrLockName, maxLockName)
	}
	return nil
}

// admit says whether the token may write where highest is the largest one seen.
func admit(lock string, token, highest Token) error {
	if token < highest {
		return &StaleError{Lock: lock, Token: token, Highest: highest}
	}
	return nil
}

// Store keeps the highest token of each lock. *Memory, *File and *Directory are
// stores; implement it for another place by the rules below.
type Store interface {
	// Do refuses the token with a *StaleError if a larger one was seen for the
	// lock. Otherwise it remembers the token, so that no later failure of this
	// process can make it forget, and then calls write, once. While write runs no
	// other write of the lock begins, in whatever process the store is shared with.
	//
	// Do waits for its turn until ctx ends; ctx has no influence on write once it
	// runs. It returns write's error as it is; any other error says that write
	// was not called. If write fails or panics the token stays remembered. A write
	// that calls Do for its own lock waits for itself.
	Do(ctx context.Context, lock string, token Token, write func() error) error
}

// contextKey is the key of what NewContext puts into a context.
type contextKey struct{}

// shown is the hold that a call shows to resources.
type shown struct {
	lock  string
	token Token
}

// NewContext returns a context that carries a hold: the interceptors of package
// fencegrpc send it along with calls. Its checks are those of the resource.
func NewContext(ctx context.Context, lock string, token Token) context.Context {
	return context.WithValue(ctx, contextKey{}, shown{lock, token})
}

// FromContext returns the hold that a context carries. Behind HTTP and behind the
// interceptors of fencegrpc that is the hold that came with the request: its lock
// is the one that the server has named, and its token is well-formed.
func FromContext(ctx context.Context) (lock string, token Token, ok bool) {
	s, ok := ctx.Value(contextKey{}).(shown)
	return s.lock, s.token, ok
}
