package check

import (
	"os"
	"testing"

	"github.com/conchlock/conch/internal/trace/tracetest"
)

// BenchmarkDir checks a trace of about 100,000 events; CONCH_BIG_TRACE names a
// folder where one of more than a million is written and kept.
func BenchmarkDir(b *testing.B) {
	dir, entries := "", 700
	if big := os.Getenv("CONCH_BIG_TRACE"); big != "" {
		dir, entries = big, 7000
	}
	run := tracetest.Play(tracetest.Config{Seed: 1, Peers: 9, Entries: entries})
	if dir == "" {
		dir = write(b, texts(run))
	} else {
		for name, text := range texts(run) {
			if err := os.WriteFile(dir+"/"+string(name)+".ndjson", text, 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	events := 0
	b.ReportAllocs()
	for b.Loop() {
		r, err := Dir(dir)
		if err != nil || r.Verdict != True {
			b.Fatal(err, r)
		}
		events = r.Totals.Events
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}
