package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/conchlock/conch"
)

// What is asked of the peer when somebody looks, instead of being counted.
var (
	ready      = prometheus.NewDesc("conch_ready", "1 if locks can be had at this peer now, else 0: /readyz and Peer.Ready say why not.", nil, nil)
	abstaining = prometheus.NewDesc("conch_abstaining_seconds", "For how long yet this peer grants nothing, since it may have forgotten what it had granted before it was started again; 0 if it grants.", nil, nil)
	held       = prometheus.NewDesc("conch_locks_held", "Locks that somebody at this peer holds.", nil, nil)
	wanted     = prometheus.NewDesc("conch_locks_wanted", "Locks that somebody at this peer waits for.", nil, nil)
	waiting    = prometheus.NewDesc("conch_waiting_callers", "Calls at this peer that wait for a lock.", nil, nil)
	peerUp     = prometheus.NewDesc("conch_peer_up", "1 if messages can be exchanged with that other peer both ways, else 0.", []string{"peer", "voter"}, nil)
	roundTrip  = prometheus.NewDesc("conch_peer_round_trip_seconds", "What it took to get an answer from that other peer when the stream to it was last set up.", []string{"peer"}, nil)
)

// counted are the collectors of what Observe counts.
func (m *Metrics) counted() []prometheus.Collector {
	return []prometheus.Collector{m.wait, m.hold, m.handoff, m.gaveUp, m.lost, m.lease, m.sent, m.received, m.dropped, m.turns, m.build}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.counted() {
		c.Describe(to)
	}
	for _, d := range []*prometheus.Desc{ready, abstaining, held, wanted, waiting, peerUp, roundTrip} {
		to <- d
	}
}

// Collect implements prometheus.Collector. It asks the peer for its Status once.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.counted() {
		c.Collect(to)
	}
	m.mu.Lock()
	peer := m.peer
	m.mu.Unlock()
	if peer == nil {
		return // not joined yet
	}
	collectStatus(to, peer.Status(), peer.Ready() == nil)
}

// collectStatus tells what a status says.
func collectStatus(to chan<- prometheus.Metric, s conch.Status, isReady bool) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(ready, number(isReady))
	gauge(abstaining, s.Abstains.Seconds())
	var holds, wishes, calls int
	for _, l := range s.Locks {
		if l.Held {
			holds++
		}
		if l.Waiters > 0 {
			wishes++
		}
		calls += l.Waiters
	}
	gauge(held, float64(holds))
	gauge(wanted, float64(wishes))
	gauge(waiting, float64(calls))
	for _, p := range s.Peers {
		gauge(peerUp, number(p.Up), p.Name, strconv.FormatBool(p.Voter))
		if p.RoundTrip > 0 {
			gauge(roundTrip, p.RoundTrip.Seconds(), p.Name)
		}
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
