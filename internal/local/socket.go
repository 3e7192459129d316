package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// maxSocket is how long the path of a unix socket may be, in bytes, on every
// system that matters.
const maxSocket = 103

// privateMode is the mode of a socket that only its user reaches.
const privateMode os.FileMode = 0o600

// ListenUnixMode is ListenUnix with a socket that others can reach, too, as mode
// says: 0660 its group, 0666 everybody. A folder that is made for it lets them
// through; one that is there stays as it is.
func ListenUnixMode(path string, mode os.FileMode) (net.Listener, error) {
	folder := filepath.Dir(path)
	_, err := os.Stat(folder)
	made := errors.Is(err, os.ErrNotExist)
	l, err := ListenUnix(path)
	if err != nil || mode == privateMode {
		return l, err
	}
	// Only now: what makes them heeds the umask. Who may connect (w) may also look
	// the socket up (x).
	err = os.Chmod(path, mode)
	if made {
		err = errors.Join(err, os.Chmod(folder, 0o700|mode>>1&0o011))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", path, err), l.Close())
	}
	return l, nil
}

// ListenUnix listens on a unix socket that only this user can reach. One that a
// peer left behind when it was killed is replaced; where somebody answers, the
// error says so.
func ListenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocket {
		return nil, fmt.Errorf("socket %s: the path has %d bytes, and a socket's can have %d: choose a shorter one", path, len(path), maxSocket)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	l, err := listenPrivate(path)
	if err == nil {
		return l, nil
	}
	if info, statErr := os.Lstat(path); statErr != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	} else if info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("socket %s: there is something else of that name: choose another path, or remove it", path)
	}
	conn, dialErr := net.DialTimeout("unix", path, time.Second)
	if dialErr == nil {
		conn.Close()
		return nil, fmt.Errorf("socket %s: another process serves there: give this peer a socket of its own", path)
	}
	if errors.Is(dialErr, os.ErrPermission) {
		return nil, fmt.Errorf("socket %s: it belongs to another user: choose another path", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if l, err = listenPrivate(path); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return l, nil
}
