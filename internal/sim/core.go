package sim

import (
	"math/rand/v2"

	"github.com/conchlock/conch/algo"
)

// core is the first part of a second act of an algorithm that survives a
// minority: some voters stay out of reach, each in its own way, and everybody
// else has to get in all the same. Then they come back.
type core struct {
	out  []bool   // by peer: it need not get in
	dead []int    // peers that do nothing
	cut  [][2]int // links, from and to, that carry nothing; both ends notice
}

// drawCore draws who stays out of reach, and how; nil if nobody can.
func drawCore(n *Network, rng *rand.Rand) *core {
	var voters []int
	for i := range n.names {
		if n.votes(i) {
			voters = append(voters, i)
		}
	}
	spare := (len(voters) - 1) / 2
	if spare < 1 {
		return nil
	}
	rng.Shuffle(len(voters), func(i, j int) { voters[i], voters[j] = voters[j], voters[i] })
	c := &core{out: make([]bool, len(n.names))}
	gone := voters[:1+rng.IntN(spare)]
	for _, i := range gone {
		c.out[i] = true
		c.lose(i, voters[len(voters)-1], len(n.names), rng)
	}
	return c
}

// lose takes a peer out of reach: dead, cut off, not heard, not hearing, or of
// those that stay, in touch with just one.
func (c *core) lose(i, one, peers int, rng *rand.Rand) {
	way := rng.IntN(5)
	if way == 0 {
		c.dead = append(c.dead, i)
		return
	}
	for j := range peers {
		if j == i || way == 4 && j == one {
			continue
		}
		if way != 3 { // nobody hears it
			c.cut = append(c.cut, [2]int{i, j})
		}
		if way != 2 { // it hears nobody
			c.cut = append(c.cut, [2]int{j, i})
		}
	}
}

// leave takes the peers out of reach, before the driver adopts the network.
func (c *core) leave(d *driver) {
	for _, i := range c.dead {
		d.peers[i].halted++
	}
	for _, l := range c.cut {
		d.links[d.arrival(l[0], l[1])].cut++
	}
	d.out = c.out
}

// comeBack brings them back. They begin to wait now.
func (c *core) comeBack(d *driver) error {
	d.out = nil
	for _, l := range c.cut {
		d.links[d.arrival(l[0], l[1])].cut--
		d.hold(l[0], l[1])
	}
	d.refreshAll()
	for _, i := range c.dead {
		if err := d.resume(i, Pauses); err != nil {
			return err
		}
	}
	locks := len(d.net.locks)
	for i, out := range c.out {
		for l := range locks {
			if a := i*locks + l; out && d.callers[a].phase == waiting {
				d.callers[a].since = d.net.passed
				d.call(a)
			}
		}
	}
	return nil
}

// play lets the others go on for as long as one of them may wait, and then some.
func (c *core) play(d *driver, bound algo.Duration) error {
	c.leave(d)
	d.begun, d.bound = d.net.passed, bound
	d.adopt()
	if err := d.run(d.net.passed + bound + d.net.TTL); err != nil {
		return err
	}
	return c.comeBack(d)
}
