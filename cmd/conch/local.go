package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/internal/service"
)

const (
	socketName = "conch.sock" // of a peer, in its directory
	noSocket   = "none"
	addrEnv    = "CONCH_ADDR"
)

// defaultSocket is where a peer without a directory serves, and where commands look
// for one that nobody has named.
func defaultSocket() string {
	switch dir := os.Getenv("XDG_RUNTIME_DIR"); {
	case dir != "":
		return filepath.Join(dir, "conch", socketName)
	case os.Getuid() == 0:
		return filepath.Join("/run/conch", socketName)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("conch-%d", os.Getuid()), socketName)
}

// serveLocal serves the programs on this machine. Where the socket is nobody's
// choice, a peer does without one that is taken.
func serveLocal(peer *conch.Peer, o *peerOptions, warnings io.Writer) (io.Closer, error) {
	server := service.New(peer)
	path := o.socket
	switch {
	case path == noSocket:
		return server, nil
	case path == "" && o.Dir != "":
		path = filepath.Join(o.Dir, socketName)
	case path == "":
		path = defaultSocket()
	}
	l, err := service.ListenUnix(path)
	switch {
	case err == nil:
		server.Serve(l)
	case o.socket != "":
		return nil, fmt.Errorf("--socket: %w", err)
	default:
		fmt.Fprintf(warnings, "programs on this machine do not reach this peer: %v (--socket PATH, or --socket none)\n", err)
	}
	return server, nil
}

// localFlags are the flags of commands that ask a running peer.
type localFlags struct{ addr string }

func (f *localFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.addr, "addr", "", "the peer to ask, unix:PATH (default: $"+addrEnv+", else "+service.UnixPrefix+defaultSocket()+")")
}

// where says which peer is asked.
func (f *localFlags) where() string {
	return cmp.Or(f.addr, os.Getenv(addrEnv), service.UnixPrefix+defaultSocket())
}

// explainCall says what is to be done about a call that failed.
func explainCall(addr string, err error) error {
	if err == nil {
		return nil
	}
	return exitError{exitNoPeer, service.Explain(addr, err)}
}
