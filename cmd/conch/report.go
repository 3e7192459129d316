package main

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/docs"
	"github.com/conchlock/conch/internal/report"
	"github.com/conchlock/conch/internal/report/document"
)

// reportOptions are the flags of conch report.
type reportOptions struct {
	pdf, html                       string
	title, author, repository, lock string
}

func reportCommand() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report DIR [DIR...] -o FILE.pdf",
		Short: "Make a report of one or more runs, as PDF and as HTML",
		Long: "Make a report of one or more runs: what was asked and where it is shown; who entered,\n" +
			"in which order, and why; one entry message by message, as table and as diagram; the\n" +
			"one that had to wait for most; crashes, and how it went on; costs against theory; the\n" +
			"verdict; the algorithm; what is promised; and the logs of all peers. Equal traces\n" +
			"give equal files.\n" +
			"Of several locks it shows the one with the most entries, unless --lock names one.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if o.pdf == "" && o.html == "" {
				return usage("-o: name the file to write, as in -o report.pdf (or --html report.html)")
			}
			return o.write(cmd.ErrOrStderr(), dirs)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.pdf, "output", "o", "", "the file to write, a PDF")
	f.StringVar(&o.html, "html", "", "write the same as a page, to this file")
	f.StringVar(&o.title, "title", "", "the title (default: one that fits)")
	f.StringVar(&o.author, "author", "", "who hands it in")
	f.StringVar(&o.repository, "repository", "", "URL of the code (default: the name of the Go module is printed)")
	f.StringVar(&o.lock, "lock", "", "the lock (default: of each run the one with the most entries)")
	return cmd
}

// write makes the report. It says on w what it has done.
func (o *reportOptions) write(w io.Writer, dirs []string) error {
	if u, err := url.Parse(o.repository); o.repository != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return usage("--repository %q: use a URL, as in https://example.org/conch", o.repository)
	}
	if o.pdf != "" && filepath.Clean(o.pdf) == filepath.Clean(o.html) {
		return usage("--html %s is also the file of -o; name another", o.html)
	}
	type form struct {
		*output
		render func(io.Writer) error
	}
	var forms []form
	var made *document.Document
	for _, f := range []struct {
		flag, path string
		render     func(io.Writer) error
	}{
		{"-o", o.pdf, func(w io.Writer) error { return made.PDF(w) }},
		{"--html", o.html, func(w io.Writer) error { return made.HTML(w) }},
	} {
		if f.path == "" {
			continue
		}
		out, err := createOutput(f.flag, f.path)
		if err != nil {
			return err
		}
		defer out.discard()
		forms = append(forms, form{out, f.render})
	}
	var err error
	if made, err = report.Compose(dirs, o.options()); err != nil {
		return err
	}
	for _, f := range forms {
		if err := f.render(f.output); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	for _, f := range forms {
		if err := f.commit(); err != nil {
			return err
		}
		fmt.Fprintf(w, "conch: wrote %s\n", f.path)
	}
	if o.repository == "" {
		fmt.Fprintf(w, "conch: it names the module, %s, since --repository does not say where the code is\n", module())
	}
	return nil
}

func (o *reportOptions) options() report.Options {
	return report.Options{
		Title: o.title, Author: o.author, Repository: o.repository, Module: module(), Lock: o.lock,
		Algorithms: reportAlgorithm, Guarantees: docs.Guarantees(),
	}
}

// reportAlgorithm is what is known of an algorithm; nil if nothing is.
func reportAlgorithm(name string) *report.Algorithm {
	chapter := docs.Algorithm(name)
	if _, err := roster.New(name); err != nil || chapter == nil {
		return nil
	}
	cost, _ := roster.CostOf(name)
	return &report.Algorithm{Name: name, Chapter: chapter, Light: report.Formula(cost.Light), Heavy: report.Formula(cost.Heavy)}
}

// module is the path of the Go module that this program was built from.
func module() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		return info.Main.Path
	}
	return "github.com/conchlock/conch"
}
