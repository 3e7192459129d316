// Package service is what a running peer offers to the programs on its machine: the
// calls of proto/conch/v1, as gRPC, as gRPC for browsers, and as JSON over HTTP, all
// at one socket.
package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/grpcreflect/v2"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/internal/mux"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

const (
	// maxMessage bounds what a client may send at once, in bytes.
	maxMessage = 1 << 16
	// headerTime is how long a client may take to say which call it makes, and
	// arriveTime to send what comes with it.
	headerTime = 10 * time.Second
	arriveTime = 10 * time.Second
	// idleTime is how long a connection without a call is kept. Sessions do not mind.
	idleTime = 2 * time.Minute
	// silenceTime is after how long a gRPC client that says nothing is asked whether
	// it runs, and how long it may take to answer. One that is stopped while it waits
	// for a lock would keep its session for ever.
	silenceTime = 10 * time.Second
	// drainTime is how long Close waits for calls under way. Those that watch are
	// told to end, and do at once.
	drainTime = time.Second
)

// Server serves one peer's calls.
type Server struct {
	http     *http.Server
	direct   *direct
	sessions *sessions
	serves   sync.WaitGroup
	ctx      context.Context // ends the calls that last
	cancel   context.CancelFunc

	mu     sync.Mutex
	failed error // the first reason why a listener was given up
}

// New returns a server for a peer. It lasts until Close, which comes before the
// peer's.
func New(peer *conch.Peer) *Server {
	s := &Server{sessions: newSessions(peer)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	calls := connect.NewServer()
	conchv1connect.RegisterPeersHandler(calls, &peers{peer: peer, done: s.ctx.Done()})
	locks := &locks{sessions: s.sessions, done: s.ctx.Done()}
	conchv1connect.RegisterLocksHandler(calls, locks)
	conchv1connect.RegisterViewsHandler(calls, &views{peer: peer, sessions: s.sessions, ctx: s.ctx})
	(&health{peer: peer.Done(), done: s.ctx.Done()}).register(calls)
	grpcreflect.Register(calls)
	s.direct = newDirect(locks)
	routes := http.NewServeMux()
	connecthttp.Mount(routes, calls, connecthttp.WithReadMaxBytes(maxMessage))
	routes.Handle(mux.Path, s.direct)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           guard(routes),
		Protocols:         protocols,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxMessage,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: silenceTime, PingTimeout: silenceTime, WriteByteTimeout: silenceTime},
	}
	return s
}

// Warn has f told, before the first Serve, what people should know meanwhile: so far, for
// whom Close waits.
func (s *Server) Warn(f func(text string)) { s.sessions.warn = f }

// Serve answers at a listener, until Close. It returns at once.
func (s *Server) Serve(l net.Listener) {
	s.serves.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.failed == nil {
				s.failed = fmt.Errorf("no more programs are served at %s: %w", l.Addr(), err)
			}
		}
	})
}

// Close ends all calls, gives back what clients hold, and closes the listeners. It waits
// for clients that hold something: until they have given it back, or what they were told
// of their leases has ended. Those that watch their session are told at once.
func (s *Server) Close() error {
	s.cancel()
	s.sessions.drain()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.direct.Close()
	s.sessions.close()
	s.serves.Wait()
	return errors.Join(err, s.failed)
}
