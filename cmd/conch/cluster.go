package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/state"
)

// cluster is the peers of a demo, each a process of its own.
type cluster struct {
	o      *demoOptions
	names  []string // of those with a vote
	addrs  []string // of everybody, guests too, by number
	gossip []string // where they are found, with serf
	peers  []*process
	ended  chan *process // a process that ended by itself
}

// process is one peer.
type process struct {
	name   string
	number int
	cmd    *exec.Cmd
	log    string
	done   chan struct{} // closed when it has ended; nil before it was started
	err    error         // how, once done

	expected *atomic.Bool // its end is
	begins   int64        // where in log
}

// startCluster writes the peers file and starts the peers.
func startCluster(o *demoOptions) (*cluster, error) {
	all := o.peers + o.guests
	addrs, err := freeAddrs(2 * all)
	if err != nil {
		return nil, err
	}
	names := make([]string, o.peers)
	var file strings.Builder
	for i := range names {
		names[i] = peerName(i)
		fmt.Fprintf(&file, "%s %s\n", names[i], addrs[i])
	}
	if o.discovery != "serf" {
		if err := os.WriteFile(filepath.Join(o.dir, "peers.txt"), []byte(file.String()), 0o644); err != nil {
			return nil, err
		}
	}
	c := &cluster{o: o, names: names, addrs: addrs[:all], gossip: addrs[all:], ended: make(chan *process, 2*all+o.kill)} // room for a restart of each
	for i, name := range names {
		// The peer and its cluster are new: its clock starts at 0, and its tokens
		// are easy to read.
		err := state.Create(filepath.Join(o.dir, "state", name), algo.PeerName(name))
		if err == nil {
			c.peers = append(c.peers, &process{name: name, number: i, log: filepath.Join(o.dir, name+".log")})
			err = c.start(c.peers[i], o.entries)
		}
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	return c, nil
}

// start starts a peer's process, also one that has ended before, to make that
// many entries.
func (c *cluster) start(p *process, entries int) error {
	o := c.o
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{
		"peer", "--name", p.name, "--algorithm", o.algorithm,
		"--dir", filepath.Join(o.dir, "state", p.name), "--trace-dir", o.dir,
	}
	if entries > 0 {
		args = append(args,
			"--enter-every", o.every().String(), "--entries", strconv.Itoa(entries), "--work", o.work().String(),
			"--lock", demoLock, "--critical-section", filepath.Join(o.dir, check.SectionFile),
			"--seed", strconv.FormatUint(o.seed, 10), "--linger-at", strconv.Itoa(o.linger))
	}
	if o.ttl > 0 {
		args = append(args, "--ttl", o.ttl.String())
	}
	if o.measure {
		args = append(args, "--log-level", "error")
	}
	args = append(args, c.discovery(p)...)
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own descriptor
	if p.begins, err = log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	p.cmd = exec.Command(self, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	detach(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	done, expected := make(chan struct{}), new(atomic.Bool)
	p.done, p.expected = done, expected
	go func() {
		p.err = p.cmd.Wait()
		if !expected.Load() {
			c.ended <- p
		}
		close(done)
	}()
	return nil
}

// discovery returns the arguments by which a peer learns of the others.
func (c *cluster) discovery(p *process) (args []string) {
	switch c.o.discovery {
	case "file":
		return []string{"--peers-file", filepath.Join(c.o.dir, "peers.txt")}
	case "flags":
		for i, name := range c.names {
			args = append(args, "--peer", name+"="+c.addrs[i])
		}
		return args
	}
	args = []string{"--voters", strings.Join(c.names, ","), "--network", "loopback", "--listen", c.addrs[p.number], "--serf-addr", c.gossip[p.number]}
	for _, addr := range c.gossip[:min(len(c.names), demoJoins)] {
		args = append(args, "--join", addr)
	}
	return args
}

// waitForEntries waits until the shared file has that many exits, and lets f and g
// do what they want to do to the peers in the meantime.
func (c *cluster) waitForEntries(ctx context.Context, want int, f *faults, g *guests) error {
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	s := &stays{path: filepath.Join(c.o.dir, check.SectionFile)}
	changed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted after %d of %d entries", s.exits, want)
		case p := <-c.ended:
			return fmt.Errorf("peer %s ended by itself (%v): %s", p.name, p.err, lastLine(p.log))
		case <-tick.C:
		}
		if err := s.update(); err != nil {
			return err
		}
		if s.changed {
			changed = time.Now()
		}
		if err := f.look(s); err != nil {
			return err
		}
		if err := g.look(s); err != nil {
			return err
		}
		if s.exits >= want && f.done() && g.done() {
			return nil
		}
		if stall := max(demoStall, 4*c.o.ttl); time.Since(changed) > stall {
			return fmt.Errorf("no entry for %s, %d of %d were made", stall, s.exits, want)
		}
	}
}

// stop interrupts every peer and waits until all have ended; one that takes too
// long is killed.
func (c *cluster) stop() error {
	started := slices.DeleteFunc(slices.Clone(c.peers), func(p *process) bool {
		return p.done == nil || p.expected.Load()
	})
	for _, p := range started {
		p.cmd.Process.Signal(os.Interrupt)
	}
	deadline := time.After(10 * time.Second)
	var errs []error
	for _, p := range started {
		select {
		case <-p.done:
			if p.err != nil {
				errs = append(errs, fmt.Errorf("peer %s: %w: %s", p.name, p.err, lastLine(p.log)))
			}
		case <-deadline:
			p.cmd.Process.Kill()
			<-p.done
			errs = append(errs, fmt.Errorf("peer %s did not end when interrupted, and was killed", p.name))
		}
	}
	return errors.Join(errs...)
}

// lastLine returns the last line of a log, to say why a peer has ended.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// peerName names the i-th peer: a, b, ..., z, p27, p28, ...
func peerName(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return fmt.Sprintf("p%d", i+1)
}

// freeAddrs finds loopback addresses that nobody listens on. They lie below the
// ports that systems give to outgoing connections, or the first peers' own
// connections might take the port of one that has yet to start.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	var open []net.Listener
	defer func() {
		for _, l := range open {
			l.Close()
		}
	}()
	for try := 0; try < 1000 && len(addrs) < n; try++ {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		open = append(open, l)
		addrs = append(addrs, addr)
	}
	if len(addrs) < n {
		return nil, fmt.Errorf("found only %d free ports on 127.0.0.1 for %d peers", len(addrs), n)
	}
	return addrs, nil
}
