package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/sim"
)

// simOptions are the flags of conch sim.
type simOptions struct {
	seed      uint64
	runs      int
	algorithm string
	peers     int
	voters    int
	open      bool
	ttl       time.Duration
	duration  time.Duration
	delay     string
	faults    string
	json      bool
}

const (
	simLeases      = 50  // the length of a run, if none is named
	simStoryLines  = 300 // of a failing run are printed; the rest can be had as JSON
	simPeersMax    = 31
	simDelayBySeed = "by seed"
)

func simCommand() *cobra.Command {
	var o simOptions
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Simulate a cluster in which everything goes wrong, as a seed decides",
		Long: "Simulate a cluster in virtual time: links that are slow, cut, or lose messages, peers\n" +
			"that crash, pause, or lose their disk, clocks of different rates. Nobody may ever\n" +
			"be inside with somebody else. Then all is mended, and everybody who waits must\n" +
			"get in within a stated time. The same flags print the same bytes; what took real\n" +
			"time is said on stderr. Stops at the first run that fails, makes it as short as\n" +
			"it can, and tells it as a scenario.\n" +
			"Exits 0 if every run was sound, 1 if one was not.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSim(cmd, &o) },
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 0, "of the first run; each further one takes the next (default: chance, and printed)")
	f.IntVar(&o.runs, "runs", 1, "number of runs")
	f.StringVar(&o.algorithm, "algorithm", roster.Default, algorithmHelp())
	f.IntVar(&o.peers, "peers", 5, "number of peers")
	f.IntVar(&o.voters, "voters", 0, "how many of them vote (default all)")
	f.BoolVar(&o.open, "open", false, "the others come and go, and are taken for gone while they are there; with --voters")
	f.DurationVar(&o.ttl, "ttl", 5*time.Second, "how long a lease lasts; faults last about as long")
	f.DurationVar(&o.duration, "duration", 0, fmt.Sprintf("virtual time in which things go wrong (default %d times the ttl)", simLeases))
	f.StringVar(&o.delay, "delay", simDelayBySeed, "what a message takes, such as 10ms or 5ms..20ms")
	f.StringVar(&o.faults, "faults", "all", "all, none, or a list of: "+strings.Join(sim.FaultNames(), ","))
	f.BoolVar(&o.json, "json", false, "print the figures as JSON")
	return cmd
}

// timed turns the flags into the first run.
func (o *simOptions) timed() (sim.Timed, error) {
	var none sim.Timed
	create, err := roster.New(o.algorithm)
	if err != nil {
		return none, usage("--algorithm: %w", err)
	}
	if o.peers < 1 || o.peers > simPeersMax {
		return none, usage("--peers %d: use 1 to %d", o.peers, simPeersMax)
	}
	if o.runs < 1 {
		return none, usage("--runs %d: use 1 or more", o.runs)
	}
	faults, err := sim.ParseFaults(o.faults)
	if err != nil {
		return none, usage("--faults: %w", err)
	}
	leases := roster.Leases(o.algorithm)
	switch {
	case o.open && o.voters == 0:
		return none, usage("--open needs --voters: how many vote is decided beforehand")
	case o.open && !leases:
		return none, usage("--open: %s needs every peer, so nobody comes or goes", o.algorithm)
	}
	switch named := o.faults != "all" && !leases; {
	case named && faults&sim.Wipes != 0:
		return none, usage("--faults: %s does not survive a wipe; it needs Lamport clocks that never go back", o.algorithm)
	case named && faults&sim.Stops != 0:
		return none, usage("--faults: %s keeps nothing when it stops in good order: name crash instead", o.algorithm)
	}
	var delay sim.Span
	if o.delay != simDelayBySeed {
		if delay, err = sim.ParseSpan(o.delay); err != nil {
			return none, usage("--delay: %w", err)
		}
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1<<32) + 1
	}
	if o.duration == 0 {
		o.duration = simLeases * o.ttl
	}
	t := sim.Timed{
		Algorithm: o.algorithm, New: create, Seed: o.seed, Peers: o.peers, Voters: o.voters, Open: o.open, Leases: leases,
		TTL: algo.Duration(o.ttl), Length: algo.Duration(o.duration), Faults: faults, Delay: delay,
	}
	if err := t.Validate(); err != nil {
		return none, usage("%w", err)
	}
	return t, nil
}

func runSim(cmd *cobra.Command, o *simOptions) error {
	t, err := o.timed()
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if o.json {
		out = io.Discard
	}
	fmt.Fprintf(out, "seed %d, %s of %v: %s, %s, ttl %v, faults %s\n",
		o.seed, count(o.runs, "run"), o.duration, o.algorithm, count(o.peers, "peer"), o.ttl, t.Faults)
	if o.runs == 1 {
		fmt.Fprint(out, t.Plan())
	}
	result := simResult{Seed: o.seed, Algorithm: o.algorithm, Peers: o.peers, Voters: o.voters, Open: o.open, TTL: o.ttl.String(),
		Duration: o.duration.String(), Faults: t.Faults.String(), Delay: o.delay, Runs: o.runs}
	var total sim.Stats
	began := time.Now()
	for range o.runs {
		if err := cmd.Context().Err(); err != nil {
			return fmt.Errorf("interrupted after %s", count(total.Runs, "run"))
		}
		stats, failure := t.Run()
		total.Add(stats)
		if failure != nil {
			result.Failure = &simFailure{Seed: t.Seed, Plan: t.Plan(), Reason: failure.Reason.Error(), Scenario: failure.Scenario()}
			break
		}
		t.Seed++
	}
	took := time.Since(began)
	fmt.Fprintf(cmd.ErrOrStderr(), "took %.1fs; %.0f entries, %.0f steps a minute\n",
		took.Seconds(), float64(total.Entries)/took.Minutes(), float64(total.Steps)/took.Minutes())
	result.set(total)
	if o.json {
		err = printJSON(cmd.OutOrStdout(), result)
	} else {
		err = result.writeText(out)
	}
	if err == nil && result.Failure != nil {
		err = exitError{exitFalse, nil}
	}
	return err
}
