package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/conchlock/conch/internal/local"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// peersOptions are the flags of conch peers.
type peersOptions struct {
	local localFlags
	watch bool
	json  bool
}

func peersCommand() *cobra.Command {
	var o peersOptions
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Who is there, as the peer on this machine sees it",
		Long: "Print the peers that the peer on this machine knows: whether their links are up and\n" +
			"since when, whether their votes count, where they are, and who is held for dead, and\n" +
			"why. With --watch print them again whenever that changes, until interrupted.\n" +
			"Exits 69 if no peer answers.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPeers(cmd, &o) },
	}
	o.local.add(cmd)
	cmd.Flags().BoolVar(&o.watch, "watch", false, "print them again whenever something changes")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, with --watch one object a line")
	return cmd
}

func runPeers(cmd *cobra.Command, o *peersOptions) error {
	wire, err := o.local.dial()
	if err != nil {
		return err
	}
	defer wire.Close()
	ctx, calls, out := cmd.Context(), conchv1connect.NewPeersClient(connect.NewClient(wire)), cmd.OutOrStdout()
	if o.watch {
		return o.watchPeers(ctx, calls, wire, out)
	}
	answer, err := within(ctx, func(ctx context.Context) (*conchv1.GetPeersResponse, error) {
		return calls.Get(ctx, &conchv1.GetPeersRequest{})
	})
	if err != nil {
		return noAnswer(wire, err)
	}
	return o.print(out, answer.GetRoll())
}

// watchPeers prints the peers again and again.
func (o *peersOptions) watchPeers(ctx context.Context, calls conchv1connect.PeersClient, wire *local.Wire, out io.Writer) error {
	stream, err := calls.Watch(ctx, &conchv1.WatchPeersRequest{})
	if err != nil {
		return noAnswer(wire, err)
	}
	defer stream.Close()
	return again(ctx, wire, stream.Receive, func(first bool, answer *conchv1.WatchPeersResponse) error {
		if !first && !o.json {
			fmt.Fprintln(out)
		}
		return o.print(out, answer.GetRoll())
	})
}

func (o *peersOptions) print(out io.Writer, r *conchv1.Roll) error {
	if o.json {
		format := protojson.MarshalOptions{EmitUnpopulated: true, UseProtoNames: true}
		if !o.watch {
			format.Indent = "  "
		}
		text, err := format.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", text)
		return err
	}
	return writeRoll(out, r)
}

// writeRoll writes a table.
func writeRoll(out io.Writer, r *conchv1.Roll) error {
	at := r.GetAt().AsTime()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "PEER\tSTATE\tSINCE\tROLE\tINCARNATION\tADDRESS\tROUND TRIP\t\n")
	row := func(p *conchv1.Peer, state, trip, remark string) {
		incarnation, addr := "-", "-"
		if p.GetIncarnation() > 0 {
			incarnation = fmt.Sprint(p.GetIncarnation())
		}
		if p.GetAddr() != "" {
			addr = p.GetAddr()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.GetName(), state, age(at.Sub(p.GetSince().AsTime())), role(p.GetVoter()), incarnation, addr, trip, remark)
	}
	remark := "this peer"
	if r.GetGossip() != "" {
		remark += ", found at " + r.GetGossip()
	}
	if d := r.GetAbstains().AsDuration(); d > 0 {
		remark += fmt.Sprintf("; has just started: grants nothing for another %s", d.Round(time.Millisecond))
	}
	row(r.GetSelf(), "up", "-", remark)
	for _, p := range r.GetOthers() {
		state, trip := "down", "-"
		var remarks []string
		if p.GetUp() {
			state = "up"
		} else if p.GetReason() != "" {
			remarks = append(remarks, p.GetReason())
		}
		if p.GetSuspected() != "" {
			remarks = append(remarks, "suspected: "+p.GetSuspected())
		}
		if p.GetRoundTrip() != nil {
			trip = p.GetRoundTrip().AsDuration().Round(time.Microsecond).String()
		}
		row(p, state, trip, strings.Join(remarks, "; "))
	}
	return w.Flush()
}

func role(voter bool) string {
	if voter {
		return "voter"
	}
	return "no vote"
}

// age says for how long something has been so, roughly.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
