//go:build !linux

package local

import (
	"errors"
	"net"
	"os"
)

// listenPrivate makes the socket, and closes it to others at once. Until then
// whoever may enter its folder can reach it.
func listenPrivate(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
