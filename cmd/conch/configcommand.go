package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration file for conch peer, or print one to begin with",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("say what to do: conch config check FILE, or conch config print")
		},
	}
	cmd.AddCommand(configCheckCommand(), &cobra.Command{
		Use:     "print",
		Short:   "Print a configuration file with every key, what it is for, and its default",
		Example: "  conch config print > conch.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printConfig(cmd.OutOrStdout(), peerCommand(new(peerOptions)).Flags())
		},
	})
	return cmd
}

// configCheckCommand is conch peer that stops short of starting one.
func configCheckCommand() *cobra.Command {
	var o peerOptions
	cmd := peerCommand(&o)
	cmd.Use = "check FILE"
	cmd.Short = "Find what is wrong with a configuration file, all of it"
	cmd.Long = "Read a configuration file as conch peer --config FILE does, and print all that is\n" +
		"wrong with it, without starting a peer. It takes the flags of conch peer, for what the\n" +
		"command line gives there. Exits 0 if the file is right, else 64."
	cmd.Example = "  conch config check /etc/conch/conch.toml\n" +
		"  conch config check cluster.toml --name a"
	cmd.Args = cobra.ExactArgs(1)
	cmd.Flags().Lookup("config").Hidden = true
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if o.config.path != "" {
			return usage("--config: give the file alone, as in conch config check %s", o.config.path)
		}
		o.config.path = args[0]
		return o.checkConfig(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is right: peer %s of cluster %s\n", args[0], o.Name, cmp.Or(o.Cluster, "conch"))
		return err
	}
	return cmd
}

// checkConfig finds all that is wrong with the file.
func (o *peerOptions) checkConfig(cmd *cobra.Command) error {
	c := &o.config
	wrong := c.read(cmd.Flags())
	if c.lines == nil || len(wrong) > 0 && len(c.lines) == 0 {
		return usage("%w", errors.Join(wrong...)) // there is nothing more to look at
	}
	missing := c.missing(cmd)
	if missing != nil {
		wrong = append(wrong, missing)
	}
	readable := len(wrong) == 0 // else what is missing has been given, and was wrong
	for _, err := range single(o.verify(cmd)) {
		key, err := c.place(err)
		switch {
		case key != "" && !c.wrong[key]: // else that has been said
			wrong = append(wrong, err)
		case key == "" && readable:
			wrong = append(wrong, fmt.Errorf("%s: %w", c.path, err))
		}
	}
	line := func(err error) (n int) {
		fmt.Sscanf(strings.TrimPrefix(err.Error(), c.path), ":%d:", &n)
		return n
	}
	slices.SortStableFunc(wrong, func(a, b error) int { return line(a) - line(b) })
	if len(wrong) > 0 {
		return usage("%w", errors.Join(wrong...))
	}
	return nil
}

// verify looks at what the flags say, first at each, then at how they fit together. What
// it finds is bad usage: it will not be better next time.
func (o *peerOptions) verify(cmd *cobra.Command) error {
	if err := o.complete(cmd); err != nil {
		return err
	}
	if _, err := o.Discovery.Peers(); err != nil {
		return usage("--peers-file: %w", err)
	}
	if err := o.Config.Check(); err != nil {
		return usage("%s", asFlags(err))
	}
	return nil
}

// fields are those of conch.Config in the library's errors. Flags are called after them.
var fields = regexp.MustCompile(`\bConfig\.(?:Tuning\.)?([A-Z][A-Za-z]*)`)

// asFlags is an error of the library, as it is said of flags.
func asFlags(err error) string {
	return fields.ReplaceAllStringFunc(strings.TrimPrefix(err.Error(), "conch: "), func(field string) string {
		return "--" + strings.ToLower(fields.FindStringSubmatch(field)[1])
	})
}

// printConfig writes a configuration file with all keys, none of them in force.
func printConfig(out io.Writer, flags *pflag.FlagSet) error {
	var text strings.Builder
	comment(&text, "Configuration of a peer, read by conch peer --config FILE.")
	comment(&text, "Each key is the flag of that name, and one on the command line wins over it. "+
		"Needed are name, and one of peers-file, peer, [peers], join and serf-addr. Times are written with their unit, as in \"5s\".")
	flags.SortFlags = false
	flags.VisitAll(func(flag *pflag.Flag) {
		if notInFile(flag.Name) {
			return
		}
		text.WriteString("\n")
		comment(&text, flag.Usage)
		fmt.Fprintf(&text, "# %s = %s\n", flag.Name, inFile(flag))
	})
	text.WriteString("\n")
	comment(&text, "The peers, instead of peers-file or peer. A table comes last.")
	text.WriteString("# [peers]\n# a = \"10.0.0.1:7400\"\n# b = \"10.0.0.2:7400\"\n# c = \"10.0.0.3:7400\"\n")
	_, err := io.WriteString(out, text.String())
	return err
}

// comment writes a comment of lines that are not too long.
func comment(out *strings.Builder, text string) {
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 90 && line != "#" {
			fmt.Fprintln(out, line)
			line = "#"
		}
		line += " " + word
	}
	fmt.Fprintln(out, line)
}

// stated finds a default that only the help of a flag tells.
var stated = regexp.MustCompile(`\(default ([^\s)]+)\)`)

// inFile is the default of a flag, as a file has it.
func inFile(flag *pflag.Flag) string {
	value := flag.DefValue
	if found := stated.FindStringSubmatch(flag.Usage); found != nil && slices.Contains([]string{"", "0", "0s"}, value) {
		value = found[1]
	}
	switch kind := flag.Value.Type(); {
	case kind == "string" || kind == "duration":
		return strconv.Quote(value)
	default:
		return value
	}
}
