package clock_test

import (
	"runtime"
	"testing"

	"github.com/conchlock/conch/internal/clock"
)

// The clock never goes back.
func TestNow(t *testing.T) {
	last := clock.Now()
	for range 1000 {
		now := clock.Now()
		if now < last || now < 0 {
			t.Fatalf("%d after %d", now, last)
		}
		last = now
	}
}

// The name of the boot stays the same; only Linux has one.
func TestBoot(t *testing.T) {
	boot := clock.Boot()
	if boot != clock.Boot() {
		t.Errorf("the boot is called %q, then %q", boot, clock.Boot())
	}
	if runtime.GOOS != "linux" && boot != "" {
		t.Errorf("the boot is called %q where the clock starts with the process", boot)
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		clock.Now()
	}
}
