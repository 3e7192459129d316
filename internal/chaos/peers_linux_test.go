package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/discovery/serf"
	"github.com/conchlock/conch/internal/state"
	"github.com/conchlock/conch/internal/trace"
)

// ttl is the TTL of the peers.
const ttl = time.Second

// process is one peer, through all its starts.
type process struct {
	index int
	name  string
	task  task
	log   string

	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended; nil before the first start
	joined chan struct{} // closed when it has joined
	err    error         // how it ended, once it has
}

func (a *arena) newProcess(i int) (*process, error) {
	name := a.ground.names[i]
	p := &process{index: i, name: name, log: filepath.Join(a.dir, name+".log")}
	p.task = task{
		Index: i, Locks: a.locks, Socket: a.socket, Seed: a.seed,
		Config: conch.Config{
			Name: name, Peers: make(conch.Peers), Cluster: filepath.Base(a.dir), Algorithm: "relay", TTL: ttl,
			Dir: filepath.Join(a.ground.disk(name), "state"), TraceDir: a.traces,
		},
	}
	for j, other := range a.ground.names {
		p.task.Config.Peers[other] = a.ground.addr(j)
	}
	if *chaosSerf {
		a.gossips(p)
	}
	// Peer and cluster are new: numbers start at 0, and are easy to read.
	return p, state.Create(p.task.Config.Dir, algo.PeerName(name))
}

// gossips makes a peer one that finds the others: the first three vote.
func (a *arena) gossips(p *process) {
	c := &p.task.Config
	c.Listen, c.Peers, c.Voters = c.Peers[p.name], nil, a.ground.names[:3]
	p.task.Gossip = &serf.Source{Bind: fmt.Sprintf("%s:%d", a.ground.host(p.index), gossipPort), Dir: c.Dir, Network: serf.Loopback}
	for j := range a.ground.names[:3] {
		p.task.Gossip.Join = append(p.task.Gossip.Join, fmt.Sprintf("%s:%d", a.ground.host(j), gossipPort))
	}
}

// start starts the peer's process, again if it has ended.
func (a *arena) start(p *process) error {
	text, err := json.Marshal(p.task)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own descriptor
	cmd := a.ground.command(p.name)
	cmd.Env = append(os.Environ(), taskEnv+"="+string(text))
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, joined := make(chan struct{}), make(chan struct{})
	p.cmd, p.ended, p.joined = cmd, ended, joined
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == ready {
				close(joined)
			}
		}
		p.err = cmd.Wait()
	}()
	return nil
}

// up says that the peer's process has been started and has not ended.
func (p *process) up() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// begin starts a peer and waits until it has joined.
func (a *arena) begin(ctx context.Context, p *process) error {
	if err := a.start(p); err != nil {
		return err
	}
	select {
	case <-p.joined:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s does not start: %v: %s", p.name, p.err, tail(p.log, 1))
	case <-ctx.Done():
		return fmt.Errorf("%s does not start: %w", p.name, ctx.Err())
	}
}

// kill ends a peer's process at once, and writes into its trace that it did.
func (a *arena) kill(p *process) error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return a.crashed(p, "kill -9")
}

// crashed records the end of a process that had no time to do so.
func (a *arena) crashed(p *process, why string) error {
	return trace.AppendCrash(filepath.Join(a.traces, p.name+trace.Suffix), time.Now(), why)
}

// pause stops the peer's process and waits until it stands still: a process with
// many threads may run on for a while, and leave where it was to be caught.
func (p *process) pause() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// resume lets it go on.
func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// stopAll ends all peers in good order, all at once.
func (a *arena) stopAll() error {
	var errs []error
	for _, p := range a.peers {
		if p.up() {
			errs = append(errs, p.cmd.Process.Signal(syscall.SIGTERM))
		}
	}
	late := time.After(endsWithin)
	for _, p := range a.peers {
		if p.ended == nil {
			continue
		}
		select {
		case <-p.ended:
			if p.err != nil {
				errs = append(errs, fmt.Errorf("%s: %w: %s", p.name, p.err, tail(p.log, 1)))
			}
		case <-late:
			errs = append(errs, fmt.Errorf("%s does not end when it is told to", p.name))
		}
	}
	return errors.Join(errs...)
}

// endsWithin is how long a peer that is told to end may take.
const endsWithin = 10 * time.Second

// killAll leaves no process, whatever has happened before.
func (a *arena) killAll() {
	for _, p := range a.peers {
		if p.up() {
			p.cmd.Process.Kill()
			<-p.ended
		}
	}
}

// tail returns the last lines of a file, for an error.
func tail(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
