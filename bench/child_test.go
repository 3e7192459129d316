// Package bench measures Conch against the floor: what the same exchange costs
// over plain gRPC, between the same two processes, in the same run.
package bench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// childEnv names what a child process is to do. The test binary starts itself.
const childEnv = "CONCH_BENCH_CHILD"

func TestMain(m *testing.M) {
	role := os.Getenv(childEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	err := fmt.Errorf("no role is called %q", role)
	switch role {
	case "floor":
		err = floorChild(os.Stdin, os.Stdout)
	case "link":
		err = linkChild(os.Stdin, os.Stdout)
	case "crowd":
		err = crowdChild(os.Stdin, os.Stdout)
	case "served":
		err = servedChild(os.Stdin, os.Stdout)
	case "socket":
		err = socketChild(os.Stdin, os.Stdout)
	case "waiters":
		err = waitersChild(os.Stdin, os.Stdout)
	case "peer":
		err = peerChild(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
}

// child is another process of the benchmark. It ends when its input does.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild starts a process in a role. Who started it calls finish.
func startChild(b *testing.B, role string, env ...string) *child {
	b.Helper()
	return startOn(b, 0, role, env...)
}

// startOn starts it on a core of its own, the first is 1; on any if that is 0.
func startOn(b *testing.B, core int, role string, env ...string) *child {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+role), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := onCore(core, cmd.Start); err != nil {
		b.Fatal(err)
	}
	return &child{cmd, in, bufio.NewReader(out)}
}

// line waits for the next line that the process says.
func (c *child) line(b *testing.B) string {
	b.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		b.Fatalf("a process of the benchmark says no more: %v", err)
	}
	return strings.TrimSpace(line)
}

// finish ends the process and returns the rest of what it says.
func (c *child) finish(b *testing.B) []byte {
	b.Helper()
	c.in.Close()
	rest, err := io.ReadAll(c.out)
	if err == nil {
		err = c.cmd.Wait()
	}
	if err != nil {
		b.Errorf("a process of the benchmark: %v", err)
	}
	return rest
}

// startServer starts a process that listens until the benchmark ends, and
// returns its address, the first thing that it says.
func startServer(b *testing.B, role string) (c *child, addr string) {
	b.Helper()
	c = startChild(b, role)
	b.Cleanup(func() { c.finish(b) })
	return c, c.line(b)
}

// sample is how long something took, each time. Of a ping-pong it is half of
// each round trip.
type sample []time.Duration

// report adds quantiles to the benchmark's figures.
func (o sample) report(b *testing.B, prefix string) {
	b.ReportMetric(float64(o.quantile(0.5).Nanoseconds())/1e3, prefix+"p50-us")
	b.ReportMetric(float64(o.quantile(0.99).Nanoseconds())/1e3, prefix+"p99-us")
}

func (o sample) quantile(q float64) time.Duration {
	slices.Sort(o)
	return o[min(len(o)-1, int(q*float64(len(o))))]
}

// measure returns half of each of n round trips, after some that do not count.
func measure(n int, roundTrip func() error) (sample, error) {
	for range 200 {
		if err := roundTrip(); err != nil {
			return nil, err
		}
	}
	times := make(sample, 0, n)
	for range n {
		start := time.Now()
		if err := roundTrip(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start)/2)
	}
	return times, nil
}
