package main

import (
	"errors"
	"net"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/conchlock/conch/discovery"
	"github.com/conchlock/conch/discovery/serf"
)

// addSerf adds the flags about peers that find each other.
func (o *peerOptions) addSerf(f *pflag.FlagSet) {
	f.StringArrayVar(&o.gossip.Join, "join", nil, "address of any peer's gossip, HOST:PORT: the others are learnt from it; may be given several times, and need not be there yet")
	f.StringVar(&o.gossip.Bind, "serf-addr", "", "address to gossip on, HOST:PORT, by UDP and TCP (default: the host of --listen, port 7946)")
	f.StringVar(&o.gossip.Advertise, "serf-advertise", "", "address at which the others reach --serf-addr, where addresses are translated")
	f.StringVar(&o.gossip.Keyring, "keyring", "", "file with keys for the gossip, base64 of 16, 24 or 32 bytes, one a line; the first one encrypts")
	f.StringVar(&o.network, "network", "lan", "what the gossip has to expect: lan, wan or loopback")
}

// completeSerf finds what is wrong with them.
func (o *peerOptions) completeSerf() error {
	var wrong problems
	for _, addr := range o.gossip.Join {
		if err := discovery.CheckAddr(addr); err != nil {
			wrong.add("--join: %w", err)
		}
	}
	if len(o.Voters) == 0 {
		wrong.add("--join needs --voters a,b,c: whose votes count is decided when the cluster is born, and is the same at every peer")
	}
	if o.gossip.Bind != "" {
		if _, _, err := net.SplitHostPort(o.gossip.Bind); err != nil {
			wrong.add("--serf-addr %q: write HOST:PORT", o.gossip.Bind)
		}
	}
	if o.gossip.Advertise != "" {
		if err := discovery.CheckAddr(o.gossip.Advertise); err != nil {
			wrong.add("--serf-advertise: %w", err)
		}
	}
	var err error
	if o.gossip.Network, err = serf.ParseNetwork(o.network); err != nil {
		wrong.add("--%w", err)
	}
	o.gossip.Dir = o.Dir
	o.Discovery = o.gossip
	return errors.Join(wrong...)
}

// withoutSerf refuses flags that would do nothing where all peers are known: who
// gives a keyring shall not think that something is encrypted by it.
func withoutSerf(cmd *cobra.Command) error {
	var wrong problems
	for _, name := range []string{"serf-advertise", "keyring", "network"} {
		if cmd.Flags().Changed(name) {
			wrong.add("--%s goes with --join or --serf-addr", name)
		}
	}
	return errors.Join(wrong...)
}
