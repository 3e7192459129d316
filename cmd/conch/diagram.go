package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch/internal/report/drawing"
	"github.com/conchlock/conch/internal/report/spacetime"
	"github.com/conchlock/conch/internal/trace"
)

// diagramOptions are the flags of conch diagram.
type diagramOptions struct {
	lock     string
	entry    int
	from, to moment
	upkeep   bool
	output   string
}

// The width of a picture, in points: at least diagramWidth, and for each peer
// lifelineWidth, so that labels find room. Its height is what it needs.
const (
	diagramWidth  = 760
	lifelineWidth = 60
)

func diagramCommand() *cobra.Command {
	var o diagramOptions
	cmd := &cobra.Command{
		Use:   "diagram DIR -o FILE.svg",
		Short: "Draw what the peers did as a space-time diagram",
		Long: "Draw what the peers did as a space-time diagram: a line for each peer, arrows for\n" +
			"the messages between them, and bars where one waits for the lock or holds it. Time\n" +
			"runs downwards, step by step. The file is an SVG; point at anything in it to read\n" +
			"more. With --entry, it shows the time from a request to the end of its hold, and\n" +
			"what led to the entry stands out.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			return diagram(cmd, args[0], &o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "the file to write, an SVG")
	f.StringVar(&o.lock, "lock", "", "the lock (default: the only one in the traces)")
	f.IntVar(&o.entry, "entry", 0, "only what is around this entry of the lock, in the order of its tokens, from 1")
	f.Var(&o.from, "from", "only from this moment on, in ms since the beginning of the run, or as 1.5s")
	f.Var(&o.to, "to", "only up to this moment")
	f.BoolVar(&o.upkeep, "upkeep", false, "also the messages that no entry needs")
	return cmd
}

// check says what is wrong with the flags.
func (o *diagramOptions) check(cmd *cobra.Command) error {
	f := cmd.Flags()
	switch {
	case !f.Changed("output"):
		return usage("-o: name the file to write, as in -o run.svg")
	case f.Changed("entry") && o.entry < 1:
		return usage("--entry %d: entries are counted from 1", o.entry)
	case o.entry > 0 && (f.Changed("from") || f.Changed("to")):
		return usage("--entry says from when to when; leave out --from and --to")
	case f.Changed("to") && o.to <= o.from:
		return usage("--to %v is not after --from %v", &o.to, &o.from)
	}
	return nil
}

// diagram reads the traces and writes the picture.
func diagram(cmd *cobra.Command, dir string, o *diagramOptions) error {
	out, err := createOutput("-o", o.output)
	if err != nil {
		return err
	}
	defer out.discard()
	options := spacetime.Options{Lock: o.lock, From: time.Duration(o.from), To: time.Duration(o.to), Upkeep: o.upkeep}
	if o.entry > 0 {
		stories, problem, err := readStories(dir, o.lock)
		if err != nil {
			return err
		}
		if options.Path, err = stories.Path(o.entry); err != nil {
			return blame(err, problem)
		}
	}
	if options.Begin, err = runBegin(dir); err != nil {
		return err
	}
	readers, problems, err := trace.Dir(dir, true)
	if err != nil {
		return err
	}
	events := trace.Merge(readers...)
	timeline, err := spacetime.Collect(events, options)
	var problem error
	if problems = append(problems, events.Problems()...); len(problems) > 0 {
		problem = fmt.Errorf("%w; conch check %s says what else is wrong", problems[0], dir)
	}
	if err != nil {
		return blame(fmt.Errorf("%s: %w", dir, err), problem)
	}
	if problem != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "conch: the traces have gaps, and so may the picture: %v\n", problem)
	}
	picture := timeline.Pages(max(diagramWidth, lifelineWidth*float64(timeline.Peers())), 0)[0]
	if err := picture.SVG(out); err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	tellDiagram(cmd.ErrOrStderr(), o, timeline, picture)
	return nil
}

// tellDiagram says what was drawn, and what was not.
func tellDiagram(w io.Writer, o *diagramOptions, t *spacetime.Timeline, picture *drawing.Drawing) {
	fmt.Fprintf(w, "conch: %s shows: %s\n", o.output, picture.Title)
	const choose = "choose others with --from and --to, or with --entry"
	if left := t.Left(); left > 0 {
		fmt.Fprintf(w, "conch: it has the first %d messages; %d more follow: %s\n", t.Messages(), left, choose)
	} else if t.Cut() {
		fmt.Fprintf(w, "conch: it has the first entries, and more follow: %s\n", choose)
	}
}

// runBegin returns when the first event of a run was recorded.
func runBegin(dir string) (time.Time, error) {
	readers, _, err := trace.Dir(dir, true)
	if err != nil {
		return time.Time{}, err
	}
	var begin time.Time
	for _, r := range readers {
		var l trace.Line
		// What is wrong with a trace is said by who reads all of it.
		if err := r.Next(&l); err == nil && (begin.IsZero() || l.At.Before(begin)) {
			begin = l.At
		}
		r.Close()
	}
	return begin, nil
}

// moment is a flag that holds a time since the beginning of a run: a number of
// milliseconds, or a duration with its unit.
type moment time.Duration

func (m *moment) String() string { return time.Duration(*m).String() }
func (m *moment) Type() string   { return "ms" }

func (m *moment) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "ms")
	}
	if err != nil {
		return fmt.Errorf("write milliseconds, as 1500, or a time with its unit, as 1.5s")
	}
	if d < 0 {
		return fmt.Errorf("times are counted from the beginning of the run")
	}
	*m = moment(d)
	return nil
}
