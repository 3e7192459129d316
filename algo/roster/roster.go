// Package roster is the one switch from an algorithm's name to its code.
package roster

import (
	"fmt"
	"strings"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/algo/maekawa"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/algo/ring"
)

// Default is the algorithm that runs when nobody names one.
const Default = "relay"

// Names lists the algorithms.
func Names() []string { return []string{"maekawa", "relay", "ricart-agrawala", "token-ring"} }

// Leases says that an algorithm lives by leases: its holds end with them, and it
// survives restarts by a floor on disk. The others need no time, and Lamport
// clocks that never go back.
func Leases(name string) bool { return name == "relay" }

// machine returns the constructor of one lock's machine.
func machine(name string) (epoch.New, error) {
	switch name {
	case "maekawa":
		return maekawa.New, nil
	case "ricart-agrawala":
		return ricartagrawala.New, nil
	case "token-ring":
		return ring.New, nil
	}
	return nil, fmt.Errorf("no algorithm is called %q; there are: %s", name, strings.Join(Names(), ", "))
}

// New returns the constructor of one incarnation's part in all locks.
func New(name string) (func(algo.Setup) algo.Process, error) {
	if name == "relay" {
		return relay.New, nil
	}
	machine, err := machine(name)
	if err != nil {
		return nil, err
	}
	return func(s algo.Setup) algo.Process {
		return epoch.NewProcess(s.Self, s.Incarnation, s.Others, machine)
	}, nil
}
