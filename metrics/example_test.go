package metrics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/metrics"
)

// A program counts what its peer does among its own metrics, and serves them as it
// serves those.
func Example() {
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	m := metrics.New(metrics.Options{})
	registry.MustRegister(m)

	peer, err := conch.Join(context.Background(), conch.Config{
		Name:     "a",
		Peers:    conch.Peers{"a": "127.0.0.1:7400"},
		Listen:   "127.0.0.1:0", // the example may run where 7400 is taken
		Observer: m,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	hold, err := peer.Mutex("ledger").Lock(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer hold.Unlock()

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "conch_lock_wait_seconds":
			fmt.Println("entries:", f.GetMetric()[0].GetHistogram().GetSampleCount())
		case "conch_locks_held":
			fmt.Println("held:", f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output:
	// entries: 1
	// held: 1
}
