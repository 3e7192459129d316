package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
)

// UnixPrefix begins the address of a peer's socket.
const UnixPrefix = "unix:"

// Dial returns the way to the peer that serves at an address, unix:PATH. It connects
// when it is used.
func Dial(addr string) (*connect.Client, error) {
	path, ok := strings.CutPrefix(addr, UnixPrefix)
	if !ok || path == "" {
		return nil, fmt.Errorf("%q: write unix:PATH, the path of the socket of a peer on this machine", addr)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		Protocols: new(http.Protocols),
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return connect.NewClient(connecthttp.NewTransport(&http.Client{Transport: transport}, "http://conch", connecthttp.WithGRPC())), nil
}

// Explain says what is to be done about a call that failed.
func Explain(addr string, err error) error {
	var remote *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no peer answers at %s: start one with conch peer, or name the socket of one: of a peer with --dir DIR it is unix:DIR/conch.sock", addr)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s belongs to another user: ask a peer of your own, or become that user", addr)
	case errors.As(err, &remote):
		return fmt.Errorf("the peer at %s: %s", addr, remote.Message())
	}
	return fmt.Errorf("the peer at %s: %w", addr, err)
}
