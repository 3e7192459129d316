package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"connectrpc.com/connect/v2"
	"github.com/spf13/cobra"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/viewcodec"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// steerOptions are the flags of conch ask and conch unlock.
type steerOptions struct {
	local  localFlags
	reason string
	by     string
	force  bool
	token  uint64
}

func (o *steerOptions) add(cmd *cobra.Command, reason string) {
	o.local.add(cmd)
	cmd.Flags().StringVar(&o.reason, "reason", "", reason)
	cmd.Flags().StringVar(&o.by, "by", "", "who wants it, for people (default: user and machine)")
}

func askCommand() *cobra.Command {
	var o steerOptions
	cmd := &cobra.Command{
		Use:   "ask NAME",
		Short: "Ask whoever holds a lock to give way",
		Long: "Ask the holder of a lock, at whatever peer it is, to give way. Its program is told,\n" +
			"and what it does is its own business: by default nothing (in Go, see Hold.Asked;\n" +
			"conch lock says it, and with --on-ask sends its command a signal). Exits 1 if\n" +
			"nobody was asked, 69 if no peer answers.",
		Example: "  conch ask nightly-report --reason 'the disk is needed'",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runAsk(cmd, &o, args[0]) },
	}
	o.add(cmd, "why, for its holder")
	return cmd
}

func unlockCommand() *cobra.Command {
	var o steerOptions
	cmd := &cobra.Command{
		Use:   "unlock --force NAME --reason TEXT",
		Short: "End somebody else's hold, safely",
		Long: "End the hold of a lock, at whatever peer it is. Its program is told, and its lease is\n" +
			"not renewed any more: the lock goes on when the program has left, or when the lease\n" +
			"has ended, and to nobody before that. What was done is kept in the audit log,\n" +
			"audit.log in the peers' directories. A holder whose peer does not answer needs no\n" +
			"force: its lease ends by itself. Exits 1 if nothing was ended, 69 if no peer answers.",
		Example: "  conch unlock --force nightly-report --reason 'it hangs since midnight'",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runUnlock(cmd, &o, args[0]) },
	}
	o.add(cmd, "why: its program is told, and it is kept in the audit log")
	cmd.Flags().BoolVar(&o.force, "force", false, "end it, whatever its program is doing")
	cmd.Flags().Uint64Var(&o.token, "token", 0, "only the hold with this token (default: whichever there is)")
	return cmd
}

// check finds what is wrong with the arguments, and fills in who wants it.
func (o *steerOptions) check(lock string) error {
	if err := algo.CheckLock(lock); err != nil {
		return usage("%w", err)
	}
	if o.by == "" {
		o.by = userAtHost()
	}
	for _, text := range []struct{ flag, text string }{{"--by", o.by}, {"--reason", o.reason}} {
		if err := algo.CheckText(text.flag, text.text); err != nil {
			return usage("%w", err)
		}
	}
	return nil
}

func runAsk(cmd *cobra.Command, o *steerOptions, lock string) error {
	if err := o.check(lock); err != nil {
		return err
	}
	wire, err := o.local.dial()
	if err != nil {
		return err
	}
	defer wire.Close()
	calls := conchv1connect.NewViewsClient(connect.NewClient(wire))
	answer, err := within(cmd.Context(), func(ctx context.Context) (*conchv1.AskResponse, error) {
		return calls.Ask(ctx, &conchv1.AskRequest{Lock: lock, By: o.by, Reason: o.reason})
	})
	if err != nil {
		return steered(wire, err)
	}
	h := viewcodec.DecodeHolder(answer.GetHolder())
	fmt.Fprintf(cmd.OutOrStdout(), "%s: asked the holder at peer %s, token %d%s\n", lock, h.Peer, h.Token, labelled(h.Label))
	return nil
}

func runUnlock(cmd *cobra.Command, o *steerOptions, lock string) error {
	if err := o.check(lock); err != nil {
		return err
	}
	switch {
	case !o.force:
		return usage("a hold is given back by the program that has it; --force ends it all the same")
	case o.reason == "":
		return usage("--reason is needed: it is told to the program, and kept in the audit log")
	}
	wire, err := o.local.dial()
	if err != nil {
		return err
	}
	defer wire.Close()
	calls := conchv1connect.NewViewsClient(connect.NewClient(wire))
	answer, err := within(cmd.Context(), func(ctx context.Context) (*conchv1.EndResponse, error) {
		return calls.End(ctx, &conchv1.EndRequest{Lock: lock, Token: o.token, By: o.by, Reason: o.reason})
	})
	if err != nil {
		return steered(wire, err)
	}
	h := viewcodec.DecodeHolder(answer.GetHolder())
	when := "it goes on when that has left"
	if answer.GetWait() != nil {
		when += ", in " + precise(answer.GetWait().AsDuration()) + " at the latest"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: told the holder at peer %s to leave, token %d%s; %s\n", lock, h.Peer, h.Token, labelled(h.Label), when)
	return nil
}

// steered gives a refusal of the peer's its exit code: a peer was there.
func steered(wire *local.Wire, err error) error {
	var answer *connect.Error
	if errors.As(err, &answer) && answer.IsRemote() {
		return exitError{exitFalse, errors.New(strings.TrimPrefix(answer.Message(), "conch: "))}
	}
	return noAnswer(wire, err)
}

func labelled(label string) string {
	if label == "" {
		return ""
	}
	return " (" + label + ")"
}

// userAtHost says who runs this.
func userAtHost() string {
	who := "somebody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	host, _ := os.Hostname()
	return who + "@" + host
}
