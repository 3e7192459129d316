package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/conchlock/conch/internal/mux"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// direct is the short way to a peer's Locks: one connection, upgraded from HTTP/1.1,
// with all unary calls on it. See package mux.
type direct struct {
	dial func(context.Context) (net.Conn, error)

	mu      sync.Mutex
	client  *mux.Client // nil: none yet
	dialing *attempt    // nil without one
	unknown bool        // the peer does not know it: it is older
	closed  bool
}

// attempt is one to connect. Who comes meanwhile shares its failure, unless that was
// the caller's own affair.
type attempt struct {
	done chan struct{}
	err  error // to be shared
}

// upgradeTime is how long a peer may take to answer the first request.
const upgradeTime = 10 * time.Second

// takes says that a call can go this way.
func (d *direct) takes(spec connect.Spec) bool {
	return spec.StreamType == connect.StreamTypeUnary && strings.HasPrefix(spec.Procedure, "/"+conchv1connect.LocksName+"/")
}

// connected returns the connection, made if need be; nil if there is no such way.
func (d *direct) connected(ctx context.Context) (*mux.Client, error) {
	for {
		d.mu.Lock()
		switch {
		case d.closed:
			d.mu.Unlock()
			return nil, net.ErrClosed
		case d.unknown:
			d.mu.Unlock()
			return nil, nil
		case d.client != nil && !d.client.Ended():
			defer d.mu.Unlock()
			return d.client, nil
		case d.dialing == nil:
			d.dialing = &attempt{done: make(chan struct{})}
			d.mu.Unlock()
			return d.connect(ctx)
		}
		other := d.dialing
		d.mu.Unlock()
		select {
		case <-other.done:
			if other.err != nil {
				return nil, other.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// connect makes a connection.
func (d *direct) connect(ctx context.Context) (*mux.Client, error) {
	client, unknown, err := d.upgrade(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() == nil {
		d.dialing.err = err
	}
	close(d.dialing.done)
	d.dialing = nil
	switch {
	case err != nil:
		return nil, err
	case unknown:
		d.unknown = true
		return nil, nil
	case d.closed:
		client.Close()
		return nil, net.ErrClosed
	}
	d.client = client
	return client, nil
}

// upgrade asks for the short way. Whatever answers, but not with it, is asked the long
// way, which finds out what it is.
func (d *direct) upgrade(ctx context.Context) (client *mux.Client, unknown bool, err error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, false, err
	}
	conn.SetDeadline(time.Now().Add(upgradeTime))
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	in := bufio.NewReader(conn)
	unknown, err = ask(conn, in)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil || unknown {
		conn.Close()
		return nil, unknown, err
	}
	conn.SetDeadline(time.Time{})
	return mux.NewClient(conn, in), false, nil
}

// ask sends the request, and reads the answer.
func ask(conn net.Conn, in *bufio.Reader) (unknown bool, err error) {
	_, err = io.WriteString(conn, "POST "+mux.Path+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: "+mux.Protocol+"\r\n\r\n")
	if err != nil {
		return false, err
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return false, fmt.Errorf("the answer to the first request: %w", err)
	}
	return answer.StatusCode != http.StatusSwitchingProtocols || !strings.EqualFold(answer.Header.Get("Upgrade"), mux.Protocol), nil
}

// close ends the connection, and the calls under way.
func (d *direct) close() {
	d.mu.Lock()
	d.closed = true
	client := d.client
	d.mu.Unlock()
	if client != nil {
		client.Close()
	}
}

// unary is one call, as a connect.Client makes it. It happens in Receive.
type unary struct {
	ctx       context.Context
	client    *mux.Client
	procedure string
	request   []byte
	done      bool
}

// SendHeaders implements connect.ClientStream.
func (u *unary) SendHeaders() error { return nil }

// Send implements connect.ClientStream.
func (u *unary) Send(msg any) (err error) {
	u.request, err = proto.Marshal(msg.(proto.Message))
	return err
}

// CloseSend implements connect.ClientStream.
func (u *unary) CloseSend() error { return nil }

// Close implements connect.ClientStream.
func (u *unary) Close() error { return nil }

// Receive implements connect.ClientStream.
func (u *unary) Receive(msg any) error {
	if u.done {
		return io.EOF
	}
	u.done = true
	body, err := u.client.Call(u.ctx, u.procedure, u.request)
	if err != nil {
		return asError(err)
	}
	if err := proto.Unmarshal(body, msg.(proto.Message)); err != nil {
		return connect.Errorf(connect.CodeInternal, "unmarshal message: %v", err)
	}
	return nil
}

// asError says an error as connect would.
func asError(err error) error {
	var failed *mux.Failure
	code := connect.CodeUnavailable
	switch {
	case errors.As(err, &failed):
		return connect.NewError(connect.Code(failed.Code), failed.Message).WithRemote()
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	}
	return connect.NewError(code, err.Error()).WithCause(err)
}
