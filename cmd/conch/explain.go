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
	var asJSON, following bool
	cmd := &cobra.Command{
		Use:   "explain DIR",
		Short: "Tell why a peer entered when it did: which messages led to it, and what it waited for",
		Long: "Tell how an entry came about: why this peer came at this place; which messages led\n" +
			"to it, in causal order, each with its Lamport time, the milliseconds since the\n" +
			"request, and why it was sent; and what the entry waited for, part by part.\n\n" +
			"With --follow it tells the last entry there is, and then every one as soon as what\n" +
			"led to it has been written, until it is interrupted. It keeps the last 8 to 16 MB of\n" +
			"the traces in mind, and tells the entries of all locks unless --lock names one.\n\n" +
			"--json prints one object (with --follow: one a line). In it are entry, lock, peer,\n" +
			"token, request (its stamp), asked and entered (FILE:LINE), waited_ns, between (the\n" +
			"tokens of the holds that stood between), because; rows\n" +
			"(clock, since_ns, peer, clauses with did, why, and events with event, line, message);\n" +
			"parts (kind, from_ns, took_ns, peer, other, token, message, id, why, begin, end, text,\n" +
			"largest, skewed), which add up to waited_ns; and story, the lines of the text.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if entry < 1 {
				return usage("--entry %d: entries are counted from 1", entry)
			}
			if following {
				from := 0
				if cmd.Flags().Changed("entry") {
					from = entry
				}
				f := &follow{lock: lock, asJSON: asJSON, kept: followKept, out: cmd.OutOrStdout(), problems: cmd.ErrOrStderr()}
				return f.run(cmd.Context(), args[0], from)
			}
			return explain(cmd, args[0], lock, entry, asJSON)
		},
	}
	cmd.Flags().StringVar(&lock, "lock", "", "the lock (default: the only one in the traces)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the story as JSON")
	cmd.Flags().BoolVar(&following, "follow", false, "tell every entry from now on, of peers that run")
	cmd.Flags().IntVar(&entry, "entry", 1, "which entry of the lock, in the order of its tokens; with --follow, the first one to tell")
	return cmd
}

// explain tells one entry.
func explain(cmd *cobra.Command, dir, lock string, entry int, asJSON bool) error {
	stories, problem, err := readStories(dir, lock)
	if err != nil {
		return err
	}
	s, err := stories.Tell(entry)
	if err != nil {
		return blame(err, problem)
	}
	if problem != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "conch: the traces have gaps, and so may this story: %v\n", problem)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), asJSONStory(s))
	}
	return printStory(cmd.OutOrStdout(), s, legend)
}

// readStories reads the traces in a directory. A problem with them is no error:
// what is there can be told.
func readStories(dir, lock string) (_ *story.Stories, problem, err error) {
	readers, problems, err := trace.Dir(dir, true)
	if err != nil {
		return nil, nil, err
	}
	events := trace.Merge(readers...)
	stories, err := story.Collect(events.Events(), lock)
	if problems = append(problems, events.Problems()...); len(problems) > 0 {
		problem = fmt.Errorf("%w; conch check %s says what else is wrong", problems[0], dir)
	}
	if err != nil {
		return nil, nil, blame(fmt.Errorf("%s: %w", dir, err), problem)
	}
	return stories, problem, nil
}

// blame adds to an error that something is not in the traces what is wrong with
// these: that may be why.
func blame(err, problem error) error {
	if err == nil || problem == nil {
		return err
	}
	return fmt.Errorf("%w; but the traces have gaps: %w", err, problem)
}

// legend says how to read a story.
const legend = "In each line: the Lamport time, the time since the request, what happened, and why."

// tell tells the k-th entry, below an introduction.
func tell(w io.Writer, stories *story.Stories, k int, intro string) error {
	s, err := stories.Tell(k)
	if err != nil {
		return err
	}
	return printStory(w, s, intro)
}

// printStory writes a story as text, below an introduction.
func printStory(w io.Writer, s *story.Story, intro string) error {
	if _, err := fmt.Fprintln(w, intro); err != nil {
		return err
	}
	for _, line := range s.Lines() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// storyJSON is a story with its lines.
type storyJSON struct {
	*story.Story
	Lines []string `json:"story"`
}

func asJSONStory(s *story.Story) storyJSON { return storyJSON{s, s.Lines()} }
