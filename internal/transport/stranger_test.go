package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/conchlock/conch/internal/transport"
	"github.com/conchlock/conch/internal/transport/linktest"
	"github.com/conchlock/conch/internal/transport/wire"
)

// start starts the peer's transport on a network without stopping at the
// suite's interface, since these tests need its address.
func start(t *testing.T, cfg transport.Config) (*transport.Transport, *linktest.Handler) {
	t.Helper()
	tr, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := linktest.NewHandler(t, cfg.Self)
	if err := tr.Start(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr, h
}

// Whoever comes to the port without speaking the protocol is turned away, and
// the links of the peers do not notice.
func TestStrangers(t *testing.T) {
	checkGoroutines(t)
	n := newNetwork(t)
	b, _ := linktest.Start(t, n, linktest.Config("b", 1), false)
	tr, a := start(t, n.config(linktest.Config("a", 1)))
	var silent net.Conn // still open at Close
	defer func() {
		begun := time.Now()
		tr.Close()
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("close took %v", d)
		}
		silent.Close()
	}()
	n.to("a", func(p *proxy) { p.target = tr.Addr().String() })
	a.WaitUp("b")
	b.WaitUp("a")
	addr := tr.Addr().String()

	strangers := map[string]func(t *testing.T){
		"http": func(t *testing.T) {
			knock(t, addr, []byte("GET / HTTP/1.1\r\nHost: conch\r\n\r\n"))
		},
		"tls": func(t *testing.T) {
			dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: linktest.Patience}, Config: &tls.Config{InsecureSkipVerify: true}}
			if conn, err := dialer.Dial("tcp", addr); err == nil {
				conn.Close()
				t.Error("TLS was spoken")
			}
		},
		"garbage": func(t *testing.T) {
			noise := make([]byte, 64<<10)
			r := rand.NewChaCha8([32]byte{1})
			r.Read(noise)
			knock(t, addr, noise)
		},
		"garbage after the preface": func(t *testing.T) {
			noise := make([]byte, 64<<10)
			r := rand.NewChaCha8([32]byte{2})
			r.Read(noise)
			knock(t, addr, append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), noise...))
		},
		"silence": func(t *testing.T) {
			var err error
			if silent, err = net.Dial("tcp", addr); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, knocks := range strangers {
		t.Run(name, func(t *testing.T) {
			knocks(t)
			a.Send("b", 10)
			b.Send("a", 10)
			b.WaitReceived("a", a.Sent())
			a.WaitReceived("b", b.Sent())
		})
	}
	if p := a.Peer("b"); p.Ups != 1 || len(p.Contacts) != 1 {
		t.Errorf("strangers have disturbed the link: up %d times, %q", p.Ups, p.Reasons)
	}
}

// knock sends bytes and waits until the other side hangs up.
func knock(t *testing.T, addr string, bytes []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(linktest.Patience))
	conn.Write(bytes) // may fail, when the other side has seen enough
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("after %d bytes of noise the connection is still open", len(bytes))
	}
}

// connect returns a plain gRPC connection.
func connect(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestHealthAndReflection(t *testing.T) {
	checkGoroutines(t)
	tr, _ := start(t, newNetwork(t).config(linktest.Config("a", 1)))
	ctx, cancel := context.WithTimeout(context.Background(), linktest.Patience)
	defer cancel()
	conn := connect(t, tr.Addr().String())

	health, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health is %v, %v", health, err)
	}

	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, s := range answer.GetListServicesResponse().GetService() {
		services = append(services, s.GetName())
	}
	if !slices.Contains(services, wire.Peers_ServiceDesc.ServiceName) {
		t.Errorf("the services are %q, want %s among them", services, wire.Peers_ServiceDesc.ServiceName)
	}
}

// A peer that is not there is named with its address and the reason, and so is
// one at whose address something else listens.
func TestUnreachable(t *testing.T) {
	checkGoroutines(t)
	n := newNetwork(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := http.Server{Handler: http.NotFoundHandler()}
	served := make(chan error)
	go func() { served <- web.Serve(listener) }()
	defer func() {
		web.Close()
		<-served
	}()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()

	cfg := n.config(linktest.Config("a", 1))
	cfg.TTL = time.Second
	cfg.Peers["b"], cfg.Peers["c"] = free.Addr().String(), listener.Addr().String()
	_, a := start(t, cfg)
	a.WaitDown("b", "cannot reach b at "+free.Addr().String()+": connect: connection refused")
	a.WaitDown("c", "cannot reach c at "+listener.Addr().String()+": ")
}
