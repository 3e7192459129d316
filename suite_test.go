package conch_test

import (
	"testing"

	"github.com/conchlock/conch/internal/mutextest"
)

// A peer's mutexes do what package client's do.
func TestSuite(t *testing.T) {
	mutextest.Suite(t, func(t *testing.T, n int) (list []mutextest.Source) {
		for _, p := range cluster(t, n, "") {
			list = append(list, p)
		}
		return list
	})
}
