//go:build !unix

package mux

import (
	"errors"
	"net"
	"syscall"
)

// rawConn returns nil: there is no tryWrite here.
func rawConn(net.Conn) syscall.RawConn { return nil }

func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
