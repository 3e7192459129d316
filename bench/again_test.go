package bench

import (
	"net"
	"testing"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo/roster"
)

// BenchmarkAgain enters where one has just left and nobody else waits: Lock and
// Unlock of the library, with every part of the runtime but the network.
func BenchmarkAgain(b *testing.B) {
	for _, algorithm := range roster.Names() {
		b.Run(algorithm, func(b *testing.B) {
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			addr := free.Addr().String()
			free.Close()
			peer, err := conch.Join(b.Context(), conch.Config{Name: "a", Peers: conch.Peers{"a": addr}, Algorithm: algorithm})
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
		})
	}
}
