package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// config is the configuration file of a peer, if it was given one. Its keys are the
// names of flags, and what they say goes through the flags: so both have the same
// checks, and where it matters who has spoken, a flag counts as given.
type config struct {
	path  string
	lines map[string]int  // where the file gives a key, or a peer as peers.NAME
	wrong map[string]bool // keys of which an error has been told
}

// notInFile are the flags that are no keys.
func notInFile(flag string) bool { return flag == "config" || flag == "help" }

// addConfig adds the flag, and reads the file before cobra looks at what is missing.
func (o *peerOptions) addConfig(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.config.path, "config", "", "configuration file: its keys are the names of these flags, which win over it; conch config print shows them")
	cmd.MarkFlagFilename("config", "toml")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if o.config.path == "" {
			return nil
		}
		if wrong := o.config.read(cmd.Flags()); len(wrong) > 0 {
			return usage("%w", errors.Join(wrong...))
		}
		return o.config.missing(cmd)
	}
}

// missing says which flags neither the file nor the command line has, and which of
// them exclude each other.
func (c *config) missing(cmd *cobra.Command) error {
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return usage("%s: %w", c.path, err)
	}
	if err := cmd.ValidateFlagGroups(); err != nil {
		for _, key := range strings.FieldsFunc(err.Error(), func(r rune) bool { return strings.ContainsRune(" []", r) }) {
			if line := c.lines[key]; line > 0 {
				return usage("%s:%d: %s: %w", c.path, line, key, err)
			}
		}
		return usage("%s: %w", c.path, err)
	}
	return nil
}

// maxConfig is the size in bytes beyond which a configuration is surely something
// else. It also bounds how long the library takes for many keys: the square of them.
const maxConfig = 64 << 10

// read reads the file into flags that the command line has not given, and returns
// all that is wrong with it.
func (c *config) read(flags *pflag.FlagSet) []error {
	f, err := os.Open(c.path)
	if err != nil {
		return []error{fmt.Errorf("--config: %w", err)}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	switch {
	case err != nil:
		return []error{fmt.Errorf("--config: %w", err)}
	case len(text) > maxConfig:
		return []error{fmt.Errorf("--config: %s has more than %d bytes; is it the right file?", c.path, maxConfig)}
	}
	return c.parse(text, flags)
}

// spoken finds the flags that an error speaks of.
var spoken = regexp.MustCompile(`--([a-z][a-z-]*)( "([a-z0-9.-]+)=)?`)

// locate makes errors about flags name the place in the file that gave them. It
// leaves those alone that have nothing to do with the file.
func (c *config) locate(err error) error {
	var located []error
	for _, err := range single(err) {
		_, err = c.place(err)
		located = append(located, err)
	}
	return errors.Join(located...)
}

// place does that for one error, and returns the key of the file that it is about, if any.
func (c *config) place(err error) (key string, located error) {
	text := err.Error()
	for _, found := range spoken.FindAllStringSubmatch(text, -1) {
		key = found[1]
		line := c.lines[key]
		if one := c.lines["peers."+found[3]]; key == "peer" && one > 0 {
			line = one
		}
		if line == 0 {
			continue
		}
		located = fmt.Errorf("%s:%d: %s", c.path, line, strings.Replace(text, "--"+key, key, 1))
		var exit exitError
		if errors.As(err, &exit) {
			located = exitError{exit.code, located}
		}
		return key, located
	}
	return "", err
}

// single takes joined errors apart.
func single(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, single(err)...)
	}
	return all
}
