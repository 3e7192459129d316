package bench

import (
	"testing"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/metrics"
)

// BenchmarkAgain enters where one has just left and nobody else waits: Lock and
// Unlock of the library, with every part of the runtime but the network.
func BenchmarkAgain(b *testing.B) {
	for _, algorithm := range roster.Names() {
		b.Run(algorithm, func(b *testing.B) { benchmarkAgain(b, conch.Config{Algorithm: algorithm}) })
	}
	b.Run("relay/metrics=on", func(b *testing.B) { benchmarkAgain(b, conch.Config{Observer: metrics.New(metrics.Options{})}) })
	b.Run("relay/trace=on", func(b *testing.B) { benchmarkAgain(b, conch.Config{TraceDir: b.TempDir()}) })
}

func benchmarkAgain(b *testing.B, config conch.Config) {
	config.Name, config.Peers = "a", loopback(b, 1)
	peer, err := conch.Join(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer peer.Close()
	mutex := peer.Mutex("bench")
	b.ReportAllocs()
	for b.Loop() {
		hold, err := mutex.Lock(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := hold.Unlock(); err != nil {
			b.Fatal(err)
		}
	}
}
