//go:build unix

package mux

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// rawConn returns what tryWrite needs of a connection; nil if that has none.
func rawConn(conn net.Conn) syscall.RawConn {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// tryWrite writes what a connection takes at once. A deadline would do as much, but sets
// a timer, which wakes a thread.
func tryWrite(raw syscall.RawConn, b []byte) (n int, err error) {
	failed := raw.Write(func(fd uintptr) bool {
		for n < len(b) && err == nil {
			var wrote int
			wrote, err = syscall.Write(int(fd), b[n:])
			if err == syscall.EINTR {
				err = nil
			}
			n += max(wrote, 0)
		}
		return true
	})
	if errors.Is(err, syscall.EAGAIN) {
		err = os.ErrDeadlineExceeded
	}
	return n, errors.Join(failed, err)
}
