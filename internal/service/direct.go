package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/conchlock/conch/internal/mux"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

const (
	// maxCalls bounds the calls of one connection that wait, as HTTP/2 does. A program
	// has one session, so it reaches maxWishes before.
	maxCalls = 1 << 12
	// maxPending bounds the answers that a client does not read, in bytes.
	maxPending = 1 << 18
)

// direct serves the unary calls of Locks over connections that were upgraded from
// HTTP/1.1: with the same handlers, but without what HTTP/2 costs each call.
type direct struct {
	*mux.Server
	locks *locks
	calls *connect.Server
	unary map[string]bool // the procedures
}

func newDirect(l *locks, calls *connect.Server) *direct {
	d := &direct{locks: l, calls: calls, unary: make(map[string]bool)}
	for spec := range calls.Specs() {
		if spec.StreamType == connect.StreamTypeUnary && strings.HasPrefix(spec.Procedure, "/"+conchv1connect.LocksName+"/") {
			d.unary[spec.Procedure] = true
		}
	}
	d.Server = mux.NewServer(d.call, mux.Limits{
		Request: maxMessage, Calls: maxCalls, Pending: maxPending,
		Arrive: arriveTime, Silence: silenceTime, Close: drainTime,
		Busy: uint32(connect.CodeResourceExhausted), Broken: uint32(connect.CodeInvalidArgument),
	})
	return d
}

// ServeHTTP upgrades a connection. It wants a POST, since the guard lets web pages of
// other origins GET what they like.
func (d *direct) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.ProtoMajor != 1 || !strings.EqualFold(r.Header.Get("Upgrade"), mux.Protocol) {
		w.Header().Set("Upgrade", mux.Protocol)
		http.Error(w, "ask by POST over HTTP/1.1 to upgrade the connection to "+mux.Protocol, http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	conn.SetDeadline(time.Now().Add(arriveTime))
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+mux.Protocol+"\r\n\r\n")
	if err != nil {
		conn.Close()
		return
	}
	d.Serve(conn, buffered.Reader)
}

// call is the mux.Handler. Acquire is the only call that may wait for long, and does
// so without holding up the others. The rest waits for the node's mutex at most: a
// node that hangs, because its disk does, renews no lease, so there is no good news to
// be held up.
func (d *direct) call(c *mux.Call, procedure string, request []byte) {
	if procedure == conchv1connect.LocksAcquireProcedure {
		var r conchv1.AcquireRequest
		if err := proto.Unmarshal(request, &r); err != nil {
			c.Fail(asFailure(unreadable(err)))
			return
		}
		leave := d.locks.acquire(&r, func(a *conchv1.AcquireResponse, err error) { respond(c, a, err) })
		c.Gone(func() { leave(context.Canceled) })
		return
	}
	if !d.unary[procedure] {
		c.Fail(&mux.Failure{Code: uint32(connect.CodeUnimplemented), Message: "this peer does not know the call " + procedure})
		return
	}
	x := &exchange{request: request}
	err := d.calls.Call(context.Background(), procedure, nil, x)
	respond(c, x.answer, err)
}

func unreadable(err error) error { return invalid("unmarshal message: %v", err) }

// respond answers a call.
func respond(c *mux.Call, answer proto.Message, err error) {
	var body []byte
	if err == nil {
		body, err = proto.Marshal(answer)
	}
	if err != nil {
		c.Fail(asFailure(err))
		return
	}
	c.Answer(body)
}

// asFailure says an error as connect would: text that was not meant for the caller is
// left out.
func asFailure(err error) *mux.Failure {
	f := &mux.Failure{Code: uint32(connect.CodeOf(err))}
	var known *connect.Error
	if errors.As(err, &known) {
		f.Message = known.Message()
	}
	return f
}

// exchange is one unary call, as a handler sees it.
type exchange struct {
	request []byte
	answer  proto.Message
}

// Receive implements connect.ServerStream.
func (x *exchange) Receive(msg any) error {
	if x.request == nil {
		return io.EOF
	}
	err := proto.Unmarshal(x.request, msg.(proto.Message))
	x.request = nil
	if err != nil {
		return unreadable(err)
	}
	return nil
}

// SendHeaders implements connect.ServerStream.
func (x *exchange) SendHeaders() error { return nil }

// Send implements connect.ServerStream.
func (x *exchange) Send(msg any) error {
	x.answer = msg.(proto.Message)
	return nil
}
