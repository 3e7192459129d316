package fence

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// The files that belong to a fence, beside what it guards.
const (
	sidecarSuffix = ".fence"      // the highest tokens
	lockSuffix    = ".fence.lock" // empty, for flock; never renamed or removed, or two could have it
	tempSuffix    = ".fence.tmp"  // a sidecar that is being written
	newSuffix     = ".fence.new"  // the guarded file, being written by WriteFile
)

// File guards one file, or one directory with all that is in it. The highest
// tokens are in PATH.fence beside it, for each lock that was used with it (one,
// as a rule: all are written at once). PATH.fence.lock is locked with flock(2)
// while a write runs. Leave both alone, and copy them with what they guard.
//
// All who write must do so through the fence, on one machine, or on a network file
// system that carries flock to its server (NFS does on Linux; it was not tested).
// Systems without flock have no File: OpenFile's error wraps errors.ErrUnsupported
// there.
//
// A process that is stopped while its write runs keeps the others out, with newer
// tokens too, until it goes on or ends. That is the price of being atomic with any
// write at all; WriteFile, and writes that are short, keep it low.
//
// Any number of processes, and Files in one of them, may guard the same path.
// Methods are safe for concurrent use.
type File struct {
	keeper keeper
	path   string
}

// OpenFile returns the fence of the file or directory at path, which need not be
// there yet; its directory must. Links are followed now: the fence is beside what
// path leads to. Nothing has to be closed.
func OpenFile(path string) (*File, error) {
	if !flockThere {
		return nil, fmt.Errorf("fence: %w", errNoFlock{})
	}
	path, err := resolve(path)
	if err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	return &File{path: path, keeper: keeper{disk: osDisk{}}}, nil
}

// resolve follows links, so that all ways to a file lead to one fence.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return filepath.EvalSymlinks(path) // a link that leads nowhere is an error
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// Path returns where the guarded file is, with all links followed.
func (f *File) Path() string { return f.path }

// Do implements Store. Before write begins a new highest token is on the disk, so
// that no crash in between makes the fence forget it: this costs a sync of a file
// and of its directory. With a token that was seen before it costs the latter,
// which then has nothing to do.
func (f *File) Do(ctx context.Context, lock string, token Token, write func() error) error {
	return f.keeper.do(ctx, f.path, lock, token, write)
}

// WriteFile is os.WriteFile under the fence, and atomic: readers find the old
// content or the new one, whole, also after a crash. When it returns nil the new
// one is on the disk. If the file is there its permission bits are kept, else they
// are perm, before umask; its owner is who wrote last. An error that wraps none of
// the package's may come from the write: the file then has its old content, or
// the new one if only the last sync has failed.
func (f *File) WriteFile(ctx context.Context, lock string, token Token, data []byte, perm fs.FileMode) error {
	return f.Do(ctx, lock, token, func() error {
		return replace(f.keeper.disk, f.path, f.path+newSuffix, data, perm)
	})
}

// Highest returns the highest token seen for the lock, 0 if there was none. It
// waits for nobody: a write that is beginning may be about to raise it.
func (f *File) Highest(lock string) (Token, error) { return f.keeper.highest(f.path, lock) }

// Directory keeps the highest tokens of any number of locks in a directory of its
// own, a sidecar for each: a Store for servers that must not forget over restarts.
// What is said of File holds for each lock; different locks do not wait for each
// other.
type Directory struct {
	keeper keeper
	dir    string
}

// OpenDirectory returns the store in a directory, which it makes if need be; the
// one around it must be there. Links are followed now. Nothing has to be closed.
func OpenDirectory(dir string) (*Directory, error) {
	if !flockThere {
		return nil, fmt.Errorf("fence: %w", errNoFlock{})
	}
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = osDisk{}.syncDir(filepath.Dir(filepath.Clean(dir))) // or a power cut may take it, with all tokens
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("fence: %w", err)
	}
	dir, err = resolve(dir)
	if err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("fence: %s is no directory: %w", dir, cmp.Or(err, fs.ErrExist))
	}
	return &Directory{dir: dir, keeper: keeper{disk: osDisk{}}}, nil
}

// Do implements Store.
func (d *Directory) Do(ctx context.Context, lock string, token Token, write func() error) error {
	return d.keeper.do(ctx, d.path(lock), lock, token, write)
}

// Highest returns the highest token seen for the lock, 0 if there was none.
func (d *Directory) Highest(lock string) (Token, error) { return d.keeper.highest(d.path(lock), lock) }

// plain are the names of locks that can be names of files as they are, on file
// systems that make no difference between small and large letters too.
var plain = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// path returns the path of a lock's sidecar, without its suffix. Sidecars name
// their locks: should two ever share a file they wait for each other, no more.
func (d *Directory) path(lock string) string {
	if !plain.MatchString(lock) {
		return filepath.Join(d.dir, fmt.Sprintf("=%x", sha256.Sum256([]byte(lock))))
	}
	return filepath.Join(d.dir, lock)
}

// keeper reads and writes sidecars.
type keeper struct {
	disk  disk
	turns turns // of this process
}

// do is Do, for the sidecar of path.
func (k *keeper) do(ctx context.Context, path, lock string, token Token, write func() error) error {
	if err := check(lock, token); err != nil {
		return err
	}
	leave, err := k.enter(ctx, path, lock)
	if err != nil {
		return err
	}
	defer leave()
	if err := k.raise(path, lock, token); err != nil {
		return err
	}
	return write()
}

// raise makes sure that the token is the highest, and is on the disk.
func (k *keeper) raise(path, lock string, token Token) error {
	known, err := k.read(path)
	if err != nil {
		return err
	}
	if err := admit(lock, token, known[lock]); err != nil {
		return err
	}
	if token == known[lock] {
		// Who has written it may have been killed before the directory was synced.
		err = k.disk.syncDir(filepath.Dir(path))
	} else {
		known[lock] = token
		err = replace(k.disk, path+sidecarSuffix, path+tempSuffix, formatSidecar(known), 0o644)
	}
	if err != nil {
		return fmt.Errorf("fence: lock %q: the write has not begun, since its token cannot be kept: %w", lock, err)
	}
	return nil
}

// read returns the highest tokens by lock; none if there is no sidecar yet.
func (k *keeper) read(path string) (map[string]Token, error) {
	path += sidecarSuffix
	text, err := k.disk.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return make(map[string]Token), nil
	}
	if err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	known, err := parseSidecar(text)
	if err != nil {
		return nil, damaged(path, err)
	}
	return known, nil
}

func (k *keeper) highest(path, lock string) (Token, error) {
	known, err := k.read(path)
	return known[lock], err
}

// enter waits for the turn of path, first among the callers of this process, then
// among all processes, until ctx ends. Who comes out calls leave, once.
func (k *keeper) enter(ctx context.Context, path, lock string) (leave func(), err error) {
	left, err := k.turns.enter(ctx, path)
	if err != nil {
		return nil, waited(lock, err)
	}
	unlock, ok, err := k.disk.lock(path+lockSuffix, false)
	if err == nil && !ok {
		return k.await(ctx, path, lock, left)
	}
	if err != nil {
		left()
		return nil, fmt.Errorf("fence: %w", err)
	}
	return func() { unlock(); left() }, nil
}

// await waits for another process to leave. The system cannot be told to stop
// waiting; so when ctx ends a goroutine stays until that process has left, and
// keeps the turn, so that there is one at most for each path.
func (k *keeper) await(ctx context.Context, path, lock string, left func()) (leave func(), err error) {
	type outcome struct {
		leave func()
		err   error
	}
	entered := make(chan outcome, 1)
	go func() {
		unlock, _, err := k.disk.lock(path+lockSuffix, true)
		if err != nil {
			left()
			entered <- outcome{nil, fmt.Errorf("fence: %w", err)}
			return
		}
		entered <- outcome{func() { unlock(); left() }, nil}
	}()
	select {
	case o := <-entered:
		return o.leave, o.err
	case <-ctx.Done():
		go func() {
			if o := <-entered; o.err == nil {
				o.leave()
			}
		}()
		return nil, waited(lock, fmt.Errorf("the process that has %s open is inside, running or stopped: %w", path+lockSuffix, context.Cause(ctx)))
	}
}
