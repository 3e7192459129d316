// Package local is about where a peer serves the programs on its machine, and the
// way to it.
package local

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
)

const (
	// UnixPrefix begins the address of a peer's socket.
	UnixPrefix = "unix:"
	// SocketName is what a peer's socket is called, in its directory.
	SocketName = "conch.sock"

	addrEnv = "CONCH_ADDR"
)

// Addr says where a peer is asked: at addr, $CONCH_ADDR, or the default socket.
func Addr(addr string) string {
	return cmp.Or(addr, os.Getenv(addrEnv), UnixPrefix+DefaultSocket())
}

// DefaultSocket is where a peer serves that was given neither a directory nor a
// socket: in $XDG_RUNTIME_DIR, for root in /run, else in a folder of the user's
// below the system's folder for temporary files.
func DefaultSocket() string {
	switch dir := os.Getenv("XDG_RUNTIME_DIR"); {
	case dir != "":
		return filepath.Join(dir, "conch", SocketName)
	case os.Getuid() == 0:
		return filepath.Join("/run/conch", SocketName)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("conch-%d", os.Getuid()), SocketName)
}
