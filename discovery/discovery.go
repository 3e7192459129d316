// Package discovery finds the peers of a cluster: their names and addresses.
package discovery

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/conchlock/conch/algo"
)

// Peers are the peers of a cluster, by name, with the address HOST:PORT at
// which each can be reached.
type Peers map[string]string

// Source says who the peers are. File, Flags and Static are sources; they are
// safe for concurrent use.
type Source interface {
	// Peers returns the peers. An error names the place that is wrong and the
	// mend.
	Peers() (Peers, error)
}

// Static is a source that knows the peers already.
func Static(p Peers) Source { return static(p) }

type static Peers

func (s static) Peers() (Peers, error) {
	if len(s) == 0 {
		return nil, fmt.Errorf("no peers are given")
	}
	used := make(map[string]string, len(s))
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if err := check(name, s[name], used); err != nil {
			return nil, err
		}
	}
	return maps.Clone(Peers(s)), nil
}

// Flags is a source for arguments of the form NAME=HOST:PORT.
func Flags(args []string) Source { return flags(args) }

type flags []string

func (f flags) Peers() (Peers, error) {
	peers := make(Peers, len(f))
	used := make(map[string]string, len(f))
	for _, arg := range f {
		name, addr, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("--peer %q: write NAME=HOST:PORT", arg)
		}
		if _, twice := peers[name]; twice {
			return nil, fmt.Errorf("--peer %q: peer %s is given twice", arg, name)
		}
		if err := check(name, addr, used); err != nil {
			return nil, fmt.Errorf("--peer %q: %w", arg, err)
		}
		peers[name] = addr
	}
	if len(peers) == 0 {
		return nil, fmt.Errorf("no --peer is given")
	}
	return peers, nil
}

// check looks at one peer; used maps the addresses seen so far to their peers.
func check(name, addr string, used map[string]string) error {
	if err := algo.PeerName(name).Check(); err != nil {
		return err
	}
	if err := CheckAddr(addr); err != nil {
		return fmt.Errorf("peer %s: %w", name, err)
	}
	if other, taken := used[addr]; taken {
		return fmt.Errorf("peers %s and %s have the same address %s", other, name, addr)
	}
	used[addr] = name
	return nil
}

// CheckAddr returns an error that says why nobody can be reached at addr, if
// that can be seen: it must be HOST:PORT.
func CheckAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: write HOST:PORT", addr)
	}
	if host == "" {
		return fmt.Errorf("address %q has no host; others need one to reach it", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return fmt.Errorf("address %q: the port must be a number from 1 to 65535", addr)
	}
	return nil
}
