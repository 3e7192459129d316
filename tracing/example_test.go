package tracing_test

import (
	"context"
	"fmt"
	"log"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/tracing"
)

// A program traces a lock with the provider that it traces everything else with.
func Example() {
	exporter := tracetest.NewInMemoryExporter() // or that of OTLP, and so on
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))

	peer, err := conch.Join(context.Background(), conch.Config{
		Name:   "a",
		Peers:  conch.Peers{"a": "127.0.0.1:7400"},
		Listen: "127.0.0.1:0", // the example may run where 7400 is taken
	})
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	ledger := tracing.New(peer.Mutex("ledger"), tracing.Options{TracerProvider: provider})

	tracer := provider.Tracer("example")
	ctx, request := tracer.Start(context.Background(), "request")
	err = ledger.Do(ctx, func(ctx context.Context, token conch.Token) error {
		_, write := tracer.Start(ctx, "write")
		write.End()
		return nil
	})
	request.End()
	if err != nil {
		log.Fatal(err)
	}

	spans := exporter.GetSpans()
	for _, s := range spans {
		for _, parent := range spans {
			if parent.SpanContext.SpanID() == s.Parent.SpanID() {
				fmt.Println(s.Name, "is part of", parent.Name)
			}
		}
	}
	// Output:
	// conch.wait is part of conch.lock
	// write is part of conch.lock
	// conch.lock is part of request
}
