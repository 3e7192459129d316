package serf

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/conchlock/conch/discovery"
)

// defaultPort is where serf and memberlist gossip unless told otherwise.
const defaultPort = 7946

// lookupTimeout is how long a name server may take.
const lookupTimeout = 5 * time.Second

// place is where a peer gossips.
type place struct {
	bind      netip.AddrPort // port 0 is any
	advertise netip.AddrPort // port 0 is that of bind
}

// on is the place when it is known on which port one listens.
func (p place) on(port uint16) place {
	p.bind = netip.AddrPortFrom(p.bind.Addr(), port)
	if p.advertise.Port() == 0 {
		p.advertise = netip.AddrPortFrom(p.advertise.Addr(), port)
	}
	return p
}

// place finds out where to gossip, for a peer that is reached at addr.
func (s Source) place(ctx context.Context, addr string) (place, error) {
	own, _, err := net.SplitHostPort(addr)
	if err != nil {
		return place{}, fmt.Errorf("address %q: write HOST:PORT", addr)
	}
	host, port := own, uint16(defaultPort)
	if s.Bind != "" {
		if host, port, err = split(s.Bind); err != nil {
			return place{}, fmt.Errorf("address to gossip on (Source.Bind, --serf-addr): %w", err)
		}
	}
	if host == "" {
		host = "0.0.0.0"
	}
	bind, err := s.resolve(ctx, host)
	if err != nil {
		return place{}, fmt.Errorf("address to gossip on: %w", err)
	}
	p := place{bind: netip.AddrPortFrom(bind, port)}
	reach, reachPort := host, uint16(0)
	switch {
	case s.Advertise != "":
		if err := discovery.CheckAddr(s.Advertise); err != nil {
			return place{}, fmt.Errorf("address to advertise (Source.Advertise, --serf-advertise): %w", err)
		}
		reach, reachPort, _ = split(s.Advertise)
	case bind.IsUnspecified():
		reach = own
	}
	ip, err := s.resolve(ctx, reach)
	if err != nil {
		return place{}, fmt.Errorf("address to advertise: %w", err)
	}
	if ip.IsUnspecified() {
		return place{}, fmt.Errorf("gossip on %s: that is all addresses of this machine, and the others need one: say which (Source.Advertise, --serf-advertise)", p.bind)
	}
	p.advertise = netip.AddrPortFrom(ip, reachPort)
	return p, nil
}

// split takes HOST:PORT apart. Unlike discovery.CheckAddr it allows port 0 and no
// host.
func split(addr string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: write HOST:PORT", addr)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: the port must be a number from 0 to 65535", addr)
	}
	return host, uint16(n), nil
}

// resolve returns the first address of a host: of version 4, if it has one.
func (s Source) resolve(ctx context.Context, host string) (netip.Addr, error) {
	all, err := resolveAll(ctx, s.test.lookup, host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, ip := range all {
		if ip.Is4() {
			return ip, nil
		}
	}
	return all[0], nil
}

// resolveAll returns all addresses of a host, one at least.
func resolveAll(ctx context.Context, ask func(context.Context, string) ([]netip.Addr, error), host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap().WithZone("")}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	all, err := ask(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the name %s has no addresses", host)
	}
	for i, ip := range all {
		all[i] = ip.Unmap().WithZone("")
	}
	return all, nil
}

func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
