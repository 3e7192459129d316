//go:build !linux

package bench

import "errors"

// onCore starts a process that runs on one core only: not on this system.
func onCore(core int, start func() error) error {
	if core != 0 {
		return errors.New("processes cannot be given cores of their own here")
	}
	return start()
}
