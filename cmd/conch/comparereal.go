package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/compare"
)

// Real peers want the lock by themselves: each about so long after it has left.
// Under light load that is so seldom that they hardly ever compete. They stay
// inside for a few message delays, so that under heavy load somebody always waits
// when one leaves.
const (
	compareWork        = 500 * time.Microsecond
	comparePauseHeavy  = time.Nanosecond
	comparePauseMedium = time.Millisecond      // for each peer
	comparePauseLight  = 10 * time.Millisecond // for each peer
)

// runReal plays the plan with real processes.
func (o *compareOptions) runReal(cmd *cobra.Command, p *compare.Plan, r *compare.Result) error {
	dir, err := os.MkdirTemp("", "conch-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, load := range p.Loads {
		for _, a := range p.Algorithms {
			for _, n := range p.Peers {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s, %s, %s load\n", a.Name, count(n, "peer"), load)
				verdict, err := o.runPeers(cmd, filepath.Join(dir, fmt.Sprintf("%s-%d-%s", a.Name, n, load)), a.Name, n, load)
				if err != nil {
					return fmt.Errorf("%s, %d peers, %s load: %w", a.Name, n, load, err)
				}
				row, err := compare.Measure(verdict, a, n, load, time.Microsecond)
				if err != nil {
					return err
				}
				r.Rows = append(r.Rows, row)
			}
		}
	}
	return nil
}

// runPeers lets the peers of a demo compete, and measures their traces.
func (o *compareOptions) runPeers(cmd *cobra.Command, dir, algorithm string, n int, load compare.Load) (*check.Report, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	d := &demoOptions{peers: n, entries: (o.entries + n - 1) / n, algorithm: algorithm, discovery: "file", seed: o.seed, dir: dir}
	d.measure, d.pause = true, comparePauseHeavy
	switch load {
	case compare.Light:
		d.pause = time.Duration(n) * comparePauseLight
	case compare.Medium:
		d.pause = time.Duration(n) * comparePauseMedium
	}
	if err := d.compete(cmd.Context(), io.Discard); err != nil {
		return nil, err
	}
	verdict, err := check.Dir(dir)
	if err == nil {
		err = os.RemoveAll(dir) // thousands of runs may follow
	}
	return verdict, err
}
