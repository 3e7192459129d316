// Package transport carries links over gRPC: one long-lived stream for each
// direction between two peers. Package link has the protocol; here are the
// schema's encoding, the server and the dialing.
package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
	"github.com/conchlock/conch/internal/transport/wire"
)

// maxFrame is gRPC's limit on a message, both ways.
const maxFrame = link.MaxBatch + link.MaxPacket + 4096

// window is how much may be under way on a connection that its reader has not
// taken. It is fixed since gRPC's own estimate costs a ping for nearly every
// small message, on the hot path.
const window = 4 << 20

// hangUpTime is after how long Close breaks the connections of others who do not
// end their streams; by then links have drained.
const hangUpTime = 3 * time.Second

// handshakeTime is how long a connection may take to begin to speak HTTP/2.
const handshakeTime = 10 * time.Second

// Config says what a transport is for. All peers of a cluster must agree on
// Open, Votes, Cluster, Algorithm, TTL and Drift.
type Config struct {
	Self        algo.PeerName
	Incarnation algo.Incarnation
	Clock       algo.Time                // where the Lamport clock of this incarnation starts
	Listen      string                   // address to listen on, HOST:PORT
	Peers       map[algo.PeerName]string // where each peer is reached, as far as that is known (Self may be left out); read from Start on
	Open        bool                     // peers without a vote come and go, by Add and Remove
	Votes       map[algo.PeerName]int    // of each peer in quorums (if Open, of those with a vote, and of Self); nil gives everyone one
	Cluster     string
	Algorithm   string
	TTL         time.Duration // of leases; heartbeats come every TTL/8
	Drift       int64         // bound on the difference of two clocks' rates, in parts per million
	Leases      bool          // the algorithm has leases

	// Outdated is told when a peer has, at this peer's address, met a later
	// incarnation than this one. There are no links with that peer until this
	// one is started again with an incarnation above known. It must not block,
	// nor close the transport. May be nil.
	Outdated func(known algo.Incarnation)
	Logger   *slog.Logger // for what Handler is not told; nil discards
	Seed     uint64       // of the chance in pauses between attempts
	Limits   link.Limits  // on what waits for one peer
}

// Transport is a node.Transport over gRPC.
type Transport struct {
	links    *link.Transport
	peers    map[algo.PeerName]string
	listener *listener
	server   *grpc.Server
	views    *Views
	serving  chan struct{} // closed when server.Serve has returned; nil before Start
}

var _ node.Transport = (*Transport)(nil)

// New binds the listener and returns a transport that is not yet started.
func New(cfg Config) (*Transport, error) {
	t := &Transport{peers: cfg.Peers}
	links, err := link.New(linkConfig(cfg), t)
	if err != nil {
		return nil, err
	}
	t.links = links
	tcp, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", cfg.Listen, cause(err))
	}
	t.listener = newListener(tcp)
	t.server = newServer(cfg.TTL)
	wire.RegisterPeersServer(t.server, &server{links: links})
	t.views = newViews(cfg, links.Located)
	wire.RegisterViewsServer(t.server, viewsServer{Views: t.views})
	grpc_health_v1.RegisterHealthServer(t.server, health.NewServer())
	reflection.Register(t.server)
	return t, nil
}

// newServer returns a server that hangs up on whoever does not answer for two TTLs. Links
// find that out by their beats; this is for those who look at locks, and vanish.
func newServer(ttl time.Duration) *grpc.Server {
	return grpc.NewServer(
		grpc.MaxRecvMsgSize(maxFrame),
		grpc.MaxSendMsgSize(maxFrame),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.WaitForHandlers(true),
		grpc.StaticStreamWindowSize(window),
		grpc.StaticConnWindowSize(window),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: max(ttl, time.Second), Timeout: max(ttl, time.Second)}),
	)
}

func linkConfig(cfg Config) link.Config {
	votes := cfg.Votes
	if votes == nil {
		votes = map[algo.PeerName]int{cfg.Self: 1}
		for name := range cfg.Peers {
			votes[name] = 1
		}
	}
	return link.Config{
		Self:        cfg.Self,
		Incarnation: cfg.Incarnation,
		Clock:       cfg.Clock,
		Open:        cfg.Open,
		Votes:       votes,
		Cluster:     cfg.Cluster,
		Algorithm:   cfg.Algorithm,
		TTL:         cfg.TTL,
		Drift:       cfg.Drift,
		Leases:      cfg.Leases,
		Outdated:    cfg.Outdated,
		Logger:      cfg.Logger,
		Seed:        cfg.Seed,
		Limits:      cfg.Limits,
		Size:        messageSize,
	}
}

// Addr returns the address that the transport listens on.
func (t *Transport) Addr() net.Addr { return t.listener.Addr() }

// Start implements node.Transport.
func (t *Transport) Start(h node.Handler) error {
	if err := t.links.Start(h); err != nil {
		return err
	}
	t.serving = make(chan struct{})
	go func() {
		defer close(t.serving)
		// It returns when Close stops the server, and never for a connection's
		// sake; what a link then lacks, its own reasons say.
		_ = t.server.Serve(t.listener)
	}()
	return nil
}

// Close implements node.Transport.
func (t *Transport) Close() error {
	// A stream whose other end reads nothing holds up its writer until the
	// connection breaks.
	stop := time.AfterFunc(hangUpTime, t.listener.hangUp)
	defer stop.Stop()
	err := t.links.Close()
	t.listener.hangUp()
	t.server.Stop()
	if t.serving == nil {
		return t.listener.Close()
	}
	<-t.serving
	return err
}

// Add implements node.Transport.
func (t *Transport) Add(peer algo.PeerName) { t.links.Add(peer) }

// Remove implements node.Transport. It also forgets what Locate said.
func (t *Transport) Remove(peer algo.PeerName) { t.links.Remove(peer) }

// Locate says where a peer is dialed from now on, HOST:PORT. A link that is up
// stays as it is, since what is said here may be wrong; if it is down, the peer is
// dialed at once. What is said of a peer before it is added, counts once it is;
// Remove forgets it. Locate, Retry and Rest must not be called from a call of
// Handler, nor while anything is held that such a call waits for.
func (t *Transport) Locate(peer algo.PeerName, addr string) { t.links.Locate(peer, addr) }

// Retry is a hint that a peer is there again: if it is not being dialed, it is at
// once.
func (t *Transport) Retry(peer algo.PeerName) { t.links.Retry(peer) }

// Rest is a hint that a peer is not there (or, after all, is): attempts to reach
// it become rare, until Retry, Locate or a stream from it says otherwise.
func (t *Transport) Rest(peer algo.PeerName, rests bool) { t.links.Rest(peer, rests) }

// RoundTrip is how long it took to get an answer from a peer when the stream to it was
// last set up; 0 if there was none.
func (t *Transport) RoundTrip(peer algo.PeerName) time.Duration { return t.links.RoundTrip(peer) }

// Located says where a peer is dialed; empty if nobody has said, or there is no such
// peer.
func (t *Transport) Located(peer algo.PeerName) string { return t.links.Located(peer) }

// Where implements link.Carrier.
func (t *Transport) Where(to algo.PeerName) string { return t.peers[to] }

// Dial implements link.Carrier. Every attempt has a connection of its own, so
// that the pauses between attempts are package link's alone, and a stream says
// something about the address as it is now.
func (t *Transport) Dial(ctx context.Context, _ algo.PeerName, addr string) (link.Stream, error) {
	var dialer net.Dialer
	tcp, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, cause(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, append(dialOptions(),
		grpc.WithContextDialer(once(tcp)),
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
	)...)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	d := &dialed{tcp: tcp, conn: conn}
	if d.stream, err = wire.NewPeersClient(conn).Link(ctx); err != nil {
		d.Close()
		return nil, plain(err)
	}
	return d, nil
}

// dialOptions are those of every connection to another peer.
func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxFrame), grpc.MaxCallSendMsgSize(maxFrame)),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithNoProxy(),
	}
}

// once returns a dialer that has only this one connection to give.
func once(tcp net.Conn) func(context.Context, string) (net.Conn, error) {
	var given atomic.Bool
	return func(context.Context, string) (net.Conn, error) {
		if given.Swap(true) {
			return nil, errors.New("the connection is lost")
		}
		return tcp, nil
	}
}

// cause takes from a network error what the reader knows: operation, address.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// server is what gRPC calls.
type server struct {
	wire.UnimplementedPeersServer
	links *link.Transport
}

// Link implements wire.PeersServer.
func (s *server) Link(stream wire.Peers_LinkServer) error {
	err := s.links.Serve(&served{stream: stream, decoder: newDecoder()})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return coded(err)
}
