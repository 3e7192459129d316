package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/client"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/service"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// served is a peer with its service at a unix socket.
type served struct {
	*conch.Peer
	addr   string
	server *service.Server
	dir    string
}

func serve(config conch.Config) (*served, error) {
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "s")
	peer, err := conch.Join(context.Background(), config)
	if err != nil {
		return nil, err
	}
	l, err := local.ListenUnix(path)
	if err != nil {
		return nil, err
	}
	s := &served{peer, local.UnixPrefix + path, service.New(peer), dir}
	s.server.Serve(l)
	return s, nil
}

func (s *served) close() {
	s.server.Close()
	s.Close()
	os.RemoveAll(s.dir)
}

// servedChild is a peer that serves programs until its input ends.
func servedChild(in io.Reader, out io.Writer) error {
	var task peerTask
	if err := json.Unmarshal([]byte(os.Getenv(taskEnv)), &task); err != nil {
		return err
	}
	s, err := serve(task.Config)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintln(out, s.addr)
	_, err = io.Copy(io.Discard, in)
	return err
}

// startServed starts a servedChild that ends with the benchmark, at a machine of several.
func startServed(b *testing.B, machine int, task peerTask) (addr string) {
	b.Helper()
	c := startOn(b, task.core(machine), "served", task.env(b))
	b.Cleanup(func() { c.finish(b) })
	return c.line(b)
}

// emptyCall is a unary call over HTTP/2 that does nothing.
func emptyCall(t connect.Transport) func() error {
	calls := connect.NewClient(t)
	spec := connect.Spec{
		StreamType: connect.StreamTypeUnary, Procedure: "/grpc.health.v1.Health/Check",
		Schema: grpc_health_v1.File_grpc_health_v1_health_proto.Services().ByName("Health").Methods().ByName("Check"),
	}
	return func() error {
		return calls.CallUnary(context.Background(), spec, &grpc_health_v1.HealthCheckRequest{}, &grpc_health_v1.HealthCheckResponse{})
	}
}

// BenchmarkServed is a lock and its release by a program that asks the peer of its
// machine, in another process; the two calls of it alone; and an empty call over
// HTTP/2, in turns, so that all have the same weather.
func BenchmarkServed(b *testing.B) {
	addr := startServed(b, 0, peerTask{Config: conch.Config{Name: "a", Peers: loopback(b, 1)}})
	wire, err := local.Dial(addr)
	if err != nil {
		b.Fatal(err)
	}
	defer wire.Close()
	empty, calls := emptyCall(wire), conchv1connect.NewLocksClient(connect.NewClient(wire))
	program, err := client.Dial(b.Context(), client.Config{Addr: addr})
	if err != nil {
		b.Fatal(err)
	}
	defer program.Close()
	open, err := calls.Open(b.Context(), &conchv1.OpenRequest{})
	if err != nil {
		b.Fatal(err)
	}
	var floor, lock, unlock, acquire, release sample
	timed := func(into *sample, f func() error) {
		began := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		*into = append(*into, time.Since(began))
	}
	mutex := program.Mutex("bench")
	for i := range b.N {
		var hold *conch.Hold
		timed(&floor, empty)
		timed(&lock, func() (err error) { hold, err = mutex.Lock(b.Context()); return err })
		timed(&unlock, func() error { return hold.Unlock() })
		timed(&floor, empty)
		var lease *conchv1.Lease
		timed(&acquire, func() error {
			answer, err := calls.Acquire(b.Context(), &conchv1.AcquireRequest{Session: open.GetSession(), RequestId: fmt.Sprint(i), Lock: "raw"})
			lease = answer.GetLease()
			return err
		})
		timed(&release, func() error {
			_, err := calls.Release(b.Context(), &conchv1.ReleaseRequest{Session: open.GetSession(), Lock: "raw", Token: lease.GetToken()})
			return err
		})
	}
	b.ReportMetric(0, "ns/op")
	floor.report(b, "floor-")
	for name, s := range map[string]sample{"lock": lock, "unlock": unlock, "acquire": acquire, "release": release} {
		b.ReportMetric(float64(s.quantile(0.5))/float64(floor.quantile(0.5)), name+"/floor")
	}
	lock.report(b, "lock-")
}

// waitersTask is what a process full of waiting programs does.
type waitersTask struct {
	Addr            string
	Conns, Sessions int
	Locks           int
}

// waitersChild connects, says so, opens sessions each of which waits for a lock when
// it is told to, and says so when all have been sent.
func waitersChild(in io.Reader, out io.Writer) error {
	var task waitersTask
	if err := json.Unmarshal([]byte(os.Getenv(taskEnv)), &task); err != nil {
		return err
	}
	ctx := context.Background()
	var conns []conchv1connect.LocksClient
	for range task.Conns {
		wire, err := local.Dial(task.Addr)
		if err != nil {
			return err
		}
		calls := conchv1connect.NewLocksClient(connect.NewClient(wire))
		if _, err := calls.KeepAlive(ctx, &conchv1.KeepAliveRequest{Session: "nobody's"}); connect.CodeOf(err) != connect.CodeNotFound {
			return err
		}
		conns = append(conns, calls)
	}
	fmt.Fprintln(out, "connected")
	lines := bufio.NewReader(in)
	if _, err := lines.ReadString('\n'); err != nil {
		return err
	}
	for i := range task.Sessions {
		calls := conns[i%task.Conns]
		open, err := calls.Open(ctx, &conchv1.OpenRequest{Label: "one of many"})
		if err != nil {
			return err
		}
		go calls.Acquire(ctx, &conchv1.AcquireRequest{Session: open.GetSession(), RequestId: "1", Lock: fmt.Sprint("lock", i%task.Locks)})
	}
	fmt.Fprintln(out, "sent")
	_, err := io.Copy(io.Discard, lines)
	return err
}

// footprint is what this process uses: the heap, with nothing to be collected, and
// the stacks.
func footprint() (heap, stacks float64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}

// BenchmarkWaiting is what programs that wait cost the peer of their machine, which
// is this process; the programs are in another one. Run it with -benchtime 1x.
func BenchmarkWaiting(b *testing.B) {
	for _, locks := range []int{1, 1000} {
		b.Run(fmt.Sprintf("sessions=10000/conns=100/locks=%d", locks), func(b *testing.B) {
			for range b.N {
				benchmarkWaiting(b, waitersTask{Conns: 100, Sessions: 10_000, Locks: locks})
			}
		})
	}
}

func benchmarkWaiting(b *testing.B, task waitersTask) {
	s, err := serve(conch.Config{Name: "a", Peers: loopback(b, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	for i := range task.Locks {
		if _, err := s.Mutex(fmt.Sprint("lock", i)).Lock(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	heap0, stacks0 := footprint()
	task.Addr = s.addr
	text, err := json.Marshal(task)
	if err != nil {
		b.Fatal(err)
	}
	programs := startChild(b, "waiters", taskEnv+"="+string(text))
	if line := programs.line(b); line != "connected" {
		b.Fatal(line)
	}
	heap1, stacks1 := footprint()
	goroutines := runtime.NumGoroutine()
	fmt.Fprintln(programs.in, "go")
	programs.line(b)
	for waiting := 0; waiting < task.Sessions; runtime.Gosched() {
		waiting = 0
		for _, l := range s.Status().Locks {
			waiting += l.Waiters
		}
	}
	heap2, stacks2 := footprint()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((heap1-heap0+stacks1-stacks0)/1024/float64(task.Conns), "KiB/conn")
	b.ReportMetric((heap2-heap1)/1024/float64(task.Sessions), "KiB-heap/session")
	b.ReportMetric((stacks2-stacks1)/1024/float64(task.Sessions), "KiB-stack/session")
	b.ReportMetric((heap2-heap1+stacks2-stacks1)/1024/float64(task.Sessions), "KiB/session")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/float64(task.Sessions), "goroutines/session")
	programs.finish(b)
}

// askEnv tells a child whose role is peer to ask a served peer, as a program does.
const askEnv = "CONCH_BENCH_ASK"

// BenchmarkServedHandoff is BenchmarkHandoff for programs that ask the peer of their
// machine: from one program's Unlock to the return of another one's Lock at another
// peer, all in processes of their own. Either they share all cores, or each machine,
// a peer and its program, has one. In the same run it measures the peers' own handoff
// with the same cores, and one way of a bare unix socket and of a stream of gRPC.
func BenchmarkServedHandoff(b *testing.B) {
	for _, cores := range []bool{false, true} {
		for _, inside := range []inside{nothing, works, waits} {
			name := map[bool]string{false: "shared", true: "own"}[cores]
			b.Run(fmt.Sprintf("cores=%s/inside=%s", name, inside), func(b *testing.B) {
				if cores && runtime.NumCPU() < 2 {
					b.Skip("two machines need two cores")
				}
				benchmarkServedHandoff(b, peerTask{Entries: b.N + 100, Inside: inside, Cores: cores})
			})
		}
	}
}

func benchmarkServedHandoff(b *testing.B, task peerTask) {
	plain, stream := socket(b), floor(b)
	socketWay, streamWay := measureFloor(b, plain), measureFloor(b, stream)
	own := handoffs(b, compete(b, 2, task))
	peers := loopback(b, 2)
	var programs []*child
	for machine, name := range []string{"a", "b"} {
		task.Config = conch.Config{Name: name, Peers: peers}
		addr := startServed(b, machine, task)
		programs = append(programs, startPeer(b, machine, task, askEnv+"="+addr))
	}
	asked := handoffs(b, race(b, programs))
	own = append(own, handoffs(b, compete(b, 2, task))...)
	socketWay, streamWay = append(socketWay, measureFloor(b, plain)...), append(streamWay, measureFloor(b, stream)...)
	b.ReportMetric(0, "ns/op")
	asked.report(b, "")
	own.report(b, "own-")
	socketWay.report(b, "socket-way-")
	streamWay.report(b, "stream-way-")
	b.ReportMetric(float64(asked.quantile(0.5))/float64(own.quantile(0.5)), "p50/own")
}
