package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch"
)

// crowdTask is what a peer's process with many callers does.
type crowdTask struct {
	Config  conch.Config
	Locks   int
	Waiters int           // for each lock, each of which enters again and again
	Time    time.Duration // for which they do
}

// crowdChild joins as one peer and, when it is told that all have joined, lets its
// callers compete. Then it says how often each has entered.
func crowdChild(in io.Reader, out io.Writer) error {
	var task crowdTask
	if err := json.Unmarshal([]byte(os.Getenv(taskEnv)), &task); err != nil {
		return err
	}
	peer, err := conch.Join(context.Background(), task.Config)
	if err != nil {
		return err
	}
	defer peer.Close()
	fmt.Fprintln(out, "joined")
	lines := bufio.NewReader(in)
	if _, err := lines.ReadString('\n'); err != nil {
		return err
	}
	// A little is left out at either end: nobody begins or stops alone.
	lead := task.Time / 10
	begin := time.Now().Add(lead)
	end := begin.Add(task.Time)
	ctx, cancel := context.WithDeadline(context.Background(), end.Add(lead))
	defer cancel()
	counts := make([]int, task.Locks*task.Waiters)
	var callers sync.WaitGroup
	for i := range counts {
		callers.Go(func() {
			mutex := peer.Mutex(fmt.Sprint("lock", i%task.Locks))
			for {
				hold, err := mutex.Lock(ctx)
				if err != nil {
					return
				}
				if now := time.Now(); now.After(begin) && now.Before(end) {
					counts[i]++
				}
				if hold.Unlock() != nil {
					return
				}
			}
		})
	}
	callers.Wait()
	if err := json.NewEncoder(out).Encode(counts); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, lines)
	return err
}

// crowd runs peers with many callers, and returns how often each entered.
func crowd(b *testing.B, peers int, task crowdTask) []int {
	b.Helper()
	task.Config.Peers = loopback(b, peers)
	var processes []*child
	for i := range peers {
		task.Config.Name = string(rune('a' + i))
		text, err := json.Marshal(task)
		if err != nil {
			b.Fatal(err)
		}
		processes = append(processes, startChild(b, "crowd", taskEnv+"="+string(text)))
	}
	for _, p := range processes {
		p.line(b) // joined
	}
	for _, p := range processes {
		fmt.Fprintln(p.in, "go")
	}
	var all []int
	for _, p := range processes {
		var counts []int
		if err := json.Unmarshal([]byte(p.line(b)), &counts); err != nil {
			b.Fatal(err)
		}
		all = append(all, counts...)
	}
	for _, p := range processes {
		p.finish(b)
	}
	return all
}

// jain is Jain's index of fairness: 1 if all are equal, 1/n if one has it all.
func jain(counts []int) float64 {
	var sum, squares float64
	for _, c := range counts {
		sum += float64(c)
		squares += float64(c) * float64(c)
	}
	return sum * sum / (squares * float64(len(counts)))
}

func total(counts []int) (sum int) {
	for _, c := range counts {
		sum += c
	}
	return sum
}

// crowdTime is for how long callers compete.
const crowdTime = 3 * time.Second

// BenchmarkCrowd is 30 callers at 3 peers that want one lock all the time: how
// fair it is, and how many entries there are of those that the delay of a handoff
// allows, which is measured before, with one caller at each peer. Run it with
// -benchtime 1x.
func BenchmarkCrowd(b *testing.B) {
	b.Run("relay/peers=3/waiters=30", func(b *testing.B) {
		for range b.N {
			stays := compete(b, 3, peerTask{Entries: 5000})
			stays = stays[len(stays)/20 : len(stays)/2] // before the first is done
			each := time.Duration(stays[len(stays)-1].Enter-stays[0].Enter) / time.Duration(len(stays)-1)
			counts := crowd(b, 3, crowdTask{Locks: 1, Waiters: 10, Time: crowdTime})
			rate := float64(total(counts)) / crowdTime.Seconds()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(jain(counts), "jain")
			b.ReportMetric(rate, "entries/s")
			b.ReportMetric(100*rate*each.Seconds(), "%-of-handoffs")
		}
	})
}

// BenchmarkLocks is entries a second in all, where a caller at each of three peers
// wants each lock all the time. Run it with -benchtime 1x.
func BenchmarkLocks(b *testing.B) {
	for locks := 1; locks <= 64; locks *= 2 {
		b.Run(fmt.Sprintf("relay/peers=3/locks=%d", locks), func(b *testing.B) {
			for range b.N {
				counts := crowd(b, 3, crowdTask{Locks: locks, Waiters: 1, Time: crowdTime})
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(total(counts))/crowdTime.Seconds(), "entries/s")
				least := 1.0
				for l := range locks {
					least = min(least, jain([]int{counts[l], counts[locks+l], counts[2*locks+l]}))
				}
				b.ReportMetric(least, "least-jain-of-a-lock")
			}
		})
	}
}
