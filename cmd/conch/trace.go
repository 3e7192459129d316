package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/export"
)

func traceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace FORMAT DIR",
		Short: "Write the traces in a directory as other programs read them",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("name a format: shiviz or perfetto")
			}
			return usage("no format is called %q; there are shiviz and perfetto", args[0])
		},
	}
	cmd.AddCommand(
		exportCommand("shiviz", "Write a log for ShiViz, with vector clocks",
			"Write a log for ShiViz, with a vector clock for each event, computed from the traces.\n"+
				"Open the file there, or paste it; the parser expression is its first line:\n  "+export.ShiVizParser,
			func(w io.Writer, _ string, m *trace.Merger) error { return export.ShiViz(w, m) }),
		exportCommand("perfetto", "Write a timeline for ui.perfetto.dev or chrome://tracing",
			"Write a timeline as JSON in the Trace Event Format, for ui.perfetto.dev or\n"+
				"chrome://tracing: a process for each peer, with its steps, arrows for messages, and\n"+
				"a track for each lock that says when the peer waited for it and held it. Times are\n"+
				"microseconds since the beginning of the run, by each peer's own clock.",
			func(w io.Writer, dir string, m *trace.Merger) error {
				begin, err := runBegin(dir)
				if err != nil {
					return err
				}
				return export.Perfetto(w, m, begin)
			}),
	)
	return cmd
}

// exportCommand returns a command that writes the traces in one format.
func exportCommand(format, short, long string, write func(w io.Writer, dir string, m *trace.Merger) error) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   format + " DIR",
		Short: short,
		Long:  long,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			commit := func() error { return nil }
			var w io.Writer = cmd.OutOrStdout()
			if cmd.Flags().Changed("output") {
				out, err := createOutput("-o", output)
				if err != nil {
					return err
				}
				defer out.discard()
				w, commit = out, out.commit
			}
			readers, problems, err := trace.Dir(args[0], false)
			if err != nil {
				return err
			}
			events := trace.Merge(readers...)
			if err := write(w, args[0], events); err != nil {
				return err
			}
			if problems = append(problems, events.Problems()...); len(problems) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "conch: the traces have gaps, and so may this: %v; conch check %s says what else is wrong\n", problems[0], args[0])
			}
			return commit()
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file to write (default: standard output)")
	return cmd
}
