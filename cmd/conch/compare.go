package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/compare"
	"github.com/conchlock/conch/internal/report/drawing"
)

// compareOptions are the flags of conch compare.
type compareOptions struct {
	algorithms []string
	peers      []string
	load       string
	seed       uint64
	entries    int
	real       bool
	json       bool
	csv        bool
	markdown   bool
	deaths     bool
	chart      string
}

const (
	compareEntries        = 200
	compareEntriesMax     = 100_000
	comparePeers          = "3,5,9"
	comparePeersReal      = "3"
	compareEntriesMaxReal = 10_000
)

func compareCommand() *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Put the algorithms side by side: messages, bytes, delays, fairness, deaths",
		Long: "Let every algorithm bear the same load, and say what an entry costs: messages beside\n" +
			"the formula of the literature, bytes, the delay from an exit to the next entry, waiting\n" +
			"times, fairness; and what becomes of the others when a peer dies. By default in the\n" +
			"simulator, in virtual time: the same flags print the same bytes. With --real as\n" +
			"processes on this machine, in microseconds; then the seed decides about when each\n" +
			"peer wants the lock, and no peer dies. Every run is measured, and judged, as conch\n" +
			"check does it.",
		Example: "  conch compare\n" +
			"  conch compare --algorithms maekawa,ricart-agrawala --peers 3..31 --load heavy --chart messages.svg\n" +
			"  conch compare --real --peers 3,5",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCompare(cmd, &o) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.algorithms, "algorithms", roster.Names(), "those that are compared")
	f.StringSliceVar(&o.peers, "peers", nil, fmt.Sprintf("numbers of peers, such as 3,5 or 3..31 (default %s; with --real %s)", comparePeers, comparePeersReal))
	f.StringVar(&o.load, "load", "", "light (one peer at a time), medium, heavy (all peers, all the time), or all (default all; with --real heavy)")
	f.Uint64Var(&o.seed, "seed", 1, "decides who wants the lock, and when")
	f.IntVar(&o.entries, "entries", compareEntries, "entries of each run")
	f.BoolVar(&o.real, "real", false, "compare real processes, which takes about a second for each run")
	f.BoolVar(&o.json, "json", false, "print the figures as JSON")
	f.BoolVar(&o.csv, "csv", false, "print the figures of the runs as CSV")
	f.BoolVar(&o.markdown, "markdown", false, "print tables for a chapter about the first algorithm, or, with one number of peers, a table of all")
	f.StringVar(&o.chart, "chart", "", "write a chart of messages against peers to this file, as SVG")
	f.BoolVar(&o.deaths, "deaths", false, "only say what becomes of the others when a peer dies")
	cmd.MarkFlagsMutuallyExclusive("json", "csv", "markdown")
	for _, other := range []string{"real", "csv", "chart", "peers", "load", "entries"} {
		cmd.MarkFlagsMutuallyExclusive("deaths", other)
	}
	cmd.MarkFlagsMutuallyExclusive("real", "markdown")
	cmd.RegisterFlagCompletionFunc("load", cobra.FixedCompletions([]string{"light", "medium", "heavy", "all"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// plan turns the flags into what is compared.
func (o *compareOptions) plan() (*compare.Plan, error) {
	p := &compare.Plan{Entries: o.entries, Seed: o.seed}
	for _, name := range o.algorithms {
		create, err := roster.New(name)
		if err != nil {
			return nil, usage("--algorithms: %w", err)
		}
		if slices.ContainsFunc(p.Algorithms, func(a compare.Algorithm) bool { return a.Name == name }) {
			return nil, usage("--algorithms: %s is there twice", name)
		}
		cost, _ := roster.CostOf(name)
		p.Algorithms = append(p.Algorithms, compare.Algorithm{Name: name, New: create, Leases: roster.Leases(name),
			Light: compare.Formula(cost.Light), Heavy: compare.Formula(cost.Heavy)})
	}
	if len(p.Algorithms) == 0 {
		return nil, usage("--algorithms: name one or more of %s", strings.Join(roster.Names(), ", "))
	}
	numbers, load, most := comparePeers, "all", compareEntriesMax
	if o.real {
		numbers, load, most = comparePeersReal, string(compare.Heavy), compareEntriesMaxReal
	}
	if o.entries < 1 || o.entries > most {
		return nil, usage("--entries %d: use 1 to %d", o.entries, most)
	}
	if len(o.peers) == 0 {
		o.peers = strings.Split(numbers, ",")
	}
	var err error
	if p.Peers, err = parsePeers(o.peers); err != nil {
		return nil, err
	}
	if o.load != "" {
		load = o.load
	}
	if p.Loads = compare.Loads(); load != "all" {
		if !slices.Contains(p.Loads, compare.Load(load)) {
			return nil, usage("--load %q: use light, medium, heavy or all", load)
		}
		p.Loads = []compare.Load{compare.Load(load)}
	}
	return p, nil
}

// parsePeers reads numbers and ranges of peers; the result is sorted.
func parsePeers(words []string) ([]int, error) {
	var peers []int
	for _, word := range words {
		first, last, ranged := strings.Cut(word, "..")
		if !ranged {
			last = first
		}
		least, err := strconv.Atoi(first)
		most, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || least < 1 || most < least || most > compare.PeersMax {
			return nil, usage("--peers %q: use numbers from 1 to %d, such as 3,5 or 3..31", word, compare.PeersMax)
		}
		for n := least; n <= most; n++ {
			peers = append(peers, n)
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers), nil
}

func runCompare(cmd *cobra.Command, o *compareOptions) error {
	p, err := o.plan()
	if err != nil {
		return err
	}
	var chart *output
	if cmd.Flags().Changed("chart") {
		if chart, err = createOutput("--chart", o.chart); err != nil {
			return err
		}
		defer chart.discard()
	}
	began := time.Now()
	r := &compare.Result{Unit: "T", Seed: o.seed, Entries: o.entries, Rows: []compare.Row{}}
	if o.real {
		r.Unit = "us"
		err = o.runReal(cmd, p, r)
	} else {
		err = o.simulate(cmd, p, r)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "took %.1fs\n", time.Since(began).Seconds())
	if err := o.print(cmd.OutOrStdout(), r); err != nil || chart == nil {
		return err
	}
	if err := writeChart(chart, r.Chart()); err != nil {
		return err
	}
	return chart.commit()
}

func writeChart(w io.Writer, d *drawing.Drawing) error { return d.SVG(w) }

// simulate plays the plan in the simulator.
func (o *compareOptions) simulate(cmd *cobra.Command, p *compare.Plan, r *compare.Result) error {
	if o.deaths {
		p.Loads = nil
	}
	err := compare.Simulate(p, func(x compare.Row) error {
		r.Rows = append(r.Rows, x)
		return o.interrupted(cmd, r)
	})
	if err != nil || (o.csv || o.markdown) && !o.deaths {
		return err
	}
	for _, a := range p.Algorithms {
		deaths, err := compare.Deaths(p, a)
		if err != nil {
			return err
		}
		r.Deaths = append(r.Deaths, deaths...)
	}
	return nil
}

func (o *compareOptions) interrupted(cmd *cobra.Command, r *compare.Result) error {
	if cmd.Context().Err() != nil {
		return fmt.Errorf("interrupted after %s", count(len(r.Rows), "run"))
	}
	return nil
}

func (o *compareOptions) print(w io.Writer, r *compare.Result) error {
	switch {
	case o.json:
		return printJSON(w, r)
	case o.csv:
		return r.WriteCSV(w)
	case o.markdown:
		return r.WriteMarkdown(w)
	}
	kind := "simulated"
	if o.real {
		kind = "real processes on this machine"
	}
	if !o.deaths {
		fmt.Fprintf(w, "%s, seed %d, %s a run\n\n", kind, o.seed, count(o.entries, "entry"))
	}
	return r.WriteText(w)
}
