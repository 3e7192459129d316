// Package roster is the one switch from an algorithm's name to its code.
package roster

import (
	"fmt"
	"strings"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/algo/ring"
)

// Default is the algorithm that runs when nobody names one.
const Default = "ricart-agrawala"

// Names lists the algorithms.
func Names() []string { return []string{"ricart-agrawala", "token-ring"} }

// Machine returns the constructor of one lock's machine.
func Machine(name string) (epoch.New, error) {
	switch name {
	case "ricart-agrawala":
		return ricartagrawala.New, nil
	case "token-ring":
		return ring.New, nil
	}
	return nil, fmt.Errorf("no algorithm is called %q; there are: %s", name, strings.Join(Names(), ", "))
}

// Process returns one incarnation's part in all locks.
func Process(name string, self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) (algo.Process, error) {
	machine, err := Machine(name)
	if err != nil {
		return nil, err
	}
	return epoch.NewProcess(self, incarnation, others, machine), nil
}
