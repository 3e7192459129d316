package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
)

func explainCommand() *cobra.Command {
	var lock string
	var entry int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain DIR",
		Short: "Tell which messages led to an entry, and why each was sent",
		Long: "Tell which messages led to an entry, in causal order, each with its Lamport time,\n" +
			"the milliseconds since the request, and why it was sent.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if entry < 1 {
				return usage("--entry %d: entries are counted from 1", entry)
			}
			stories, problem, err := readStories(args[0], lock)
			if err != nil {
				return err
			}
			if problem != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "conch: the traces have gaps, and so may this story: %v\n", problem)
			}
			if asJSON {
				story, err := stories.Story(entry)
				if err != nil {
					return err
				}
				return printJSON(cmd.OutOrStdout(), map[string]any{"entry": entry, "story": story})
			}
			return tell(cmd.OutOrStdout(), stories, entry, legend)
		},
	}
	cmd.Flags().StringVar(&lock, "lock", "", "the lock (default: the only one in the traces)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the lines of the story as JSON")
	cmd.Flags().IntVar(&entry, "entry", 1, "which entry of the lock, in the order of its tokens")
	return cmd
}

// readStories reads the traces in a directory. A problem with them is no error:
// what is there can be told.
func readStories(dir, lock string) (_ *story.Stories, problem, err error) {
	readers, problems, err := trace.Dir(dir, false)
	if err != nil {
		return nil, nil, err
	}
	events := trace.Merge(readers...)
	stories, err := story.Collect(events.Events(), lock)
	if err != nil {
		return nil, nil, err
	}
	if problems = append(problems, events.Problems()...); len(problems) > 0 {
		problem = fmt.Errorf("%w; conch check %s says what else is wrong", problems[0], dir)
	}
	return stories, problem, nil
}

// legend says how to read a story.
const legend = "In each line: the Lamport time, the time since the request, what happened, and why."

// tell tells the k-th entry, below an introduction.
func tell(w io.Writer, stories *story.Stories, k int, intro string) error {
	story, err := stories.Story(k)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, intro)
	for _, line := range story {
		fmt.Fprintln(w, line)
	}
	return nil
}
