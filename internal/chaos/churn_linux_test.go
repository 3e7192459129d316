package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/discovery/serf"
)

var churnFor = flag.Duration("churn", 0, "how long peers come and go in TestChurn; a few seconds if 0")

// churnGuests is how many peers come and go at a time.
const churnGuests = 4

// TestChurn lets peers without a vote find a cluster, use a lock and leave, again
// and again, each with a name of its own, and wants the voters to keep nothing of
// them: neither goroutines nor memory.
func TestChurn(t *testing.T) {
	lasts := *churnFor
	switch {
	case lasts == 0 && testing.Short():
		t.Skip("it takes seconds of real time; give -churn, or leave out -short")
	case lasts == 0:
		lasts = 6 * time.Second
	}
	voters := []string{"a", "b", "c"}
	var join []string
	for _, name := range voters {
		p, addr := found(t, name, voters, join)
		defer p.Close()
		join = append(join, addr)
	}
	var guests, next atomic.Int64
	until, began := time.Now().Add(lasts), time.Now()
	var warm, last usage
	for round := 0; time.Now().Before(until); round++ {
		var wave sync.WaitGroup
		for range churnGuests {
			wave.Go(func() {
				if err := visitOnce(t, fmt.Sprintf("g%d", next.Add(1)), voters, join); err != nil {
					t.Error(err)
				}
				guests.Add(1)
			})
		}
		wave.Wait()
		if t.Failed() {
			return
		}
		if round%10 == 0 || !time.Now().Before(until) {
			last = measure()
			if warm.goroutines == 0 && time.Since(began) > lasts/5 {
				warm = last
			}
			t.Logf("%6s  %5d guests have been here: %s", time.Since(began).Round(time.Second), guests.Load(), last)
		}
	}
	t.Logf("after %s: %s; at the end: %s", lasts/5, warm, last)
	// A guest's links are told that they end, and take a moment for it.
	if last.goroutines > warm.goroutines+20 || last.heap > warm.heap*3/2+4<<20 {
		t.Errorf("%d guests have left something behind", guests.Load())
	}
}

// usage is what this process takes.
type usage struct {
	goroutines int
	heap       uint64
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MiB", u.goroutines, float64(u.heap)/(1<<20))
}

func measure() usage {
	runtime.GC()
	runtime.GC() // what finalizers have kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapAlloc}
}

// found joins a peer that finds the others, and says where it is found.
func found(t *testing.T, name string, voters, join []string) (*conch.Peer, string) {
	t.Helper()
	p, err := conch.Join(t.Context(), churnConfig(name, voters, join))
	if err != nil {
		t.Fatal(err)
	}
	return p, p.Status().Gossip
}

func churnConfig(name string, voters, join []string) conch.Config {
	return conch.Config{
		Name: name, Voters: voters, Listen: "127.0.0.1:0", TTL: ttl, Cluster: "churn",
		Discovery: serf.Source{Join: join, Bind: "127.0.0.1:0", Network: serf.Loopback},
	}
}

// visitOnce is a guest's life.
func visitOnce(t *testing.T, name string, voters, join []string) error {
	p, err := conch.Join(t.Context(), churnConfig(name, voters, join))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = p.Mutex("x").Do(ctx, func(context.Context, conch.Token) error { return nil })
	if err != nil {
		err = fmt.Errorf("%s: %w; it knows: %+v", name, err, p.Status().Peers)
	}
	return errors.Join(err, p.Close())
}
