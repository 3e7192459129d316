// Package state keeps what must survive a peer's restart: how often it has
// started, a ceiling of its Lamport clock, and a floor of the fencing tokens to
// come. All only grow. Without a directory they start from the wall clock, and
// are as good as that. After a stop in good order it also keeps what the peer
// has promised; that is good for one start.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/conchlock/conch/algo"
)

// File is the name of the file in a peer's directory.
const File = "state.db"

// step is by how much the ceiling is raised at a time. A restart skips what
// was left of it; at a restart a second, that is safe for centuries below
// algo.MaxTime.
const step = 1 << 20

// State is the state of one incarnation. It implements node.Memory.
type State struct {
	db          *bbolt.DB // nil without a directory
	boot        string    // as Moment.Boot
	incarnation algo.Incarnation
	start       algo.Time
	floor       algo.Token
	bound       algo.Duration
	kept        bool
	promises    []algo.Promise
}

// Moment is when an incarnation begins, by the clocks of its machine.
type Moment struct {
	Wall time.Time
	Now  algo.Instant // by the clock that promises are counted by
	Boot string       // names what Now counts from; empty if that does not outlive the process
	// Bound is for how long a promise of this incarnation binds the next one.
	Bound algo.Duration
}

var (
	bucket         = []byte("conch")
	keyName        = []byte("name")
	keyIncarnation = []byte("incarnation")
	keyCeiling     = []byte("ceiling")
	keyFloor       = []byte("floor")
	keyBound       = []byte("bound")
	keyStop        = []byte("stop")
)

// WallClock returns the state of a peer that keeps nothing: incarnation, clock
// and floor start at the wall clock, in microseconds since 1970. They grow from
// start to start as long as the wall clock is not set back, and as long as the
// peer had fewer than a million events, and a lock fewer than a million entries,
// a second.
func WallClock(now time.Time) *State {
	us := now.UnixMicro()
	return &State{incarnation: algo.Incarnation(us), start: algo.Time(us), floor: algo.Token(us)}
}

// Create makes the directory of a peer that is new and whose cluster is new:
// it will start as incarnation 1, with its clock and its floor at 0. A directory
// that Open makes starts from the wall clock instead, because the peer may have
// been known before its directory was wiped.
func Create(dir string, name algo.PeerName) error {
	db, err := open(dir)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket) != nil {
			return fmt.Errorf("%s is in use already", filepath.Join(dir, File))
		}
		return initialize(tx, name, 0)
	})
	return errors.Join(err, db.Close())
}

// Open begins the next incarnation of the peer whose directory this is. It
// makes the directory if need be, and locks it: a second process is refused.
// What the last incarnation has promised is gone from the directory when Open
// returns, and that is synced: if this incarnation crashes, the next one must
// not take it for all that was promised.
func Open(dir string, name algo.PeerName, at Moment) (*State, error) {
	db, err := open(dir)
	if err != nil {
		return nil, err
	}
	s := &State{db: db, boot: at.Boot}
	if err := s.count(filepath.Join(dir, File), name, at); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func open(dir string) (db *bbolt.DB, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("directory for the peer's state: %w", err)
	}
	path := filepath.Join(dir, File)
	defer recoverDamage(path, &err)
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 100 * time.Millisecond})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is in use by another process; stop that one, or give this one a directory of its own", path)
	case err != nil:
		return nil, damaged(path, err)
	}
	return db, nil
}

// recoverDamage turns the panic with which bbolt meets a damaged page into an
// error.
func recoverDamage(path string, err *error) {
	if damage := recover(); damage != nil {
		*err = damaged(path, damage)
	}
}

func damaged(path string, how any) error {
	return fmt.Errorf("%s: %v; if it is damaged, remove it: the peer then starts from the wall clock", path, how)
}

// initialize lets all numbers start from the same one.
func initialize(tx *bbolt.Tx, name algo.PeerName, from uint64) error {
	b, err := tx.CreateBucket(bucket)
	if err != nil {
		return err
	}
	return errors.Join(
		b.Put(keyName, []byte(name)),
		put(b, keyIncarnation, from),
		put(b, keyCeiling, from),
		put(b, keyFloor, from),
		put(b, keyBound, 0),
	)
}

// count counts the incarnation in the file.
func (s *State) count(path string, name algo.PeerName, at Moment) (err error) {
	defer recoverDamage(path, &err)
	return s.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket) == nil {
			if err := initialize(tx, name, uint64(at.Wall.UnixMicro())); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		if err := s.begin(tx, name, at); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

// begin checks that the directory is this peer's, counts the incarnation, and
// takes what the last one has promised.
func (s *State) begin(tx *bbolt.Tx, name algo.PeerName, at Moment) error {
	b := tx.Bucket(bucket)
	if owner := string(b.Get(keyName)); owner != string(name) {
		return fmt.Errorf("this is the state of peer %q, not of %q; give each peer a directory of its own", owner, name)
	}
	incarnation, err1 := get(b, keyIncarnation)
	ceiling, err2 := get(b, keyCeiling)
	floor, err3 := get(b, keyFloor)
	bound, err4 := get(b, keyBound)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	s.bound = algo.Duration(bound)
	s.incarnation, s.start, s.floor = algo.Incarnation(incarnation+1), algo.Time(ceiling), algo.Token(floor)
	if err := s.take(b, at); err != nil {
		return err
	}
	return errors.Join(
		put(b, keyIncarnation, incarnation+1),
		put(b, keyBound, uint64(max(s.bound, at.Bound))), // it never shrinks: nobody knows how old the longest promise is
	)
}

// Incarnation returns the number of this start.
func (s *State) Incarnation() algo.Incarnation { return s.incarnation }

// Floor is at least every token that earlier incarnations have confirmed.
func (s *State) Floor() algo.Token { return s.floor }

// Bound is the longest time for which a promise of any earlier incarnation binds
// its successors: after a change of the TTL, or of the clock bound, this may be
// longer than one of the present incarnation does.
func (s *State) Bound() algo.Duration { return s.bound }

// Kept says that the last incarnation stopped in good order, in the same boot of
// the machine, and that what it returns is all that it has promised.
func (s *State) Kept() ([]algo.Promise, bool) { return s.promises, s.kept }

// Start implements node.Memory.
func (s *State) Start() algo.Time { return s.start }

// Raise implements node.Memory.
func (s *State) Raise(t algo.Time) (algo.Time, error) {
	if s.db == nil {
		return algo.MaxTime, nil
	}
	ceiling := t + step
	err := s.db.Update(func(tx *bbolt.Tx) error { return put(tx.Bucket(bucket), keyCeiling, uint64(ceiling)) })
	return ceiling, err
}

// RaiseFloor implements node.Memory.
func (s *State) RaiseFloor(t algo.Token) error {
	if s.db == nil {
		return nil
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		if floor, err := get(b, keyFloor); err != nil || floor >= uint64(t) {
			return err
		}
		return put(b, keyFloor, uint64(t))
	})
}

// Close lets go of the directory.
func (s *State) Close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

func put(b *bbolt.Bucket, key []byte, v uint64) error {
	return b.Put(key, binary.BigEndian.AppendUint64(nil, v))
}

func get(b *bbolt.Bucket, key []byte) (uint64, error) {
	v := b.Get(key)
	if len(v) != 8 {
		return 0, fmt.Errorf("%s is missing or damaged; %s", key, mend)
	}
	return binary.BigEndian.Uint64(v), nil
}

const mend = "if the directory was copied or edited, remove it: the peer then starts from the wall clock"
