package clock

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/conchlock/conch/algo"
)

func now() algo.Instant {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		// Every Linux that Go supports has this clock, so it is forbidden, and
		// without a clock there is no lease that could be kept.
		panic(fmt.Sprintf("clock: CLOCK_BOOTTIME cannot be read: %v", err))
	}
	return algo.Instant(t.Nano())
}

func boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(id) == 0 {
		return ""
	}
	// A container may have a time namespace, in which the clock is moved by a
	// constant. A kernel without them has no such file.
	offsets, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil && !os.IsNotExist(err) {
		return ""
	}
	return strings.Join(strings.Fields(string(id)+" "+string(offsets)), " ")
}
