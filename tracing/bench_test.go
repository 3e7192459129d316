package tracing_test

import (
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/tracing"
)

// What tracing adds to a lock that is free.
func Benchmark(b *testing.B) {
	peer, err := conch.Join(b.Context(), conch.Config{Name: "a", Peers: conch.Peers{"a": "127.0.0.1:7400"}, Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	defer peer.Close()
	plain := peer.Mutex("x")
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			hold, err := plain.Lock(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			hold.Unlock()
		}
	})
	for _, c := range []struct {
		name     string
		provider trace.TracerProvider
	}{{"noop", noop.NewTracerProvider()}, {"dropped", sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))}, {"recorded", sdk.NewTracerProvider()}} {
		b.Run(c.name, func(b *testing.B) {
			m := tracing.New(plain, tracing.Options{TracerProvider: c.provider})
			b.ReportAllocs()
			for b.Loop() {
				hold, err := m.Lock(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				hold.Unlock()
			}
		})
	}
}
