package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo/roster"
)

// notifier tells the service manager that has started this process how it is, as
// sd_notify(3) says. It connects once: a peer that is out of file descriptors still
// says that it is alive. A nil one tells nobody.
type notifier struct {
	conn     net.Conn
	watchdog time.Duration // how long it may be silent; 0: for ever
}

// notifyTime is how long a message may take; the manager reads quickly, or not at all.
const notifyTime = time.Second

// newNotifier reads the environment, and takes out of it what is for this process
// alone.
func newNotifier() (*notifier, error) {
	path, period, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	if path == "" {
		return nil, nil
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return nil, fmt.Errorf("the service manager cannot be told (NOTIFY_SOCKET): %w", err)
	}
	n := &notifier{conn: conn}
	if period != "" && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		us, err := strconv.ParseInt(period, 10, 64)
		if err != nil || us <= 0 || us > int64(24*time.Hour/time.Microsecond) {
			conn.Close()
			return nil, fmt.Errorf("WATCHDOG_USEC=%s: it must be a number of microseconds, at most a day", period)
		}
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n, nil
}

func (n *notifier) close() {
	if n != nil {
		n.conn.Close()
	}
}

// say sends one message, and returns whether the manager has it. That it has not is no
// reason to end: the manager decides what becomes of a service that it does not hear.
func (n *notifier) say(format string, args ...any) bool {
	n.conn.SetWriteDeadline(time.Now().Add(notifyTime))
	_, err := fmt.Fprintf(n.conn, format, args...)
	return err == nil
}

// observed is what run looks at: a conch.Peer.
type observed interface {
	Status() conch.Status
	PeersChanged() <-chan struct{}
}

// run says that the peer serves, how it is whenever that changes, and, for the
// watchdog, that it still takes steps: Status waits for the step that is under way, so
// a peer that hangs in one is silent. When ctx ends it says that the peer stops.
func (n *notifier) run(ctx context.Context, peer observed, algorithm string) {
	if n == nil {
		return
	}
	var tick <-chan time.Time
	if n.watchdog > 0 {
		ticker := time.NewTicker(n.watchdog / 2)
		defer ticker.Stop()
		tick = ticker.C
	}
	said, ready := "", false
	for {
		changed := peer.PeersChanged() // before Status, so that no change is missed
		text := statusLine(peer.Status(), algorithm)
		var again <-chan time.Time
		switch {
		case !ready: // without that, the manager ends the peer
			if ready = n.say("READY=1\nSTATUS=%s", text); !ready {
				again = time.After(notifyTime)
			}
		case text != said:
			n.say("STATUS=%s", text)
		}
		said = text
		select {
		case <-again:
		case <-ctx.Done():
			n.say("STOPPING=1\nSTATUS=stops: waits until its programs have given back what they hold")
			return
		case <-changed:
		case <-tick:
			peer.Status()
			n.say("WATCHDOG=1")
		}
	}
}

// statusLine says in one line who is there, this peer included.
func statusLine(s conch.Status, algorithm string) string {
	voters, votes, up := 0, 0, 1
	if s.Voter {
		voters, votes = 1, 1
	}
	for _, p := range s.Peers {
		if p.Up {
			up++
		}
		if p.Voter {
			voters++
			if p.Up {
				votes++
			}
		}
	}
	text := fmt.Sprintf("peer %s: %d of %d votes, %d of %d peers up", s.Name, votes, voters, up, 1+len(s.Peers))
	switch {
	case roster.Leases(algorithm) && votes <= voters/2:
		text += "; without a majority nobody here gets a lock"
	case !roster.Leases(algorithm) && votes < voters:
		text += "; nobody gets a lock before all are back"
	}
	return text
}
