package local

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

	"github.com/conchlock/conch/discovery"
)

// Wire is the way to a peer: a connect.Transport. It connects when it is used. The
// unary calls of Locks go the short way if the peer knows it, all others over HTTP/2.
type Wire struct {
	addr   string
	direct *direct
	calls  connect.Transport
	http   *http.Transport
}

// Dial returns the way to the peer that serves at an address, unix:PATH or HOST:PORT.
func Dial(addr string) (*Wire, error) {
	network, target := "tcp", addr
	if path, ok := strings.CutPrefix(addr, UnixPrefix); ok {
		network, target = "unix", path
		if path == "" {
			return nil, fmt.Errorf("address %q: write unix:PATH, the path of a peer's socket", addr)
		}
	} else if err := discovery.CheckAddr(addr); err != nil {
		return nil, fmt.Errorf("%w, or unix:PATH", err)
	}
	dial := func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, target) }
	w := &Wire{addr: addr, direct: &direct{dial: dial}, http: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		Protocols:          new(http.Protocols),
		DisableCompression: true,
	}}
	w.http.Protocols.SetUnencryptedHTTP2(true)
	w.calls = connecthttp.NewTransport(&http.Client{Transport: w.http}, "http://localhost", connecthttp.WithGRPC())
	return w, nil
}

// Addr returns the address.
func (w *Wire) Addr() string { return w.addr }

// Close closes what is connected and not in use, and ends the calls of Locks.
func (w *Wire) Close() {
	w.direct.close()
	w.http.CloseIdleConnections()
}

// NewClientStream implements connect.Transport.
func (w *Wire) NewClientStream(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	if w.direct.takes(spec) {
		client, err := w.direct.connected(ctx)
		if err != nil {
			return nil, asError(unsent{err})
		}
		if client != nil {
			return &unary{ctx: ctx, client: client, procedure: spec.Procedure}, nil
		}
	}
	return w.calls.NewClientStream(ctx, spec)
}

// unsent is why there is no connection for a call.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// Unsent says that a call failed before anything of it was sent. If it is false, that is
// not known.
func Unsent(err error) bool { return errors.As(err, new(unsent)) }

// ErrNoPeer says that no peer answers. Whether the operation happened is said by its
// error.
var ErrNoPeer = errors.New("no peer answers")

// Explain says what is to be done about a call that failed.
func (w *Wire) Explain(err error) error {
	var answer *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s: start one with conch peer, or name the socket of one: of a peer with --dir DIR it is unix:DIR/%s (--addr, $%s)", ErrNoPeer, w.addr, SocketName, addrEnv)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w to this user: %s belongs to another one", ErrNoPeer, w.addr)
	case errors.As(err, &answer) && answer.IsRemote():
		return fmt.Errorf("the peer at %s: %s", w.addr, answer.Message())
	case errors.As(err, &answer) && answer.Code() == connect.CodeUnavailable:
		return fmt.Errorf("%w at %s: %w", ErrNoPeer, w.addr, err)
	}
	return err
}
