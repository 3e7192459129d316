package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/metrics"
)

// adminOptions are the flags about what a peer tells operators.
type adminOptions struct {
	addr  string
	locks int
}

func (o *adminOptions) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.addr, "admin", "", "serve /metrics, /healthz, /readyz and /debug/pprof/ over HTTP at this address, HOST:PORT: whoever reaches it can read the names of locks, and profiles of the process (default: nowhere)")
	f.IntVar(&o.locks, "admin-locks", metrics.DefaultLocks, "with --admin: how many locks have their name in /metrics, those that are used first; the others are counted together; 0 for none")
}

// check finds what is wrong with the flags.
func (o *adminOptions) check(cmd *cobra.Command) error {
	if o.addr == "" {
		if cmd.Flags().Changed("admin-locks") && o.locks != metrics.DefaultLocks {
			return usage("--admin-locks needs an address to serve at: --admin HOST:PORT, as in 127.0.0.1:7430")
		}
		return nil
	}
	var wrong problems
	if o.locks < 0 {
		wrong.add("--admin-locks %d: it cannot be negative", o.locks)
	}
	_, port, err := net.SplitHostPort(o.addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		wrong.add("--admin %q: write HOST:PORT, as in 127.0.0.1:7430; port 0 takes a free one", o.addr)
	}
	return errors.Join(wrong...)
}

// admin is what a peer tells operators over HTTP: its metrics, whether it lives and
// whether it is ready, and profiles of the process. A nil *admin tells nothing.
type admin struct {
	listener net.Listener
	registry *prometheus.Registry
	server   *http.Server
	done     chan struct{} // closed when serve has ended; nil before it
}

// Bounds on what clients may cost a peer that has other things to do.
const (
	adminTime    = 10 * time.Second // for a request to arrive, and for an answer, besides the time that a profile takes
	adminIdle    = 2 * time.Minute  // more than the pause between two scrapes
	adminHeader  = 8 << 10          // bytes
	adminConns   = 64
	adminScrapes = 4 // at a time
)

// listen takes the address, so that the peer does not start where it is taken, and
// makes the peer count what it does; nil if nobody has asked for that.
func (o *adminOptions) listen(cfg *conch.Config) (*admin, error) {
	if o.addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		// It may come: a name that is not known yet, or an address that this machine is
		// about to have. So it is not bad usage, and a service manager tries again.
		return nil, fmt.Errorf("--admin: %w", err)
	}
	locks := o.locks
	if locks == 0 {
		locks = -1
	}
	m := metrics.New(metrics.Options{Locks: locks})
	cfg.Observer = m
	a := &admin{listener: l, registry: prometheus.NewRegistry()}
	a.registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return a, nil
}

// serve answers until Close, and says where.
func (a *admin) serve(peer *conch.Peer, logger *slog.Logger, out *lines) {
	if a == nil {
		return
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	a.server = &http.Server{
		Handler:        adminHandler(peer, a.registry),
		ReadTimeout:    adminTime,
		WriteTimeout:   adminTime, // package pprof adds the time that a profile takes
		IdleTimeout:    adminIdle,
		MaxHeaderBytes: adminHeader,
		ConnState:      atMost(adminConns),
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	a.done = make(chan struct{})
	go func() {
		defer close(a.done)
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("--admin serves no more", "error", err)
		}
	}()
	out.printf("%s tells operators at http://%s: /metrics, /healthz, /readyz, /debug/pprof/", peer.Name(), a.listener.Addr())
}

// Close ends what is under way, and gives the address back.
func (a *admin) Close() error {
	switch {
	case a == nil:
		return nil
	case a.done == nil:
		return a.listener.Close()
	}
	err := a.server.Close()
	<-a.done
	return err
}

// atMost returns what closes new connections while there are n.
func atMost(n int64) func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			if open.Add(1) > n {
				c.Close() // the server notices, and says that it is closed
			}
		case http.StateClosed:
			open.Add(-1)
		}
	}
}

// adminHandler answers GET and HEAD, and nothing else.
func adminHandler(peer *conch.Peer, from prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(from, promhttp.HandlerOpts{MaxRequestsInFlight: adminScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, "the peer runs", peer.Err()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, "locks can be had here", peer.Ready()) })
	// Not the command line: it is nobody's business which files it names.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// answer says in one line that all is well, or what is not.
func answer(w http.ResponseWriter, well string, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		well = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	// Who asks may be gone; there is nobody else to tell.
	_, _ = io.WriteString(w, well+"\n")
}
