package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/check"
)

// demoOptions are the flags of conch demo.
type demoOptions struct {
	peers     int
	entries   int
	algorithm string
	discovery string
	seed      uint64
	dir       string
	json      bool
	report    bool
	crash     bool
	kill      int
	guests    int
	ttl       time.Duration // 0: the peers' default

	linger int // which entry ends with a kill; 0: none

	measure bool          // for figures: no log, and little work inside
	pause   time.Duration // with measure: how long a peer wants nothing after it has left
}

const (
	demoPeersMax   = 31
	demoEntriesMax = 10000
	demoStories    = 3 // how many entries are told in full
	demoLock       = "demo"
	demoEvery      = 10 * time.Millisecond // close enough to compete
	demoWork       = 5 * time.Millisecond
	demoTick       = 5 * time.Millisecond
	demoStall      = 20 * time.Second // without an entry for so long, the demo gives up
	demoKillsMax   = 100
	demoJoins      = 3 // how many addresses each peer is given to join, with serf
)

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start peers on this machine, let them compete, tell what happened",
		Long: "Start peers as processes of their own on loopback, let each enter the critical\n" +
			"section a few times, tell how the first ones got in, and check the whole run.\n" +
			"With --crash the peer that is inside gets killed, and later started again; with\n" +
			"--kill others do.\n" +
			"Exits 0 if the run was sound, 1 if it was not, 2 if that cannot be told.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, &o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.peers, "peers", 3, "number of peers")
	f.IntVar(&o.entries, "entries", 3, "how often each enters the critical section")
	f.StringVar(&o.algorithm, "algorithm", roster.Default, algorithmHelp())
	f.StringVar(&o.discovery, "discovery", "file", "how peers learn of each other: file, flags or serf")
	f.Uint64Var(&o.seed, "seed", 0, "decides the moments of wanting (default: chance, and printed)")
	f.StringVar(&o.dir, "dir", "", "directory for everything about the run, new or empty (default: one below runs)")
	f.BoolVar(&o.crash, "crash", false, "kill the holder inside the critical section, and start it again later")
	f.IntVar(&o.kill, "kill", 0, "kill peers that are not inside, so many times in all, and start them again later")
	f.IntVar(&o.guests, "guests", 0, "with --discovery serf: so many more peers, without a vote, come in mid-run, make their entries, and leave")
	f.DurationVar(&o.ttl, "ttl", 0, "the peers' TTL (default: that of conch peer; 1s with --crash or --kill)")
	f.BoolVar(&o.report, "report", false, "also write report.pdf and report.html into the directory of the run")
	f.BoolVar(&o.json, "json", false, "print the verdict as JSON instead of the story")
	return cmd
}

// complete checks the flags and makes the directory.
func (o *demoOptions) complete() error {
	if o.peers < 1 || o.peers > demoPeersMax {
		return usage("--peers %d: use 1 to %d", o.peers, demoPeersMax)
	}
	if o.entries < 1 || o.entries > demoEntriesMax {
		return usage("--entries %d: use 1 to %d", o.entries, demoEntriesMax)
	}
	if _, err := roster.New(o.algorithm); err != nil {
		return usage("--algorithm: %w", err)
	}
	if !slices.Contains([]string{"file", "flags", "serf"}, o.discovery) {
		return usage("--discovery %q: use file, flags or serf", o.discovery)
	}
	if err := o.completeFaults(); err != nil {
		return err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1<<32) + 1
	}
	if o.crash {
		o.linger = 1 + int(o.seed%2)
	}
	if o.dir == "" {
		o.dir = filepath.Join("runs", fmt.Sprintf("%s-%d", time.Now().Format("20060102-150405"), o.seed))
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return exitError{exitUnknown, fmt.Errorf("--dir: %w", err)}
	}
	files, err := os.ReadDir(o.dir)
	if err != nil {
		return exitError{exitUnknown, fmt.Errorf("--dir: %w", err)}
	}
	if len(files) > 0 {
		return usage("--dir %s is not empty; name a new directory, so that nothing is mixed up", o.dir)
	}
	return nil
}

// completeFaults checks the flags about what is done to the peers.
func (o *demoOptions) completeFaults() error {
	switch {
	case o.crash && o.peers < 2:
		return usage("--crash needs --peers 2 or more: somebody has to go on")
	case o.kill < 0 || o.kill > demoKillsMax:
		return usage("--kill %d: use 0 to %d", o.kill, demoKillsMax)
	case o.kill > 0 && o.peers < 3:
		return usage("--kill needs --peers 3 or more: a minority is killed at a time")
	case o.ttl != 0 && o.ttl < conch.MinTTL:
		return usage("--ttl %s: the least is %s", o.ttl, conch.MinTTL)
	}
	if o.ttl == 0 && (o.faulty() || o.discovery == "serf") {
		o.ttl = demoCrashTTL
	}
	return o.completeGuests()
}

// completeGuests checks the flags about who comes later.
func (o *demoOptions) completeGuests() error {
	switch {
	case o.guests == 0:
		return nil
	case o.guests < 0 || o.peers+o.guests > demoPeersMax:
		return usage("--guests %d: with the peers at most %d", o.guests, demoPeersMax)
	case o.discovery != "serf":
		return usage("--guests needs --discovery serf: a list of peers says who there is")
	case !survives(o.algorithm):
		return usage("--guests: %s needs every peer, so nobody comes or goes", o.algorithm)
	}
	return nil
}

// work is how long a peer stays inside.
func (o *demoOptions) work() time.Duration {
	if o.measure {
		return compareWork
	}
	return demoWork
}

// faulty says that peers are to be killed.
func (o *demoOptions) faulty() bool { return o.crash || o.kill > 0 }

// every is how often a peer wants the section. Peers that are killed in the
// course of the run are missing for up to three TTLs each, and somebody should
// want to enter all that time.
func (o *demoOptions) every() time.Duration {
	if o.measure {
		return o.pause
	}
	if o.kill == 0 {
		return demoEvery
	}
	missing := 3 * o.ttl * time.Duration(o.kill) / time.Duration(o.minority())
	return max(demoEvery, missing/time.Duration(o.entries))
}

// minority is how many peers may be missing while the others are a majority.
func (o *demoOptions) minority() int { return (o.peers - 1) / 2 }

// runDemo runs the demo from start to verdict.
func runDemo(cmd *cobra.Command, o *demoOptions) error {
	if err := o.complete(); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if o.json {
		out = io.Discard
	}
	fmt.Fprintf(out, "%s, %s, %s each, seed %d\n",
		count(o.peers, "peer"), o.algorithm, count(o.entries, "entry"), o.seed)
	fmt.Fprintf(out, "everything about the run is in %s\n", o.dir)
	if o.ttl > 0 {
		what := "silence is noticed within that time"
		if survives(o.algorithm) {
			what = "so long a hold lasts if its holder falls silent"
		}
		fmt.Fprintf(out, "the TTL is %s: %s\n", o.ttl, what)
	}

	if err := o.compete(cmd.Context(), out); err != nil {
		return exitError{exitUnknown, fmt.Errorf("%w; see %s, and conch check judges what is there", err, o.dir)}
	}
	verdict, err := check.Dir(o.dir)
	if err != nil {
		return exitError{exitUnknown, err}
	}
	if err := writeJSON(filepath.Join(o.dir, "verdict.json"), verdict); err != nil {
		return err
	}
	if o.report {
		r := reportOptions{pdf: filepath.Join(o.dir, "report.pdf"), html: filepath.Join(o.dir, "report.html")}
		if err := r.write(cmd.ErrOrStderr(), []string{o.dir}); err != nil {
			return err
		}
	}
	if o.json {
		if err := printJSON(cmd.OutOrStdout(), verdict); err != nil {
			return err
		}
		return verdictError(verdict)
	}
	last, err := o.tellFirst(out, verdict)
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := verdict.WriteText(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nRead on: %s explain %s --entry %d; the logs are %s\n",
		invocation(), o.dir, last, filepath.Join(o.dir, "*.log"))
	return verdictError(verdict)
}

// tellFirst tells how the first got in, and who came after a holder that was
// killed. It returns the number of the last entry that it told.
func (o *demoOptions) tellFirst(out io.Writer, verdict *check.Report) (int, error) {
	stories, _, err := readStories(o.dir, demoLock) // problems are the verdict's
	if err != nil {
		return 0, exitError{exitUnknown, err}
	}
	fmt.Fprintf(out, "\nHow the first got in. %s\n", legend)
	told := min(demoStories, stories.Entries())
	for k := range told {
		if err := tell(out, stories, k+1, ""); err != nil {
			return 0, err
		}
	}
	for _, x := range verdict.Broken {
		if k := stories.After(x.Token); x.Lock == demoLock && k > told {
			told = k
			fmt.Fprintf(out, "\nHow it went on: %s.\n", x.Text)
			if err := tell(out, stories, k, ""); err != nil {
				return 0, err
			}
			break
		}
	}
	return told, nil
}

// invocation is how this program was started, as far as others can do it too.
func invocation() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/conch"
	}
	return "conch"
}

// compete runs the peers until each has made its entries, then ends them.
func (o *demoOptions) compete(ctx context.Context, out io.Writer) error {
	c, err := startCluster(o)
	if err != nil {
		return err
	}
	f := newFaults(o, c, out)
	if o.faulty() || o.guests > 0 {
		fmt.Fprintln(out)
	}
	g, err := newGuests(o, c, f)
	if err == nil {
		err = c.waitForEntries(ctx, (o.peers+o.guests)*o.entries, f, g)
	}
	if err == nil && o.faulty() {
		f.conclude()
	}
	if waitErr := g.wait(); err == nil {
		err = waitErr
	}
	if stopErr := c.stop(); err == nil {
		err = stopErr
	}
	return err
}

// count writes a number of things: "1 peer", "3 peers", "3 entries".
func count(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(thing, "y"))
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func writeJSON(path string, v any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return printJSON(f, v)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
