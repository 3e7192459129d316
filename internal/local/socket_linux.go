package local

import (
	"context"
	"net"
	"syscall"
)

// listenPrivate makes the socket with its mode, so that at no moment others can
// reach it: on Linux that of the file is taken from the socket it is bound to.
func listenPrivate(path string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var failed error
		if err := conn.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) }); err != nil {
			return err
		}
		return failed
	}}
	return config.Listen(context.Background(), "unix", path)
}
