package bench

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport"
)

// end is one end of the link: a handler that counts and passes on.
type end struct {
	up      chan struct{} // closed when it is up
	once    sync.Once
	link    node.Link
	number  uint64
	receive func(packets []node.Packet)
}

func (e *end) Contact(c node.Contact)                                      { e.link = c.Link }
func (e *end) Receive(_ algo.PeerName, _ node.Link, packets []node.Packet) { e.receive(packets) }
func (e *end) Up(algo.PeerName)                                            { e.once.Do(func() { close(e.up) }) }
func (e *end) Down(algo.PeerName, string)                                  {}
func (e *end) Dropped(algo.PeerName, []node.Packet)                        {}
func (e *end) BeforeSend()                                                 {}

func (e *end) send() {
	e.number++
	e.link.Send(node.Packet{
		Number: e.number, Time: 1 << 50, Lock: "nightly-report",
		Message: ricartagrawala.Request{Stamp: algo.Stamp{Time: 1 << 50, Peer: "a", Incarnation: 1 << 50}},
	})
}

func newTransport(self, other algo.PeerName, addr string) (*transport.Transport, map[algo.PeerName]string, error) {
	peers := map[algo.PeerName]string{other: addr}
	t, err := transport.New(transport.Config{
		Self: self, Incarnation: 1, Listen: "127.0.0.1:0", Peers: peers,
		Cluster: "bench", Algorithm: "ricart-agrawala", TTL: 5 * time.Second,
	})
	return t, peers, err
}

// burst is after how many packets of a burst the child answers. A lone packet
// of a ping-pong is told from a burst by its lock.
const burst = 1000

func linkChild(in io.Reader, out io.Writer) error {
	t, peers, err := newTransport("b", "a", "")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, t.Addr())
	lines := bufio.NewReader(in)
	addr, err := lines.ReadString('\n')
	if err != nil {
		return err
	}
	peers["a"] = strings.TrimSpace(addr)
	mode, err := lines.ReadString('\n')
	if err != nil {
		return err
	}
	e := &end{up: make(chan struct{})}
	count := 0
	e.receive = func(packets []node.Packet) {
		if mode == "burst\n" {
			for count += len(packets); count >= burst; count -= burst {
				e.send()
			}
			return
		}
		for range packets {
			e.send()
		}
	}
	if err := t.Start(e); err != nil {
		return err
	}
	io.Copy(io.Discard, lines)
	return t.Close()
}

// startLink returns this process's end of a link to another process.
func startLink(b *testing.B, mode string, receive func([]node.Packet)) *end {
	b.Helper()
	c, addr := startServer(b, "link")
	t, _, err := newTransport("a", "b", addr)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprintf(c.in, "%s\n%s\n", t.Addr(), mode)
	e := &end{up: make(chan struct{}), receive: receive}
	if err := t.Start(e); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { t.Close() })
	<-e.up
	return e
}

// BenchmarkLinkPingPong is the floor's ping-pong over a pair of links, and its
// ratio to the floor, which is measured before and after.
func BenchmarkLinkPingPong(b *testing.B) {
	back := make(chan struct{}, 1)
	e := startLink(b, "each", func([]node.Packet) { back <- struct{}{} })
	plain := floor(b)
	base := max(b.N/2, 100)
	before, err := measure(base, plain)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	times, _ := measure(b.N, func() error {
		e.send()
		<-back
		return nil
	})
	b.StopTimer()
	after, err := measure(base, plain)
	if err != nil {
		b.Fatal(err)
	}
	times.report(b, "one-way-")
	floor := append(before, after...).quantile(0.5)
	b.ReportMetric(float64(times.quantile(0.5))/float64(floor), "floors")
}

// BenchmarkLinkPackets is how many packets a second go through a link when
// there are always some waiting.
func BenchmarkLinkPackets(b *testing.B) {
	const ahead = 20 // bursts under way
	credit := make(chan struct{}, 1<<20)
	e := startLink(b, "burst", func(packets []node.Packet) {
		for range packets {
			credit <- struct{}{}
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	rest := (b.N + burst - 1) / burst
	for sent, done := 0, 0; done < rest; {
		for sent < rest && sent-done < ahead {
			for range burst {
				e.send()
			}
			sent++
		}
		<-credit
		done++
	}
	b.StopTimer()
	b.ReportMetric(float64(rest*burst)/b.Elapsed().Seconds(), "packets/s")
}
