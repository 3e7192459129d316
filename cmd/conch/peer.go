package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/discovery"
	"github.com/conchlock/conch/discovery/serf"
	"github.com/conchlock/conch/internal/local"
)

// peerOptions are the flags of conch peer.
type peerOptions struct {
	conch.Config
	peersFile string
	peers     []string
	gossip    serf.Source
	network   string
	trace     bool
	logFormat string
	logLevel  string
	socket    string
	mode      string // of the socket's file
	serve     string
	admin     adminOptions
	config    config
	section   sectionOptions
}

func peerCommand(o *peerOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peer --config FILE | --name NAME (--peers-file FILE | --peer NAME=HOST:PORT ... | --join HOST:PORT ... --voters NAME,...)",
		Short: "Run one peer until interrupted; type lock NAME, unlock NAME, status",
		Long: "Run one peer until interrupted. Lines typed at it are commands: lock NAME,\n" +
			"unlock NAME, status, peers, help. Every message that it sends and receives is\n" +
			"logged to stderr; answers to commands go to stdout.",
		Example: "  conch peer --name a --peers-file peers.txt\n" +
			"  conch peer --name a --peer a=127.0.0.1:7401 --peer b=127.0.0.1:7402\n" +
			"  conch peer --name d --join 10.0.0.1:7946 --voters a,b,c\n" +
			"  conch peer --config /etc/conch/conch.toml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPeer(cmd, o) },
	}
	o.addCluster(cmd)
	o.addConfig(cmd)
	f := cmd.Flags()
	f.StringVar(&o.socket, "socket", "", "unix socket at which programs on this machine reach the peer (default: conch.sock in --dir, else "+local.DefaultSocket()+"); none turns it off")
	f.StringVar(&o.mode, "socket-mode", privateMode, "who reaches the socket: 0600 its user, 0660 its group, too, 0666 everybody on this machine; whoever does can take locks")
	f.StringVar(&o.serve, "serve", "", "serve programs at this address of the loopback, too, as in 127.0.0.1:7420: every user of this machine can then take locks")
	o.admin.add(cmd)
	f.BoolVar(&o.trace, "trace", false, "write every event to a trace, NAME.ndjson in --trace-dir")
	f.StringVar(&o.TraceDir, "trace-dir", "", "directory for the trace, and turns it on (default: that of --dir)")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "info (every event), warn, error, or off")
	f.DurationVar(&o.section.every, "enter-every", 0, "want the critical section by itself, about this often")
	f.IntVar(&o.section.entries, "entries", 0, "with --enter-every: stop wanting it after this many entries (default: never)")
	f.StringVar(&o.section.file, "critical-section", "", "with --enter-every: append enter and exit lines to this file")
	f.StringVar(&o.section.lock, "lock", "demo", "with --enter-every: the lock's name")
	f.DurationVar(&o.section.work, "work", 5*time.Millisecond, "with --enter-every: how long to stay inside, about")
	f.IntVar(&o.section.linger, "linger-at", 0, "with --critical-section: stay inside after the enter line of this number, until the hold ends; for demo --crash")
	f.Uint64Var(&o.section.seed, "seed", 0, "with --enter-every: decides the moments of wanting (default: chance)")
	complete := func(flag string, values ...string) {
		cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("log-format", "text", "json")
	complete("log-level", "info", "warn", "error", "off")
	cmd.MarkFlagRequired("name")
	cmd.MarkFlagsOneRequired("peers-file", "peer", "join", "serf-addr")
	return cmd
}

// addCluster adds the flags that say which peer this is, and of which cluster.
func (o *peerOptions) addCluster(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "", "this peer's name")
	f.StringVar(&o.peersFile, "peers-file", "", "file with one peer a line, NAME HOST:PORT")
	f.StringArrayVar(&o.peers, "peer", nil, "a peer, NAME=HOST:PORT; once for each, this one included")
	o.addSerf(f)
	f.StringSliceVar(&o.Voters, "voters", nil, "the peers whose votes count, as in a,b,c: the same at all peers, for the cluster's life (default: all; with --join they must be named)")
	f.StringVar(&o.Listen, "listen", "", "address to listen on (default: this peer's own among the peers; with --join all addresses, port 7400)")
	f.StringVar(&o.Advertise, "advertise", "", "address at which the others reach this peer, where addresses are translated, or this machine has several; with --join the others are told, else they use their own lists")
	f.StringVar(&o.Algorithm, "algorithm", "", fmt.Sprintf("%s; the same at all peers (default %s)", algorithmHelp(), roster.Default))
	f.StringVar(&o.Cluster, "cluster", "", "name of the cluster; peers of another are refused (default conch)")
	f.DurationVar(&o.TTL, "ttl", 0, "how long a lease lasts unless it is renewed, and how soon silence is noticed; the same at all peers (default 5s)")
	f.DurationVar(&o.Tuning.Linger, "linger", 0, "how long a lock that nobody wants stays where it was last; at most a third of the ttl (default a quarter)")
	f.Int64Var(&o.Tuning.Drift, "drift", 0, "by how much the rates of two machines' clocks may differ, in parts per million; the same at all peers (default 1000)")
	f.StringVar(&o.Dir, "dir", "", "directory for what must survive a restart; this peer's alone")
	cmd.RegisterFlagCompletionFunc("algorithm", cobra.FixedCompletions(roster.Names(), cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsMutuallyExclusive("peers-file", "peer", "join")
	cmd.MarkFlagsMutuallyExclusive("peers-file", "peer", "serf-addr")
}

// algorithmHelp says what can be given as --algorithm.
func algorithmHelp() string {
	return fmt.Sprintf("%s; or, in another shape, %s", strings.Join(roster.Names(), " or "), strings.Join(roster.Variants(), " or "))
}

// problems are errors in the arguments. Whoever runs a peer is told of the first,
// conch config check of all.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, usage(format, args...)) }

// check finds what is wrong with single flags, all of it.
func (o *peerOptions) check(cmd *cobra.Command) error {
	var wrong problems
	if o.section.every < 0 || o.section.entries < 0 || o.section.work < 0 {
		wrong.add("--enter-every, --entries and --work cannot be negative")
	}
	for _, name := range []string{"entries", "critical-section", "lock", "work", "seed", "linger-at"} {
		if o.section.every == 0 && cmd.Flags().Changed(name) {
			wrong.add("--%s goes with --enter-every", name)
		}
	}
	if o.section.linger != 0 && o.section.file == "" {
		wrong.add("--linger-at goes with --critical-section")
	}
	if err := algo.PeerName(o.Name).Check(); err != nil {
		wrong.add("--name: %w", err)
	}
	for _, name := range o.Voters {
		if err := algo.PeerName(name).Check(); err != nil {
			wrong.add("--voters: %w", err)
		}
	}
	if err := algo.CheckLock(o.section.lock); err != nil && o.section.every > 0 {
		wrong.add("--lock: %w", err)
	}
	most := cmp.Or(o.TTL, conch.DefaultTTL) / 3
	switch {
	case o.TTL != 0 && o.TTL < conch.MinTTL:
		wrong.add("--ttl %s: the least is %s", o.TTL, conch.MinTTL)
	case o.Tuning.Linger < 0 || o.Tuning.Linger > most:
		wrong.add("--linger %s: at most a third of the TTL, %s", o.Tuning.Linger, most)
	}
	if o.Tuning.Drift < 0 || o.Tuning.Drift > conch.MaxDrift {
		wrong.add("--drift %d: from 1 to %d parts per million", o.Tuning.Drift, conch.MaxDrift)
	}
	if o.Algorithm != "" {
		if _, err := roster.New(o.Algorithm); err != nil {
			wrong.add("--algorithm: %w", err)
		}
	}
	if o.Listen != "" {
		if _, _, err := net.SplitHostPort(o.Listen); err != nil {
			wrong.add("--listen %q: write HOST:PORT", o.Listen)
		}
	}
	if _, err := socketMode(o.mode); err != nil {
		wrong.add("--socket-mode: %w", err)
	}
	if o.serve != "" {
		if err := local.CheckTCP(o.serve); err != nil {
			wrong.add("--serve: %w", err)
		}
	}
	if err := o.admin.check(cmd); err != nil {
		wrong = append(wrong, err)
	}
	if o.Advertise != "" {
		if err := discovery.CheckAddr(o.Advertise); err != nil {
			wrong.add("--advertise: %w", err)
		}
	}
	return errors.Join(wrong...)
}

// complete turns flags into the configuration.
func (o *peerOptions) complete(cmd *cobra.Command) error {
	var err error
	o.Logger, err = newLogger(cmd.ErrOrStderr(), o.logFormat, o.logLevel)
	return errors.Join(o.check(cmd), o.completeDiscovery(cmd), o.completeTrace(), err)
}

// completeDiscovery says how the peers are found.
func (o *peerOptions) completeDiscovery(cmd *cobra.Command) error {
	switch {
	case o.peersFile != "":
		o.Discovery = discovery.File(o.peersFile)
	case len(o.peers) > 0:
		o.Discovery = discovery.Flags(o.peers)
		if _, err := o.Discovery.Peers(); err != nil {
			return errors.Join(withoutSerf(cmd), usage("%w", err))
		}
	case cmd.Flags().Changed("peers-file"):
		return usage("--peers-file: name the file")
	case cmd.Flags().Changed("peer"):
		return usage("--peer: name at least one, this one included, as in a=10.0.0.1:7400")
	default:
		return o.completeSerf()
	}
	return withoutSerf(cmd)
}

// completeTrace says where the trace is.
func (o *peerOptions) completeTrace() error {
	if o.trace && o.TraceDir == "" {
		if o.TraceDir = o.Dir; o.Dir == "" {
			return usage("--trace needs --trace-dir or --dir, to know where")
		}
	}
	return nil
}

// newLogger returns the logger that the flags ask for, nil for none.
func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var wrong problems
	options := &slog.HandlerOptions{}
	switch level {
	case "info", "off":
	case "warn":
		options.Level = slog.LevelWarn
	case "error":
		options.Level = slog.LevelError
	default:
		wrong.add("--log-level %q: use info, warn, error, or off", level)
	}
	var handler slog.Handler
	switch format {
	case "text":
		handler = slog.NewTextHandler(w, options)
	case "json":
		handler = slog.NewJSONHandler(w, options)
	default:
		wrong.add("--log-format %q: use text or json", format)
	}
	if len(wrong) > 0 || level == "off" {
		return nil, errors.Join(wrong...)
	}
	return slog.New(handler), nil
}

// runPeer runs a peer until it is interrupted or cannot go on.
func runPeer(cmd *cobra.Command, o *peerOptions) error {
	if err := o.verify(cmd); err != nil {
		return o.config.locate(err)
	}
	manager, err := newNotifier()
	if err != nil {
		return err
	}
	defer manager.close()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	admin, err := o.admin.listen(&o.Config)
	if err != nil {
		return err
	}
	peer, err := conch.Join(ctx, o.Config)
	if err != nil {
		return errors.Join(errors.New(asFlags(err)), admin.Close())
	}
	local, err := serveLocal(peer, o, cmd.ErrOrStderr())
	if err != nil {
		return errors.Join(err, peer.Close(), admin.Close())
	}
	out := &lines{w: cmd.OutOrStdout()}
	out.printf("%s listens on %s; type help for the commands", peer.Name(), peer.Addr())
	admin.serve(peer, o.Logger, out)

	console := newConsole(peer, out)
	go console.read(ctx, cmd.InOrStdin()) // a read of stdin cannot be interrupted: left behind at exit
	worked := make(chan error, 1)
	var working sync.WaitGroup
	working.Go(func() { manager.run(ctx, peer, cmp.Or(o.Algorithm, roster.Default)) })
	if o.section.every > 0 {
		working.Go(func() { worked <- enterRepeatedly(ctx, peer, o.section, out) })
	}
	select {
	case <-ctx.Done():
	case <-peer.Done():
		err = peer.Err()
	case err = <-worked:
		if err == nil {
			select { // all entries made: stay and answer
			case <-ctx.Done():
			case <-peer.Done():
				err = peer.Err()
			}
		}
	}
	cancel()
	working.Wait() // it leaves the section itself: Close would let the next one in before that
	return errors.Join(err, local.Close(), peer.Close(), admin.Close())
}

// lines writes whole lines from several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}
