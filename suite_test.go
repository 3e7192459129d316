package conch_test

import (
	"testing"

	"github.com/conchlock/conch"
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

// Who holds a lock is said as its caller said it.
func TestLabel(t *testing.T) {
	peer := cluster(t, 1, "")[0]
	hold, err := peer.Mutex("x").Lock(t.Context(), conch.WithLabel("the nightly job"))
	if err != nil {
		t.Fatal(err)
	}
	if l := peer.Status().Locks; len(l) != 1 || l[0].Label != "the nightly job" {
		t.Errorf("the status says %+v", l)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
}
