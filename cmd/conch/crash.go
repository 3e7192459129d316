package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/conchlock/conch/internal/trace"
)

// demoCrashTTL is the TTL of a demo that kills: short, so that it does not take
// long until the others go on.
const demoCrashTTL = time.Second

// survives says that the algorithm goes on when a minority of the peers is
// gone. With the others everybody waits for who is missing.
func survives(algorithm string) bool { return algorithm == "relay" }

// faults is what the demo does to its peers: it kills the first or the second
// that enters, while it is inside, and then others, at moments that the seed
// decides, never more than a minority at a time. Each is started again.
type faults struct {
	o       *demoOptions
	c       *cluster
	out     io.Writer
	random  *rand.Rand
	started time.Time

	moments []int // before how many exits which of the others is killed, sorted
	crashed bool  // the holder was killed
	killed  time.Time
	back    bool // somebody has entered since
	down    []*outage
	after   []*process // started again, not yet inside again

	active time.Time // when somebody last entered or left
	pause  time.Duration
}

// outage is a peer that was killed.
type outage struct {
	p       *process
	restart time.Time // when it is started again; zero: when somebody else has entered
	started bool
	settled time.Time // once started: when it takes part like the others
}

func newFaults(o *demoOptions, c *cluster, out io.Writer) *faults {
	f := &faults{o: o, c: c, out: out, random: rand.New(rand.NewPCG(o.seed, 2)), started: time.Now()}
	most := max(o.peers*o.entries*3/4, 1)
	for range o.kill {
		f.moments = append(f.moments, 1+f.random.IntN(most))
	}
	slices.Sort(f.moments)
	return f
}

// done says that everything planned was done, and that everybody is there.
func (f *faults) done() bool {
	return f.back == f.o.crash && len(f.moments) == 0 &&
		!slices.ContainsFunc(f.down, func(d *outage) bool { return !d.started || !d.p.listens() })
}

// listens says that a peer that was started has come so far.
func (p *process) listens() bool {
	text, err := os.ReadFile(p.log)
	return err == nil && bytes.Contains(text[p.begins:], []byte(" listens on "))
}

func (f *faults) say(format string, args ...any) {
	fmt.Fprintf(f.out, "  %6.2f s  %s\n", time.Since(f.started).Seconds(), fmt.Sprintf(format, args...))
}

// look does what is due, with what the shared file says now.
func (f *faults) look(s *stays) error {
	now := time.Now()
	if s.changed {
		if !f.active.IsZero() {
			f.pause = max(f.pause, now.Sub(f.active))
		}
		f.active = now
	}
	if f.o.crash && !f.crashed {
		if s.enters == f.o.linger && s.inside.name != "" {
			return f.killHolder(s)
		}
		return nil // the others are killed later
	}
	for _, x := range s.news {
		f.entered(x, now)
	}
	if err := f.restart(s, now); err != nil {
		return err
	}
	if len(f.moments) > 0 && s.exits >= f.moments[0] && len(f.down) < f.o.minority() && (!f.crashed || f.back) {
		return f.killOther(s)
	}
	return nil
}

// entered tells of an entry, if it is the first one after a kill or that of a
// peer that was started again.
func (f *faults) entered(x entry, now time.Time) {
	if f.crashed && !f.back {
		f.back = true
		f.say("%s enters %s after the kill, with token %s", x.name, round(now.Sub(f.killed)), x.token)
		for _, d := range f.down {
			if d.restart.IsZero() {
				d.restart = now
			}
		}
	}
	f.after = slices.DeleteFunc(f.after, func(p *process) bool {
		if p.name == x.name {
			f.say("%s is inside again, with token %s", x.name, x.token)
		}
		return p.name == x.name
	})
}

// killHolder kills the peer that lingers inside.
func (f *faults) killHolder(s *stays) error {
	p := f.c.find(s.inside.name)
	if err := f.c.kill(p, "by the demo"); err != nil {
		return err
	}
	f.crashed, f.killed = true, time.Now()
	f.say("%s is killed (-9) inside the critical section, with token %s", p.name, s.inside.token)
	d := &outage{p: p}
	if !survives(f.o.algorithm) || f.o.minority() == 0 {
		// Long enough to see that nobody enters.
		d.restart = f.killed.Add(f.o.ttl)
		f.say("the others wait for it: %s", f.waiting())
	}
	f.down = append(f.down, d)
	return nil
}

// waiting says why nobody can take over.
func (f *faults) waiting() string {
	if survives(f.o.algorithm) {
		return fmt.Sprintf("%s needs a majority, and %s left", f.o.algorithm, isAre(f.o.peers-1))
	}
	return f.o.algorithm + " survives no crash, it needs every peer"
}

func isAre(n int) string {
	if n == 1 {
		return "one peer is"
	}
	return fmt.Sprintf("%d peers are", n)
}

// killOther kills a peer that is not inside.
func (f *faults) killOther(s *stays) error {
	var up []*process
	for _, p := range f.c.peers {
		if p.name != s.inside.name && !p.expected.Load() && !slices.ContainsFunc(f.down, func(d *outage) bool { return d.p == p }) {
			up = append(up, p)
		}
	}
	if len(up) == 0 {
		return nil
	}
	f.moments = f.moments[1:]
	p := up[f.random.IntN(len(up))]
	if err := f.c.kill(p, "by the demo"); err != nil {
		return err
	}
	f.say("%s is killed (-9)", p.name)
	f.down = append(f.down, &outage{p: p, restart: time.Now().Add(around(f.random, f.o.ttl))})
	f.after = slices.DeleteFunc(f.after, func(x *process) bool { return x == p })
	return nil
}

// restart starts those again whose time has come. After that a peer may be of
// no use to the others for about a TTL, as long as it does not know what it has
// promised before; until then it counts as missing.
func (f *faults) restart(s *stays, now time.Time) error {
	f.down = slices.DeleteFunc(f.down, func(d *outage) bool { return d.started && now.After(d.settled) })
	for _, d := range f.down {
		if d.started || d.restart.IsZero() || now.Before(d.restart) {
			continue
		}
		left := f.o.entries - s.left[d.p.name]
		if err := f.c.start(d.p, left); err != nil {
			return err
		}
		d.started, d.settled = true, now.Add(f.o.ttl+f.o.ttl/2)
		f.say("%s is started again, with %s to make", d.p.name, count(left, "entry"))
		if left > 0 {
			f.after = append(f.after, d.p)
		}
	}
	return nil
}

// busy says that a peer is down, or was started again and has yet to enter.
func (f *faults) busy(p *process) bool {
	return slices.Contains(f.after, p) || slices.ContainsFunc(f.down, func(d *outage) bool { return d.p == p })
}

// conclude says what it was like for those who were not killed.
func (f *faults) conclude() {
	fmt.Fprintf(f.out, "the longest time in which nobody entered or left was %s\n", round(f.pause))
}

// kill ends a peer's process at once, and writes into its trace that it did.
func (c *cluster) kill(p *process, why string) error {
	p.expected.Store(true)
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill peer %s: %w", p.name, err)
	}
	at := time.Now() // on a busy machine it may be long until its end is known
	<-p.done
	return trace.AppendCrash(filepath.Join(c.o.dir, p.name+trace.Suffix), at, why)
}

func (c *cluster) find(name string) *process {
	return c.peers[slices.IndexFunc(c.peers, func(p *process) bool { return p.name == name })]
}

// round makes a duration short enough to read.
func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}
