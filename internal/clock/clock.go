// Package clock reads the clock by which leases are counted: one that never
// goes back, that nobody sets, and that counts time asleep where the system has
// such a clock. Go's own monotonic clock stops while the machine is suspended,
// and a holder that wakes up would believe its lease to be young.
package clock

import "github.com/conchlock/conch/algo"

// Now reads the clock. Readings of one process can be compared; those of two
// processes only if both have the same Boot, and it is not empty.
//
// On Linux it is CLOCK_BOOTTIME. Elsewhere it counts from the start of the
// process and may stand still while the machine sleeps: there a machine that
// runs a peer must not be suspended, or resources must check fencing tokens.
func Now() algo.Instant { return now() }

// Boot names what Now counts from, if that outlives the process: the boot of the
// machine, and on Linux the time namespace's distance from it. It is empty if a
// later process cannot tell how much time has passed.
func Boot() string { return boot() }
