// Package metrics counts and measures what a peer does, for Prometheus. Only
// programs that import it pay for that.
//
// A [Metrics] is a conch.Observer and a prometheus.Collector: it goes into
// conch.Config, and into a registry. docs/metrics.md has all metrics, what they
// mean, and what to watch.
package metrics

import (
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/conchlock/conch"
)

// DefaultLocks is Options.Locks where that is 0.
const DefaultLocks = 100

// Other is the lock label of all locks that have none of their own. A lock that is
// called so is counted there, too.
const Other = "other"

// Options has what few programs need to change.
type Options struct {
	// Locks is how many locks have their name as a label: those that are seen
	// first, for as long as the program runs. All others are counted together,
	// with the label Other. Each has some 60 series. The default is
	// DefaultLocks; if it is negative, no lock has a label of its own, which also
	// keeps their names to the program.
	Locks int
}

// Metrics are the metrics of one peer. To tell several peers of a program apart,
// give each its own, and register it with prometheus.WrapRegistererWith. A peer
// that is joined again may have the same: counters go on. Its methods are safe for
// concurrent use.
type Metrics struct {
	limit int

	wait, hold, handoff *prometheus.HistogramVec // by lock
	gaveUp, lost        *prometheus.CounterVec   // by lock
	lease               prometheus.Histogram

	sent, received, dropped *prometheus.CounterVec // by kind, and whether it is upkeep
	turns                   *prometheus.CounterVec // by the new state of the link
	build                   prometheus.Gauge

	mu       sync.Mutex // guards what follows
	peer     *conch.Peer
	locks    map[string]*lock
	others   *lock // nil until there are some
	messages map[message]*traffic
	up       map[string]bool // the peers whose link is, or was when this peer ended
}

// lock has what is counted of one lock, or of all others.
type lock struct {
	wait, hold, handoff prometheus.Observer
	gaveUp, lost        prometheus.Counter
}

// message is what is counted together.
type message struct {
	kind   string
	upkeep bool
}

// traffic has the counts of one kind of message.
type traffic struct{ sent, received, dropped prometheus.Counter }

var (
	_ conch.Observer       = (*Metrics)(nil)
	_ prometheus.Collector = (*Metrics)(nil)
)

// New returns the metrics of one peer.
func New(o Options) *Metrics {
	if o.Locks == 0 {
		o.Locks = DefaultLocks
	}
	m := &Metrics{
		limit: o.Locks,
		wait: histogram("conch_lock_wait_seconds", "Time from a call of Lock or TryLock to its entry, of the calls at this peer that got in. The count is the entries.",
			1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300),
		hold: histogram("conch_lock_hold_seconds", "Time from an entry at this peer to the end of the hold, by unlock or loss.",
			1e-5, 1e-4, 1e-3, .01, .1, .5, 1, 5, 10, 30, 60, 300, 1800, 3600),
		handoff: histogram("conch_lock_handoff_seconds", "Time from the end of a hold at this peer to the next entry at this peer, if somebody at this peer was waiting all that time. "+
			"It is by this peer's clock alone: if other peers were inside in between, their turns are part of it, and handoffs between two peers are not measured, since no clock sees both ends.",
			1e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .025, .05, .1, .25, .5, 1, 5, 30),
		gaveUp: counter("conch_lock_give_ups_total", "Calls of Lock or TryLock at this peer that waited and got nothing: their context or the peer had ended, or too many locks were in use.", "lock"),
		lost:   counter("conch_lock_losses_total", "Holds at this peer that were lost before they were unlocked: their leases could not be renewed in time, or their programs were silent for too long.", "lock"),
		lease: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "conch_lease_left_seconds", Help: "How much of its lease a hold at this peer had left when the lease was renewed, a majority having answered.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 4, 5, 7.5, 10, 15, 30, 60}}),
		sent:     counter("conch_messages_sent_total", "Messages about locks given to the links to other peers; upkeep is what no entry needs, as renewals of leases.", "kind", "upkeep"),
		received: counter("conch_messages_received_total", "Messages about locks that came from other peers.", "kind", "upkeep"),
		dropped:  counter("conch_messages_dropped_total", "Messages about locks that were discarded since the link or one of its two peers had ended; the algorithms allow for it.", "kind", "upkeep"),
		turns:    counter("conch_link_changes_total", "How often the link to any one other peer has come up or gone down.", "state"),
		build:    buildInfo(),
		locks:    make(map[string]*lock),
		messages: make(map[message]*traffic),
		up:       make(map[string]bool),
	}
	for _, state := range []string{"up", "down"} {
		m.turns.WithLabelValues(state) // so that the first one is an increase from 0
	}
	return m
}

func histogram(name, help string, buckets ...float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"lock"})
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// buildInfo says which Conch this is: the program's main module, or one that it
// was built with.
func buildInfo() prometheus.Gauge {
	const module = "github.com/conchlock/conch"
	version, goVersion := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == module && m.Version != "" {
				version = m.Version
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "conch_build_info", Help: "Always 1: the versions of Conch and of Go are in the labels.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": goVersion}})
	g.Set(1)
	return g
}

// Joined implements conch.Observer.
func (m *Metrics) Joined(p *conch.Peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peer = p
}

// Observe implements conch.Observer.
func (m *Metrics) Observe(e conch.Event) {
	switch took := e.Took.Seconds(); e.Kind {
	case conch.Entered:
		m.lock(e.Lock).wait.Observe(took)
	case conch.GaveUp:
		m.lock(e.Lock).gaveUp.Inc()
	case conch.HandedOver:
		m.lock(e.Lock).handoff.Observe(took)
	case conch.Exited:
		m.lock(e.Lock).hold.Observe(took)
	case conch.LostHold:
		l := m.lock(e.Lock)
		l.hold.Observe(took)
		l.lost.Inc()
	case conch.Renewed:
		m.lease.Observe(took)
	case conch.Sent:
		m.traffic(e).sent.Inc()
	case conch.Received:
		m.traffic(e).received.Inc()
	case conch.Dropped:
		m.traffic(e).dropped.Inc()
	case conch.LinkUp:
		m.turn(e.Peer, true)
	case conch.LinkDown:
		m.turn(e.Peer, false)
	}
}

// lock returns what counts for a lock.
func (m *Metrics) lock(name string) *lock {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.locks[name]; l != nil {
		return l
	}
	if len(m.locks) < m.limit && name != Other {
		l := m.newLock(name)
		m.locks[name] = l
		return l
	}
	if m.others == nil {
		m.others = m.newLock(Other)
	}
	return m.others
}

// newLock makes all series of a lock at once, so that the first loss is an
// increase from 0.
func (m *Metrics) newLock(label string) *lock {
	return &lock{
		wait: m.wait.WithLabelValues(label), hold: m.hold.WithLabelValues(label), handoff: m.handoff.WithLabelValues(label),
		gaveUp: m.gaveUp.WithLabelValues(label), lost: m.lost.WithLabelValues(label),
	}
}

// traffic returns what counts for a message. An algorithm has few kinds.
func (m *Metrics) traffic(e conch.Event) *traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := message{e.Message, e.Upkeep}
	t := m.messages[key]
	if t == nil {
		labels := []string{key.kind, strconv.FormatBool(key.upkeep)}
		t = &traffic{m.sent.WithLabelValues(labels...), m.received.WithLabelValues(labels...), m.dropped.WithLabelValues(labels...)}
		m.messages[key] = t
	}
	return t
}

// turn counts a change of a link. That it is down is said again for each new
// reason.
func (m *Metrics) turn(peer string, up bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case up: // told once, and of a peer that was joined again nobody has told that its links went down
		m.up[peer] = true
		m.turns.WithLabelValues("up").Inc()
	case !up && m.up[peer]:
		delete(m.up, peer)
		m.turns.WithLabelValues("down").Inc()
	}
}
