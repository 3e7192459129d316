package main

import (
	"github.com/spf13/cobra"

	"github.com/conchlock/conch/internal/check"
)

func checkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Judge the traces in a directory: was mutual exclusion kept?",
		Long: "Judge the traces in a directory: was at most one peer inside at a time, did the\n" +
			"tokens grow, did every request end, did links keep their promise?\n" +
			"Exits 0 if the run was sound, 1 if it was not, 2 if that cannot be told.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			verdict, err := check.Dir(args[0])
			if err != nil {
				return exitError{exitUnknown, err}
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), verdict)
			} else {
				err = verdict.WriteText(cmd.OutOrStdout())
			}
			if err != nil {
				return err
			}
			return verdictError(verdict)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdict as JSON")
	return cmd
}

// verdictError turns a verdict into an exit code; the text has been printed.
func verdictError(r *check.Report) error {
	switch r.Verdict {
	case check.True:
		return nil
	case check.False:
		return exitError{exitFalse, nil}
	}
	return exitError{exitUnknown, nil}
}
