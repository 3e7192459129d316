package fence

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// disk is what a fence does with files. It is small so that a test can stand in
// for it that loses what was not synced.
type disk interface {
	// read returns what is in a file.
	read(path string) ([]byte, error)
	// create opens a new, empty file; one that is there is removed. It gets the
	// permission bits of the file like, or perm if that is not there.
	create(path, like string, perm fs.FileMode) (sink, error)
	// rename puts a file in the place of another.
	rename(from, to string) error
	// remove removes a file.
	remove(path string) error
	// syncDir makes what was renamed in a directory last.
	syncDir(dir string) error
	// lock takes the lock of a file, and makes the file if need be. With wait it
	// waits for who has it; without, ok says whether the lock was free.
	lock(path string, wait bool) (unlock func(), ok bool, err error)
}

// sink is a file that is being written.
type sink interface {
	io.Writer
	Sync() error
	Close() error
}

// replace makes data the content of path, so that there is the old or the new
// content, whole, whatever happens meanwhile. When it returns nil the new one
// lasts, also if the power is cut. temp is a path in the same directory that
// nobody else uses.
//
// Writing beside and renaming was chosen over appending records with checksums,
// since a file that is never written in place is never torn: damage is damage, and
// nobody has to tell a record that was broken off from one that has rotted.
func replace(d disk, path, temp string, data []byte, perm fs.FileMode) error {
	f, err := d.create(temp, path, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync() // before the rename, or a power cut may leave an empty file in its place
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.rename(temp, path)
	}
	if err != nil {
		d.remove(temp)
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// osDisk is the file system of the machine.
type osDisk struct{}

func (osDisk) read(path string) ([]byte, error) { return os.ReadFile(path) }

func (osDisk) create(path, like string, perm fs.FileMode) (sink, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a process that was killed
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm) // exclusive: it follows no link
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(like); err == nil {
		if err := f.Chmod(info.Mode().Perm()); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error { return os.Remove(path) }

func (osDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) lock(path string, wait bool) (unlock func(), ok bool, err error) {
	f, err := os.Open(path) // who may only read it may lock it
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644)
	}
	if err != nil {
		return nil, false, err
	}
	ok, err = flock(f, wait)
	if err != nil || !ok {
		f.Close()
		return nil, false, err
	}
	return func() { f.Close() }, true, nil // the lock ends with the last descriptor
}

// errNoFlock says what there is instead.
type errNoFlock struct{}

func (errNoFlock) Error() string {
	return "files are fenced with flock(2), which " + runtime.GOOS + " does not have: use a database, or a Store of your own"
}

func (errNoFlock) Is(target error) bool { return target == errors.ErrUnsupported }
