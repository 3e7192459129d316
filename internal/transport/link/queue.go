package link

import "github.com/conchlock/conch/internal/node"

// queue holds the packets of a link until they are acknowledged, in order:
// first those that were taken to be sent on the present stream, then those
// that were not. It needs locking by its owner.
//
// Invariants: (1) head <= next <= len(slots); (2) numbers grow from slot to
// slot; (3) acked < the number in slots[head], taken >= the number in
// slots[next-1]; (4) bytes is the sum of sizes from head.
type queue struct {
	slots []slot
	head  int // first not acknowledged; below are zero slots, to be reused
	next  int // first not taken for the present stream
	bytes int

	acked uint64 // number up to which packets were acknowledged
	taken uint64 // largest number that was ever taken
}

type slot struct {
	packet node.Packet
	size   int
}

func (q *queue) len() int { return len(q.slots) - q.head }

// push appends p, unless that would exceed the limits.
func (q *queue) push(p node.Packet, size int, limits Limits) bool {
	if q.len() >= limits.Packets || q.bytes+size > limits.Bytes {
		return false
	}
	if len(q.slots) == cap(q.slots) && q.head > len(q.slots)/2 {
		q.compact()
	}
	q.slots = append(q.slots, slot{p, size})
	q.bytes += size
	return true
}

// compact moves what is held to the front. It is done only when more than half
// is free, so that a packet is moved at most about once.
func (q *queue) compact() {
	n := copy(q.slots, q.slots[q.head:])
	clear(q.slots[n:])
	q.slots = q.slots[:n]
	q.next -= q.head
	q.head = 0
}

// take appends packets not yet taken to dst, in order, as many as make up one
// frame.
func (q *queue) take(dst []node.Packet) []node.Packet {
	bytes := 0
	for q.next < len(q.slots) && len(dst) < maxBatchPackets && bytes < MaxBatch {
		s := &q.slots[q.next]
		dst = append(dst, s.packet)
		bytes += s.size
		q.next++
	}
	if len(dst) > 0 {
		q.taken = max(q.taken, dst[len(dst)-1].Number)
	}
	return dst
}

// ack forgets packets up to a number. It returns false if the other side
// cannot have received that one.
func (q *queue) ack(number uint64) bool {
	if number > q.taken {
		return false
	}
	for q.head < len(q.slots) && q.slots[q.head].packet.Number <= number {
		q.bytes -= q.slots[q.head].size
		q.slots[q.head] = slot{}
		q.head++
	}
	q.acked = max(q.acked, number)
	q.next = max(q.next, q.head)
	if q.head == len(q.slots) {
		q.slots, q.head, q.next = q.slots[:0], 0, 0
	}
	return true
}

// resume prepares for a new stream whose receiver has the packets up to a
// number. It returns false if that contradicts what was acknowledged or sent:
// then the other side no longer knows this link.
func (q *queue) resume(received uint64) bool {
	if received < q.acked || !q.ack(received) {
		return false
	}
	q.next = q.head
	return true
}

// drain empties the queue and appends what it held to dst.
func (q *queue) drain(dst []node.Packet) []node.Packet {
	for _, s := range q.slots[q.head:] {
		dst = append(dst, s.packet)
	}
	*q = queue{}
	return dst
}
