package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"connectrpc.com/connect/v2"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/conchlock/conch/internal/viewcodec"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
	"github.com/conchlock/conch/view"
)

// statusOptions are the flags of conch status.
type statusOptions struct {
	local localFlags
	json  bool
}

func statusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How the cluster is, as the peer on this machine sees it",
		Long: "Print whether this peer is ready to give locks, the peers, and the locks of the whole cluster.\n" +
			"Exits 0 if it is, 1 if not, 69 if no peer answers.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd, &o) },
	}
	o.local.add(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runStatus(cmd *cobra.Command, o *statusOptions) error {
	wire, err := o.local.dial()
	if err != nil {
		return err
	}
	defer wire.Close()
	client := connect.NewClient(wire)
	peers, views := conchv1connect.NewPeersClient(client), conchv1connect.NewViewsClient(client)
	roll, err := within(cmd.Context(), func(ctx context.Context) (*conchv1.GetPeersResponse, error) {
		return peers.Get(ctx, &conchv1.GetPeersRequest{})
	})
	if err != nil {
		return noAnswer(wire, err)
	}
	seen, err := within(cmd.Context(), func(ctx context.Context) (*conchv1.GetViewResponse, error) {
		return views.Get(ctx, &conchv1.GetViewRequest{})
	})
	if err != nil {
		return noAnswer(wire, err)
	}
	v := viewcodec.Decode(seen.GetView())
	if o.json {
		err = printStatus(cmd.OutOrStdout(), roll.GetRoll(), &v)
	} else {
		err = writeStatus(cmd.OutOrStdout(), roll.GetRoll(), &v)
	}
	if err == nil && roll.GetRoll().GetUnready() != "" {
		return exitError{exitFalse, nil}
	}
	return err
}

func printStatus(out io.Writer, r *conchv1.Roll, v *view.View) error {
	roll, err := protojson.MarshalOptions{EmitUnpopulated: true, UseProtoNames: true}.Marshal(r)
	if err != nil {
		return err
	}
	to := json.NewEncoder(out)
	to.SetIndent("", "  ")
	return to.Encode(struct {
		Roll json.RawMessage `json:"peers"`
		View *view.View      `json:"view"`
	}{roll, v})
}

func writeStatus(out io.Writer, r *conchv1.Roll, v *view.View) error {
	fmt.Fprintf(out, "peer %s of cluster %s, %s, for %s\n", r.GetSelf().GetName(), r.GetCluster(), r.GetAlgorithm(), age(v.At.Sub(r.GetSelf().GetSince().AsTime())))
	if why := r.GetUnready(); why != "" {
		fmt.Fprintf(out, "NOT READY: %s\n\n", why)
	} else {
		fmt.Fprintf(out, "locks can be had: %s\n\n", strings.Join(upVoters(r), ", ")+" vote")
	}
	if err := writeRoll(out, r); err != nil {
		return err
	}
	fmt.Fprintln(out)
	writeLocks(out, v)
	return nil
}

// upVoters lists the voters that are up.
func upVoters(r *conchv1.Roll) (names []string) {
	for _, p := range append([]*conchv1.Peer{r.GetSelf()}, r.GetOthers()...) {
		if p.GetUp() && p.GetVoter() {
			names = append(names, p.GetName())
		}
	}
	return names
}
