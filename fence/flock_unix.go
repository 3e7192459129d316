//go:build unix && !aix && !solaris && !illumos

package fence

import (
	"errors"
	"os"
	"syscall"
)

// flockThere says that this system has flock.
const flockThere = true

// flock takes the lock of an open file. It belongs to the descriptor, so two
// opens in one process keep each other out as two processes do, and the system
// lets go of it when the process ends, however it ends.
func flock(f *os.File, wait bool) (ok bool, err error) {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		default:
			return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}
