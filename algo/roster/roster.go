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

// variants are classics of another shape. Each has a name of its own, so that
// peers which do not run the same shape refuse each other.
func variants() []classic {
	return []classic{
		{"raymond:line", raymond.NewTree(raymond.Line)},
		{"raymond:star", raymond.NewTree(raymond.Star)},
	}
}

// Names lists the algorithms, each in its usual shape.
func Names() []string {
	names := []string{Default}
	for _, c := range classics() {
		names = append(names, c.name)
	}
	return names
}

// Variants lists the names of those that come in other shapes, too: "raymond:star"
// is raymond with another tree.
func Variants() []string {
	var names []string
	for _, c := range variants() {
		names = append(names, c.name)
	}
	return names
}

// Leases says that an algorithm lives by leases: its holds end with them, and it
// survives restarts by a floor on disk. The others need no time, and Lamport
// clocks that never go back.
func Leases(name string) bool { return name == "relay" }

// New returns the constructor of one incarnation's part in all locks, for a name
// from Names or Variants.
func New(name string) (func(algo.Setup) algo.Process, error) {
	if name == "relay" {
		return relay.New, nil
	}
	for _, c := range append(classics(), variants()...) {
		if c.name == name {
			return func(s algo.Setup) algo.Process {
				return epoch.NewProcess(s.Self, s.Incarnation, s.Others, c.machine)
			}, nil
		}
	}
	meant := ""
	if near := nearest(name); near != "" {
		meant = fmt.Sprintf(" (did you mean %s?)", near)
	}
	return nil, fmt.Errorf("no algorithm is called %q%s; there are: %s; and, of other shapes, %s",
		name, meant, strings.Join(Names(), ", "), strings.Join(Variants(), ", "))
}
