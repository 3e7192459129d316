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
