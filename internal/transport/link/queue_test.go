package link

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/conchlock/conch/internal/node"
)

// slowQueue does what queue does, and is obviously right.
type slowQueue struct {
	packets []uint64 // not acknowledged
	sizes   map[uint64]int
	sent    int // of packets, how many were taken for this stream
	acked   uint64
	taken   uint64
}

func (q *slowQueue) push(n uint64, size int, limits Limits) bool {
	bytes := size
	for _, p := range q.packets {
		bytes += q.sizes[p]
	}
	if len(q.packets) == limits.Packets || bytes > limits.Bytes {
		return false
	}
	q.packets = append(q.packets, n)
	q.sizes[n] = size
	return true
}

func (q *slowQueue) take() []uint64 {
	taken := slices.Clone(q.packets[q.sent:])
	q.sent = len(q.packets)
	if len(taken) > 0 {
		q.taken = max(q.taken, taken[len(taken)-1])
	}
	return taken
}

func (q *slowQueue) ack(n uint64) bool {
	if n > q.taken {
		return false
	}
	for len(q.packets) > 0 && q.packets[0] <= n {
		q.packets = q.packets[1:]
		q.sent = max(0, q.sent-1)
	}
	q.acked = max(q.acked, n)
	return true
}

func (q *slowQueue) resume(n uint64) bool {
	if n < q.acked || !q.ack(n) {
		return false
	}
	q.sent = 0
	return true
}

func numbers(packets []node.Packet) []uint64 {
	var n []uint64
	for _, p := range packets {
		n = append(n, p.Number)
	}
	return n
}

func TestQueueAgainstSlowTwin(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		limits := Limits{Packets: 1 + r.IntN(60), Bytes: 1 + r.IntN(3000)}
		var fast queue
		slow := slowQueue{sizes: make(map[uint64]int)}
		number := uint64(0)
		for step := range 500 {
			var got, want any
			switch r.IntN(6) {
			default:
				number += 1 + r.Uint64N(3)
				size := r.IntN(100)
				got, want = fast.push(node.Packet{Number: number}, size, limits), slow.push(number, size, limits)
			case 3:
				if a, b := numbers(fast.take(nil)), slow.take(); !slices.Equal(a, b) {
					t.Fatalf("seed %d, step %d: took %v, want %v", seed, step, a, b)
				}
			case 4:
				n := r.Uint64N(number + 2)
				got, want = fast.ack(n), slow.ack(n)
			case 5:
				n := r.Uint64N(number + 2)
				got, want = fast.resume(n), slow.resume(n)
			}
			if got != want {
				t.Fatalf("seed %d, step %d: got %v, want %v", seed, step, got, want)
			}
			checkQueue(t, &fast)
		}
		if a := numbers(fast.drain(nil)); !slices.Equal(a, slow.packets) {
			t.Fatalf("seed %d: %v are left, want %v", seed, a, slow.packets)
		}
	}
}

// checkQueue checks the invariants on queue's type.
func checkQueue(t *testing.T, q *queue) {
	t.Helper()
	bytes, last := 0, q.acked
	for _, s := range q.slots[q.head:] {
		if s.packet.Number <= last {
			t.Fatalf("number %d comes after %d", s.packet.Number, last)
		}
		last = s.packet.Number
		bytes += s.size
	}
	for _, s := range q.slots[:q.head] {
		if s != (slot{}) {
			t.Fatalf("a slot that is free holds %v", s)
		}
	}
	if q.head > q.next || q.next > len(q.slots) || bytes != q.bytes {
		t.Fatalf("head %d, next %d of %d, %d bytes counted as %d", q.head, q.next, len(q.slots), bytes, q.bytes)
	}
	if q.next > q.head && q.taken < q.slots[q.next-1].packet.Number {
		t.Fatalf("%d was taken, but taken is %d", q.slots[q.next-1].packet.Number, q.taken)
	}
}

// A long-lived queue that never runs empty must not grow.
func TestQueueReusesSpace(t *testing.T) {
	var q queue
	limits := Limits{Packets: 1 << 16, Bytes: 1 << 30}
	for n := uint64(1); n < 100_000; n++ {
		q.push(node.Packet{Number: n}, 1, limits)
		q.take(nil)
		if n > 100 {
			q.ack(n - 100)
		}
	}
	if cap(q.slots) > 1024 {
		t.Errorf("for 100 packets there is space for %d", cap(q.slots))
	}
}

// A frame has no more than MaxBatch and one packet, however much has piled up.
func TestQueueTakesFrames(t *testing.T) {
	var q queue
	limits := Limits{Packets: 1 << 16, Bytes: 1 << 30}
	const size = 100 << 10
	for n := uint64(1); n <= 100; n++ {
		q.push(node.Packet{Number: n}, size, limits)
	}
	total := 0
	for {
		taken := len(q.take(nil))
		if taken == 0 {
			break
		}
		if taken*size > MaxBatch+size {
			t.Errorf("a frame has %d packets of %d bytes", taken, size)
		}
		total += taken
	}
	if total != 100 {
		t.Errorf("%d packets were taken, want 100", total)
	}
}
