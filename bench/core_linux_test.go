package bench

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// onCore starts a process that runs on one core only, the first is 1; on any if that
// is 0. The thread that starts it hands its own down.
func onCore(core int, start func() error) error {
	if core == 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if before.Count() < core {
		return fmt.Errorf("there are only %d cores", before.Count())
	}
	for cpu, n := 0, 0; n < core; cpu++ {
		if before.IsSet(cpu) {
			one.Zero()
			one.Set(cpu)
			n++
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &before)
	return start()
}
