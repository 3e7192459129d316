package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/conchlock/conch/discovery"
)

const (
	addrEnv    = "CONCH_ADDR"
	unixPrefix = "unix:"
)

// Addr says where a peer is asked: addr itself, $CONCH_ADDR, or DefaultAddr.
func Addr(addr string) string { return cmp.Or(addr, os.Getenv(addrEnv), DefaultAddr()) }

// DefaultAddr is where a peer serves that was given neither a directory nor a
// socket: a socket in $XDG_RUNTIME_DIR, for root in /run, else below the system's
// folder for temporary files.
func DefaultAddr() string { return unixPrefix + defaultSocket() }

func defaultSocket() string {
	const name = "conch.sock"
	switch dir := os.Getenv("XDG_RUNTIME_DIR"); {
	case dir != "":
		return filepath.Join(dir, "conch", name)
	case os.Getuid() == 0:
		return filepath.Join("/run/conch", name)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("conch-%d", os.Getuid()), name)
}

// Wire is a connect.Transport to a peer, for calls that Client has no method for.
// HangUp closes its connections.
type wire struct {
	connect.Transport
	hangUp func()
}

// newWire returns the way to the peer at an address.
func newWire(addr string) (*wire, error) {
	network, target := "tcp", addr
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		network, target = "unix", path
		if path == "" {
			return nil, fmt.Errorf("address %q: write unix:PATH, the path of a peer's socket", addr)
		}
	} else if err := discovery.CheckAddr(addr); err != nil {
		return nil, fmt.Errorf("%w, or unix:PATH", err)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, target)
		},
		Protocols:          new(http.Protocols),
		DisableCompression: true,
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &wire{
		Transport: connecthttp.NewTransport(&http.Client{Transport: transport}, "http://conch", connecthttp.WithGRPC()),
		hangUp:    transport.CloseIdleConnections,
	}, nil
}

// explain says what is to be done about a call that failed.
func (c *Client) explain(err error) error { return explain(c.addr, err) }

func explain(addr string, err error) error {
	var remote *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s: start one with conch peer, or name another with $%s", ErrNoPeer, addr, addrEnv)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w to this user: %s belongs to another one", ErrNoPeer, addr)
	case errors.As(err, &remote) && remote.IsRemote():
		return fmt.Errorf("the peer at %s: %s", addr, remote.Message())
	case connect.CodeOf(err) == connect.CodeUnavailable:
		return fmt.Errorf("%w at %s: %w", ErrNoPeer, addr, err)
	}
	return err
}
