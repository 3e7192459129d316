// Command conch runs peers of a distributed mutex, shows them at work, and
// checks what they did.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes. Bad usage is EX_USAGE of sysexits.h everywhere; a verdict has
// three.
const (
	exitOK      = 0
	exitFalse   = 1 // also any failure without a code of its own
	exitUnknown = 2
	exitUsage   = 64

	exitNoPeer      = 69 // EX_UNAVAILABLE: no peer to talk to
	exitNotAcquired = 73
	exitLost        = 74
	exitInterrupted = 130
)

func main() {
	ctx := interruptible()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// interruptible returns a context that ends at the first interrupt, or when the
// terminal is closed. A second interrupt ends the process at once. What was
// ignored when the process was started (by nohup, say) stays ignored.
func interruptible() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	interrupts, hangUp := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangUp, syscall.SIGHUP)
	}
	ignoreTerminal()
	go func() {
		select {
		case <-interrupts:
		case <-hangUp: // it may come twice: from the system and from the shell
		}
		cancel()
		<-interrupts
		os.Exit(exitInterrupted)
	}()
	return context.WithValue(ctx, signalsKey{}, func() {
		signal.Stop(interrupts)
		signal.Stop(hangUp)
	})
}

// signalsKey is where the context of a command has what handOverSignals calls.
type signalsKey struct{}

// handOverSignals leaves signals to who takes them next: they do not end the context
// any more.
func handOverSignals(ctx context.Context) {
	if stop, ok := ctx.Value(signalsKey{}).(func()); ok {
		stop()
	}
}

// exitError is an error with an exit code of its own. With a nil err nothing is
// printed: the command has said what there is to say.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return fmt.Sprint(e.err) }
func (e exitError) Unwrap() error { return e.err }

// failed marks an error that came from a command's work. What cobra finds wrong
// before that is bad usage.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

// usage marks an error in the arguments that cobra cannot see.
func usage(format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, args...)}
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var exit exitError
	switch {
	case errors.As(err, &exit):
	case errors.As(err, &failed{}):
		exit = exitError{exitFalse, err}
	default:
		exit = exitError{exitUsage, err}
	}
	if exit.err != nil {
		fmt.Fprintf(stderr, "conch: %v\n", exit.err)
	}
	if exit.code == exitUsage {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", cmd.CommandPath())
	}
	return exit.code
}

// rootCommand puts the commands together, grouped by what one wants to do.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "conch",
		Short: "A mutex for programs on different machines, without a lock server",
		Long: "Conch is a mutex for programs on different machines, without a lock server:\n" +
			"peers agree among themselves, over gRPC, who may be in the critical section.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddGroup(
		&cobra.Group{ID: "see", Title: "See it work:"},
		&cobra.Group{ID: "run", Title: "Run it:"},
		&cobra.Group{ID: "steer", Title: "See and steer a running cluster:"},
		&cobra.Group{ID: "judge", Title: "Understand what happened:"},
	)
	add := func(group string, cmd *cobra.Command) {
		cmd.GroupID = group
		for _, cmd := range append(cmd.Commands(), cmd) {
			markFailures(cmd)
		}
		root.AddCommand(cmd)
	}
	add("see", demoCommand())
	add("see", simCommand())
	add("see", compareCommand())
	add("run", peerCommand(new(peerOptions)))
	add("run", lockCommand())
	add("run", configCommand())
	add("steer", statusCommand())
	add("steer", locksCommand())
	add("steer", whyCommand())
	add("steer", peersCommand())
	add("steer", askCommand())
	add("steer", unlockCommand())
	add("judge", checkCommand())
	add("judge", explainCommand())
	add("judge", diagramCommand())
	add("judge", reportCommand())
	add("judge", traceCommand())
	add("", versionCommand())
	return root
}

// markFailures makes a command say which errors come from its work.
func markFailures(cmd *cobra.Command) {
	inner := cmd.RunE
	if inner == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := inner(cmd, args); err != nil {
			return failed{err}
		}
		return nil
	}
}
