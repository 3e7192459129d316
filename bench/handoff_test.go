package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/client"
	"github.com/conchlock/conch/metrics"
)

// peerTask is what one peer's process does.
type peerTask struct {
	Config  conch.Config
	Logged  bool
	Counted bool
	Entries int // how often it enters, as fast as it can
	Inside  inside
	Cores   bool // processes of one machine share a core, and those of another have another
}

// inside is what a peer does in the critical section.
type inside string

const (
	nothing inside = "nothing"
	works   inside = "works"
	waits   inside = "waits"
)

// insideTime is for how long it does so.
const insideTime = 200 * time.Microsecond

// do does it.
func (i inside) do() {
	switch i {
	case waits:
		<-time.After(insideTime)
	case works:
		for began := time.Now(); time.Since(began) < insideTime; {
		}
	}
}

// core is the one that a machine has for itself; 0 if it may use any.
func (t *peerTask) core(machine int) int {
	if t.Cores {
		return machine + 1
	}
	return 0
}

// taskEnv has the task of a child whose role is peer.
const taskEnv = "CONCH_BENCH_TASK"

// stay is one stay in the critical section. All processes are on one machine,
// so their clocks are one clock.
type stay struct {
	Peer        string
	Token       conch.Token
	Enter, Exit int64 // ns since 1970
}

// peerChild joins as one peer, waits until it is told that all others have, makes
// its entries, and says when it is done. It stays until its input ends, so that
// the others can finish, and then says when it was inside.
func peerChild(in io.Reader, out io.Writer) error {
	var task peerTask
	if err := json.Unmarshal([]byte(os.Getenv(taskEnv)), &task); err != nil {
		return err
	}
	if task.Logged {
		task.Config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if task.Counted {
		task.Config.Observer = metrics.New(metrics.Options{})
	}
	ctx := context.Background()
	peer, err := joinOrAsk(ctx, task.Config)
	if err != nil {
		return err
	}
	defer peer.Close()
	mutex := peer.Mutex("bench")
	fmt.Fprintln(out, "joined")
	lines := bufio.NewReader(in)
	if _, err := lines.ReadString('\n'); err != nil && err != io.EOF {
		return err
	}
	stays := make([]stay, 0, task.Entries)
	for range task.Entries {
		hold, err := mutex.Lock(ctx)
		if err != nil {
			return err
		}
		enter := time.Now().UnixNano()
		task.Inside.do()
		stays = append(stays, stay{task.Config.Name, hold.Token(), enter, time.Now().UnixNano()})
		if err := hold.Unlock(); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "done")
	if _, err := io.Copy(io.Discard, lines); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(stays)
}

// joinOrAsk joins as a peer, or asks one that is served.
func joinOrAsk(ctx context.Context, config conch.Config) (interface {
	Mutex(name string) *conch.Mutex
	Close() error
}, error) {
	if addr := os.Getenv(askEnv); addr != "" {
		return client.Dial(ctx, client.Config{Addr: addr})
	}
	return conch.Join(ctx, config)
}

// startPeer starts a peerChild, at a machine of several, the first is 0.
func startPeer(b *testing.B, machine int, task peerTask, env ...string) *child {
	b.Helper()
	return startOn(b, task.core(machine), "peer", append(env, task.env(b))...)
}

// env is the task as it is handed to a child.
func (t *peerTask) env(b *testing.B) string {
	b.Helper()
	text, err := json.Marshal(t)
	if err != nil {
		b.Fatal(err)
	}
	return taskEnv + "=" + string(text)
}

// compete runs peers as processes that fight for one lock, and returns all their
// stays in the order of their tokens.
func compete(b *testing.B, peers int, task peerTask) []stay {
	b.Helper()
	task.Config.Peers = loopback(b, peers)
	var processes []*child
	for i := range peers {
		task.Config.Name = string(rune('a' + i))
		processes = append(processes, startPeer(b, i, task))
	}
	return race(b, processes)
}

// race lets processes fight for the lock.
func race(b *testing.B, processes []*child) []stay {
	b.Helper()
	for _, p := range processes {
		p.line(b) // joined
	}
	for _, p := range processes {
		fmt.Fprintln(p.in, "go")
	}
	for _, p := range processes {
		p.line(b) // done
	}
	var all []stay
	for _, p := range processes {
		var stays []stay
		if err := json.Unmarshal(p.finish(b), &stays); err != nil {
			b.Fatal(err)
		}
		all = append(all, stays...)
	}
	slices.SortFunc(all, func(x, y stay) int { return cmp.Compare(x.Token, y.Token) })
	return all
}

// loopback returns free addresses on loopback.
func loopback(b *testing.B, n int) conch.Peers {
	b.Helper()
	peers := make(conch.Peers)
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close() // after all are chosen, so that none is chosen twice
		peers[string(rune('a'+i))] = l.Addr().String()
	}
	return peers
}

// BenchmarkHandoff measures from one peer's Unlock to the return of another
// one's Lock, between processes that all want the lock all the time. The floor
// is measured in the same run, between stretches of it.
func BenchmarkHandoff(b *testing.B) {
	for _, algorithm := range roster.Names() {
		for _, peers := range []int{2, 3} {
			b.Run(fmt.Sprintf("%s/peers=%d/trace=off", algorithm, peers), func(b *testing.B) {
				benchmarkHandoff(b, peers, peerTask{Config: conch.Config{Algorithm: algorithm}})
			})
			b.Run(fmt.Sprintf("%s/peers=%d/trace=on", algorithm, peers), func(b *testing.B) {
				benchmarkHandoff(b, peers, peerTask{Config: conch.Config{Algorithm: algorithm, TraceDir: b.TempDir()}})
			})
		}
	}
	b.Run("relay/peers=2/metrics=on", func(b *testing.B) {
		benchmarkHandoff(b, 2, peerTask{Counted: true})
	})
	b.Run("relay/peers=2/trace=on/log=on", func(b *testing.B) {
		benchmarkHandoff(b, 2, peerTask{Logged: true, Config: conch.Config{TraceDir: b.TempDir()}})
	})
}

func benchmarkHandoff(b *testing.B, peers int, task peerTask) {
	roundTrip := floor(b)
	before := measureFloor(b, roundTrip)
	task.Entries = b.N + 100
	if tokenRests(task.Config.Algorithm) {
		task.Entries *= 50 // most are re-entries where the token rests
	}
	stays := compete(b, peers, task)
	floorWay := append(before, measureFloor(b, roundTrip)...)

	found := handoffs(b, stays)
	b.ReportMetric(0, "ns/op")
	if len(found) == 0 {
		return
	}
	found.report(b, "")
	floorWay.report(b, "floor-")
	b.ReportMetric(float64(found.quantile(0.5))/float64(floorWay.quantile(0.5)), "p50/floor")
	b.ReportMetric(float64(found.quantile(0.99))/float64(floorWay.quantile(0.99)), "p99/floor-p99")
}

// handoffs are the times from one's exit to another one's entry.
func handoffs(b *testing.B, stays []stay) (found sample) {
	b.Helper()
	stays = stays[len(stays)/20:] // without the start
	for i := 1; i < len(stays); i++ {
		gap := stays[i].Enter - stays[i-1].Exit
		if gap < 0 {
			b.Fatalf("an entry overlaps the one before: %v", stays[i-1:i+1])
		}
		if stays[i].Peer != stays[i-1].Peer {
			found = append(found, time.Duration(gap))
		}
	}
	return found
}

// tokenRests says that a lock's token begins at the first peer, and rests for as
// long as nobody else is heard to want it.
func tokenRests(algorithm string) bool {
	switch algorithm {
	case "token-ring", "suzuki-kasami", "raymond", "naimi-trehel":
		return true
	}
	return false
}

// measureFloor measures the floor for a while.
func measureFloor(b *testing.B, roundTrip func() error) sample {
	b.Helper()
	times, err := measure(2000, roundTrip)
	if err != nil {
		b.Fatal(err)
	}
	return times
}

// BenchmarkFirstAcquire measures Lock of locks that nobody has used, with two
// other peers that want nothing. It takes a round trip to both, or with maekawa to
// one of them.
func BenchmarkFirstAcquire(b *testing.B) {
	for _, algorithm := range roster.Names() {
		if tokenRests(algorithm) {
			continue // it rests with the peer that measures
		}
		b.Run(algorithm, func(b *testing.B) { benchmarkFirst(b, conch.Config{Algorithm: algorithm}) })
		b.Run(algorithm+"/trace=on", func(b *testing.B) {
			benchmarkFirst(b, conch.Config{Algorithm: algorithm, TraceDir: b.TempDir()})
		})
	}
}

func benchmarkFirst(b *testing.B, config conch.Config) {
	roundTrip := floor(b)
	floorWay := measureFloor(b, roundTrip)
	config.Peers = loopback(b, 3)
	var others []*child
	for i, name := range []string{"b", "c"} {
		config.Name = name
		others = append(others, startPeer(b, i+1, peerTask{Config: config}))
	}
	config.Name = "a"
	peer, err := conch.Join(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer peer.Close()
	var took sample
	for i := range b.N + 100 {
		start := time.Now()
		hold, err := peer.Mutex(fmt.Sprint("lock", i)).Lock(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if i >= 100 {
			took = append(took, time.Since(start))
		}
		if err := hold.Unlock(); err != nil {
			b.Fatal(err)
		}
	}
	floorWay = append(floorWay, measureFloor(b, roundTrip)...)
	took.report(b, "")
	floorWay.report(b, "floor-")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.quantile(0.5))/float64(2*floorWay.quantile(0.5)), "p50/round-trip")
	for _, p := range others {
		p.finish(b)
	}
}
