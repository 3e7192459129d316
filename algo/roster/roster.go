// Package roster is the one switch from an algorithm's name to its code.
package roster

import (
	"fmt"
	"strings"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/algo/lamport"
	"github.com/conchlock/conch/algo/maekawa"
	"github.com/conchlock/conch/algo/naimitrehel"
	"github.com/conchlock/conch/algo/raymond"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/algo/ring"
	"github.com/conchlock/conch/algo/suzukikasami"
)

// Default is the algorithm that runs when nobody names one.
const Default = "relay"

// classic is an algorithm that knows nothing of time and restarts.
type classic struct {
	name    string
	machine epoch.New // makes one lock's machine
}

// classics lists them in the order in which people are told of them.
func classics() []classic {
	return []classic{
		{"ricart-agrawala", ricartagrawala.New},
		{"token-ring", ring.New},
		{"lamport", lamport.New},
		{"suzuki-kasami", suzukikasami.New},
		{"maekawa", maekawa.New},
		{"raymond", raymond.New},
		{"naimi-trehel", naimitrehel.New},
	}
}

// Names lists the algorithms.
func Names() []string {
	names := []string{Default}
	for _, c := range classics() {
		names = append(names, c.name)
	}
	return names
}

// Leases says that an algorithm lives by leases: its holds end with them, and it
// survives restarts by a floor on disk. The others need no time, and Lamport
// clocks that never go back.
func Leases(name string) bool { return name == "relay" }

// New returns the constructor of one incarnation's part in all locks.
func New(name string) (func(algo.Setup) algo.Process, error) {
	if name == "relay" {
		return relay.New, nil
	}
	for _, c := range classics() {
		if c.name == name {
			return func(s algo.Setup) algo.Process {
				return epoch.NewProcess(s.Self, s.Incarnation, s.Others, c.machine)
			}, nil
		}
	}
	return nil, fmt.Errorf("no algorithm is called %q; there are: %s", name, strings.Join(Names(), ", "))
}
