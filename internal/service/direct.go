package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
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
	unary map[string]func(request []byte) (answer proto.Message, err error)
}

func newDirect(l *locks) *direct {
	d := &direct{locks: l, unary: map[string]func([]byte) (proto.Message, error){
		conchv1connect.LocksOpenProcedure:      unary[conchv1.OpenRequest](l.Open),
		conchv1connect.LocksKeepAliveProcedure: unary[conchv1.KeepAliveRequest](l.KeepAlive),
		conchv1connect.LocksCloseProcedure:     unary[conchv1.CloseRequest](l.Close),
		conchv1connect.LocksCancelProcedure:    unary[conchv1.CancelRequest](l.Cancel),
		conchv1connect.LocksReleaseProcedure:   unary[conchv1.ReleaseRequest](l.Release),
	}}
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
	handle := d.unary[procedure]
	if handle == nil {
		c.Fail(&mux.Failure{Code: uint32(connect.CodeUnimplemented), Message: "this peer does not know the call " + procedure})
		return
	}
	answer, err := handle(request)
	if procedure == conchv1connect.LocksReleaseProcedure {
		yield()
	}
	respond(c, answer, err)
}

// yield lets the links' writers go first: so the lock is on its way to the next peer
// before its last holder is woken up, which needs a core, too. gRPC's writer yields once
// itself, to gather more; hence twice.
func yield() {
	runtime.Gosched()
	runtime.Gosched()
}

// unary makes of a handler one of bytes.
func unary[R any, M interface {
	*R
	proto.Message
}, A proto.Message](handle func(context.Context, M) (A, error)) func([]byte) (proto.Message, error) {
	return func(request []byte) (proto.Message, error) {
		var r M = new(R)
		if err := proto.Unmarshal(request, r); err != nil {
			return nil, unreadable(err)
		}
		return handle(context.Background(), r)
	}
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
