package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/spf13/cobra"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/viewcodec"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
	"github.com/conchlock/conch/view"
)

// viewOptions are the flags of conch locks and conch why.
type viewOptions struct {
	local localFlags
	watch bool
	json  bool
	write func(w io.Writer, v *view.View, lock string)
}

func (o *viewOptions) add(cmd *cobra.Command) {
	o.local.add(cmd)
	cmd.Flags().BoolVar(&o.watch, "watch", false, "print it again whenever something changes")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, with --watch one object a line")
}

func locksCommand() *cobra.Command {
	o := viewOptions{write: func(w io.Writer, v *view.View, _ string) {
		writeLocks(w, v)
		writeSilent(w, v)
	}}
	cmd := &cobra.Command{
		Use:   "locks",
		Short: "The locks of the whole cluster: who holds them, how many wait",
		Long: "Print the locks that are held or wanted anywhere in the cluster. The peer on this\n" +
			"machine is asked, and asks the others. With --watch print them again whenever\n" +
			"something changes, until interrupted. Exits 69 if no peer answers.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runView(cmd, &o, "") },
	}
	o.add(cmd)
	return cmd
}

func whyCommand() *cobra.Command {
	o := viewOptions{write: func(w io.Writer, v *view.View, lock string) { writeWhy(w, v, lock) }}
	cmd := &cobra.Command{
		Use:   "why NAME",
		Short: "Who holds a lock, who waits for it, in which order and for what",
		Long: "Print who holds a lock, since when, with which token, and when its lease ends; who\n" +
			"waits, in the order in which they get in as far as is known, and whose messages each\n" +
			"of them needs; and which peers do not answer. With --watch print it again whenever\n" +
			"something changes, until interrupted. Exits 69 if no peer answers.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := algo.CheckLock(args[0]); err != nil {
				return usage("%w", err)
			}
			return runView(cmd, &o, args[0])
		},
	}
	o.add(cmd)
	return cmd
}

// runView prints what is known of a lock, or of all.
func runView(cmd *cobra.Command, o *viewOptions, lock string) error {
	wire, err := o.local.dial()
	if err != nil {
		return err
	}
	defer wire.Close()
	calls, out := conchv1connect.NewViewsClient(connect.NewClient(wire)), cmd.OutOrStdout()
	if o.watch {
		return o.watchView(cmd.Context(), calls, wire, out, lock)
	}
	answer, err := within(cmd.Context(), func(ctx context.Context) (*conchv1.GetViewResponse, error) {
		return calls.Get(ctx, &conchv1.GetViewRequest{Lock: lock})
	})
	if err != nil {
		return noAnswer(wire, err)
	}
	return o.print(out, answer.GetView(), lock)
}

// watchView prints it again and again.
func (o *viewOptions) watchView(ctx context.Context, calls conchv1connect.ViewsClient, wire *local.Wire, out io.Writer, lock string) error {
	stream, err := calls.Watch(ctx, &conchv1.WatchViewRequest{Lock: lock})
	if err != nil {
		return noAnswer(wire, err)
	}
	defer stream.Close()
	return again(ctx, wire, stream.Receive, func(first bool, answer *conchv1.WatchViewResponse) error {
		if !first && !o.json {
			fmt.Fprintln(out)
		}
		return o.print(out, answer.GetView(), lock)
	})
}

func (o *viewOptions) print(out io.Writer, answer *conchv1.View, lock string) error {
	v := viewcodec.Decode(answer)
	if !o.json {
		o.write(out, &v, lock)
		return nil
	}
	to := json.NewEncoder(out)
	if !o.watch {
		to.SetIndent("", "  ")
	}
	return to.Encode(v)
}

// writeLocks writes a table of all locks.
func writeLocks(out io.Writer, v *view.View) {
	if len(v.Locks) == 0 {
		fmt.Fprintln(out, "no lock is held or wanted"+asFar(v))
	} else {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "LOCK\tHELD AT\tFOR\tLEASE\tTOKEN\tWAITING\tBY")
		for i := range v.Locks {
			l := &v.Locks[i]
			at, since, lease, token, by := "-", "-", "-", "-", ""
			switch h := l.Holder; {
			case h != nil:
				at, since, token, by = h.Peer, age(v.At.Sub(h.Since)), fmt.Sprint(h.Token), h.Label
				if !h.Deadline.IsZero() {
					lease = age(h.Deadline.Sub(v.At))
				}
				if h.Silent {
					by = join(by, "its peer does not answer")
				}
				if h.Ended != "" {
					by = join(by, "told to leave")
				}
			case l.Lent != nil:
				at, lease = l.Lent.Peer+"?", age(l.Lent.Until.Sub(v.At))
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", l.Name, at, since, lease, token, len(l.Waiters)+l.More, by)
		}
		w.Flush()
	}
	if v.More > 0 {
		fmt.Fprintf(out, "and at least %d more locks\n", v.More)
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func asFar(v *view.View) string {
	if len(v.Silent) > 0 {
		return ", as far as is known"
	}
	return ""
}

// writeWhy writes all about one lock.
func writeWhy(out io.Writer, v *view.View, name string) {
	l := v.Lock(name)
	switch h := l.Holder; {
	case h != nil:
		fmt.Fprintf(out, "%s is held at peer %s, for %s, with token %d\n", name, h.Peer, age(v.At.Sub(h.Since)), h.Token)
		if h.Label != "" {
			fmt.Fprintf(out, "  by     %s\n", h.Label)
		}
		fmt.Fprintf(out, "  lease  %s\n", leaseText(h, v.At))
		if h.Ended != "" {
			fmt.Fprintf(out, "  ended  %s\n", h.Ended)
		}
	case l.Lent != nil:
		fmt.Fprintf(out, "%s may be held at peer %s, which does not answer: others get in in %s at the latest, unless it still reaches them\n", name, l.Lent.Peer, precise(l.Lent.Until.Sub(v.At)))
	default:
		fmt.Fprintf(out, "%s is held by nobody%s\n", name, asFar(v))
	}
	if len(l.Waiters) > 0 {
		fmt.Fprintln(out, "waiting, in this order as far as is known:")
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for i, waiter := range l.Waiters {
			fmt.Fprintf(w, "  %d\tat %s\tfor %s\t%s\t%s\n", i+1, waiter.Peer, age(v.At.Sub(waiter.Since)), waitText(&l, i), waiter.Label)
		}
		w.Flush()
	}
	if l.More > 0 {
		fmt.Fprintf(out, "  and %d more\n", l.More)
	}
	writeSilent(out, v)
}

// leaseText says how long a holder can stay.
func leaseText(h *view.Holder, at time.Time) string {
	left := "none: it stays until it leaves, and the peers wait for it"
	if !h.Deadline.IsZero() {
		left = "another " + precise(h.Deadline.Sub(at))
	}
	switch {
	case h.Silent:
		return left + "; its peer does not answer any more"
	case h.Ended != "":
		return left + ", and is not renewed"
	case !h.Deadline.IsZero():
		return left + ", renewed while its peer reaches enough others"
	}
	return left
}

// waitText says for what a waiter waits.
func waitText(l *view.Lock, i int) string {
	w := l.Waiters[i]
	if len(w.WaitsFor) > 0 {
		return "for a message of " + strings.Join(w.WaitsFor, ", ")
	}
	for _, before := range l.Waiters[:i] {
		if before.Peer == w.Peer {
			return "for those before it"
		}
	}
	if l.Holder != nil && l.Holder.Peer == w.Peer {
		return "for the holder, at its own peer"
	}
	return "for those before it"
}

// writeSilent names the peers that do not answer.
func writeSilent(out io.Writer, v *view.View) {
	for _, s := range v.Silent {
		fmt.Fprintf(out, "no answer from %s, for %s: %s\n", s.Peer, age(v.At.Sub(s.Since)), s.Reason)
	}
}

// precise writes a time that is short.
func precise(d time.Duration) string { return max(d, 0).Round(100 * time.Millisecond).String() }
