package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"connectrpc.com/connect/v2"
	"github.com/spf13/cobra"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/client"
	"github.com/conchlock/conch/internal/command"
	"github.com/conchlock/conch/internal/viewcodec"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// Names of what the command finds in its environment.
const (
	lockEnv  = "CONCH_LOCK"
	tokenEnv = "CONCH_TOKEN"
	traceEnv = "TRACEPARENT" // as CI systems and otel-cli set it; the command has it, too
	// heldEnv has all locks that are held around it, one a line: no name has a line's
	// end in it. It is for conch lock itself.
	heldEnv = "CONCH_HELD"
)

// lockTTL is the session's TTL of conch lock: so long others wait if it is killed.
const lockTTL = 10 * time.Second

// lockOptions are the flags of conch lock.
type lockOptions struct {
	peer            peerOptions // to take part itself
	local           localFlags
	wait            time.Duration
	try             bool
	shell           bool
	killAfter       time.Duration
	codeNotAcquired int
	codeLost        int
	label           string
	onAsk           string
	askSignal       syscall.Signal // onAsk as a signal; 0: none
	trace           string         // the span in which it runs, as in a traceparent header
}

func lockCommand() *cobra.Command {
	var o lockOptions
	cmd := &cobra.Command{
		Use:   "lock NAME [flags] -- CMD [ARGS...]",
		Short: "Run a command while holding a lock",
		Long: "Wait for a lock, run a command while holding it, give it back. The peer that runs on\n" +
			"this machine is asked (conch peer); with --name and the flags of conch peer, this\n" +
			"process is a peer itself, for as long as it takes.\n\n" +
			"The command has this terminal, stdin, stdout and stderr, signals reach it, and its\n" +
			"exit code is passed on. " + lockEnv + " and " + tokenEnv + " are in its environment: give the token to\n" +
			"whatever it writes to. If the lease cannot be kept, the command and all that it has\n" +
			"started are ended before somebody else can get in. One that was stopped (Ctrl-Z)\n" +
			"for longer than the lease lasts is not continued but ended. " + traceEnv + ", the\n" +
			"span in which all this is, is shown to those who ask who holds the lock.\n\n" +
			"Exits with the command's code, 128+n if signal n ended it; 64 bad usage, 69 no peer\n" +
			"to talk to, 73 not acquired, 74 lost, 126 and 127 as a shell does, before the wait.",
		Example: "  conch lock nightly-report -- ./report.sh\n" +
			"  conch lock migration --try -- ./migrate up\n" +
			"  conch lock deploy --wait 10m --shell -- 'git pull && make deploy'",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runLock(cmd, &o, args) },
	}
	f := cmd.Flags()
	f.SetInterspersed(true)
	o.local.add(cmd)
	f.DurationVar(&o.wait, "wait", 0, "give up after this long (default: wait for ever; 0 is --try)")
	f.BoolVar(&o.try, "try", false, "run it only if the lock is to be had at once")
	f.BoolVar(&o.shell, "shell", false, "let a shell read the command: its words, joined by blanks")
	f.DurationVar(&o.killAfter, "kill-after", 5*time.Second, "how long the command may take to end after SIGTERM, if the lease leaves that much")
	f.IntVar(&o.codeNotAcquired, "code-not-acquired", exitNotAcquired, "exit code if the lock was not acquired")
	f.IntVar(&o.codeLost, "code-lost", exitLost, "exit code if the lock was lost")
	f.StringVar(&o.label, "label", "", "who wants it and what for, to people who ask (default: user, machine, process and command)")
	f.StringVar(&o.onAsk, "on-ask", "", "signal for the command when somebody asks it to give way (conch ask), as in TERM or USR1 (default: none)")
	o.peer.addCluster(cmd)
	return cmd
}

// check finds what is wrong with the arguments, and returns the command.
func (o *lockOptions) check(cmd *cobra.Command, args []string) (name string, words []string, err error) {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash < 0 || dash != 1 || len(args) == dash:
		return "", nil, usage("write the command after --, as in: conch lock %s -- CMD ARGS", args[0])
	case o.wait < 0:
		return "", nil, usage("--wait %s: it cannot be negative; leave it out to wait for ever", o.wait)
	case o.try && cmd.Flags().Changed("wait"):
		return "", nil, usage("--try and --wait say different things: give one")
	case o.peer.Name == "" && o.peer.TTL != 0 && (o.peer.TTL < time.Second || o.peer.TTL > time.Hour):
		return "", nil, usage("--ttl %s: use 1s to 1h where the peer on this machine is asked", o.peer.TTL)
	case o.killAfter < 0:
		return "", nil, usage("--kill-after %s: it cannot be negative", o.killAfter)
	}
	for _, code := range []int{o.codeNotAcquired, o.codeLost} {
		if code < 0 || code > 255 {
			return "", nil, usage("an exit code is from 0 to 255, not %d", code)
		}
	}
	if err := algo.CheckLock(args[0]); err != nil {
		return "", nil, usage("%w", err)
	}
	if slices.Contains(heldAround(), args[0]) {
		return "", nil, exitError{o.codeNotAcquired, fmt.Errorf("lock %q is held by a command that runs this one (%s): it would wait for itself", args[0], lockEnv)}
	}
	if o.onAsk != "" {
		if o.askSignal, err = command.ParseSignal(o.onAsk); err != nil {
			return "", nil, usage("--on-ask: %w", err)
		}
	}
	o.try = o.try || cmd.Flags().Changed("wait") && o.wait == 0
	return args[0], args[dash:], nil
}

// heldAround lists the locks that are held while this runs, by the commands that run it.
func heldAround() []string {
	return append(strings.Split(os.Getenv(heldEnv), "\n"), os.Getenv(lockEnv))
}

// mutexes is a peer or a client.
type mutexes interface {
	Mutex(name string) *conch.Mutex
	Close() error
}

// runLock waits for the lock and runs the command.
func runLock(cmd *cobra.Command, o *lockOptions, args []string) error {
	name, words, err := o.check(cmd, args)
	if err != nil {
		return err
	}
	say := func(text string) { fmt.Fprintf(cmd.ErrOrStderr(), "conch lock: %s\n", text) }
	asks := make(chan syscall.Signal, 1)
	spec := command.Spec{Args: words, Shell: o.shell, KillAfter: o.killAfter, Signals: asks, Warn: say}
	program, err := spec.Resolve()
	var unfit *command.StartError
	if errors.As(err, &unfit) {
		return exitError{unfit.Code, err}
	} else if err != nil {
		return err
	}
	if o.label == "" {
		o.label = ownLabel(words)
	}
	if o.trace = os.Getenv(traceEnv); o.trace != "" && !isTraceparent(o.trace) {
		say(fmt.Sprintf("%s %.60q is not passed on: it is not as in W3C Trace Context, 00-TRACE-SPAN-FLAGS in small hexadecimal digits", traceEnv, o.trace))
		o.trace = ""
	}
	from, err := o.open(cmd)
	if err != nil {
		return err
	}
	hold, err := o.acquire(cmd.Context(), from.Mutex(name), cmd.ErrOrStderr())
	if err != nil {
		return errors.Join(o.notAcquired(cmd.Context(), name, err), from.Close())
	}
	handOverSignals(cmd.Context())
	if cmd.Context().Err() != nil { // at the moment of the grant
		return errors.Join(o.notAcquired(cmd.Context(), name, cmd.Context().Err()), hold.Unlock(), from.Close())
	}
	listening := make(chan struct{})
	go func() {
		select {
		case <-hold.Asked():
			o.asked(hold, say, asks)
		case <-listening:
		}
	}()
	defer close(listening)
	held := heldEnv + "=" + strings.TrimPrefix(os.Getenv(heldEnv)+"\n"+name, "\n")
	result := program.Run(context.WithoutCancel(cmd.Context()), hold, lockEnv+"="+name, fmt.Sprintf("%s=%d", tokenEnv, hold.Token()), held)
	unlocked := hold.Unlock()
	from.Close() // the lock was given back, and that is all this was about
	return o.end(hold, result, unlocked)
}

// asked tells the user, and the command, that somebody asks it to give way.
func (o *lockOptions) asked(hold *conch.Hold, say func(string), asks chan<- syscall.Signal) {
	if hold.Context().Err() != nil {
		return // it was told to leave, and that is said at the end
	}
	by, reason := hold.AskedBy()
	text := fmt.Sprintf("%s asks for lock %q", by, hold.Lock())
	if reason != "" {
		text += ": " + reason
	}
	say(text)
	if o.askSignal != 0 {
		asks <- o.askSignal
	}
}

// open opens what the lock is asked from.
func (o *lockOptions) open(cmd *cobra.Command) (mutexes, error) {
	if o.peer.Name == "" {
		wire, err := o.local.dial()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), answerTime, errStopped)
		defer cancel()
		c, err := client.Dial(ctx, client.Config{Addr: wire.Addr(), TTL: cmp.Or(o.peer.TTL, lockTTL), Label: o.label})
		switch {
		case err != nil && cmd.Context().Err() != nil:
			return nil, exitError{exitInterrupted, errors.New("interrupted")}
		case err != nil && ctx.Err() != nil:
			return nil, exitError{exitNoPeer, fmt.Errorf("the peer at %s: %w", wire.Addr(), context.Cause(ctx))}
		case err != nil:
			return nil, exitError{exitNoPeer, errors.New(strings.TrimPrefix(err.Error(), "client: "))}
		}
		return c, nil
	}
	o.peer.logLevel, o.peer.logFormat = "warn", "text"
	if err := o.peer.verify(cmd); err != nil {
		return nil, err
	}
	p, err := conch.Join(cmd.Context(), o.peer.Config)
	if err != nil {
		return nil, exitError{exitNoPeer, errors.New(strings.TrimPrefix(err.Error(), "conch: "))}
	}
	return p, nil
}

// acquire waits for the lock, for as long as the flags say.
func (o *lockOptions) acquire(ctx context.Context, m *conch.Mutex, out io.Writer) (*conch.Hold, error) {
	options := []conch.Option{conch.WithLabel(o.label), conch.WithTrace(o.trace)}
	if o.try {
		return m.TryLock(ctx, options...)
	}
	if o.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.wait, fmt.Errorf("%w within %s", conch.ErrNotAcquired, o.wait))
		defer cancel()
	}
	if isTerminal(out) {
		line := newWaitLine(out, m.Name())
		defer line.end()
		options = append(options, conch.WithProgress(line.tell))
	}
	return m.Lock(ctx, options...)
}

// traceparents are those of the only version that there is.
var traceparents = regexp.MustCompile("^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")

// isTraceparent says that a text names a span, as a traceparent header does.
func isTraceparent(text string) bool {
	return traceparents.MatchString(text) && strings.Trim(text[3:35], "0") != "" && strings.Trim(text[36:52], "0") != ""
}

// notAcquired says why the command was not run.
func (o *lockOptions) notAcquired(ctx context.Context, name string, err error) error {
	text := errors.New(strings.TrimPrefix(err.Error(), "conch: "))
	switch {
	case ctx.Err() != nil:
		return exitError{exitInterrupted, fmt.Errorf("interrupted while waiting for lock %q", name)}
	case errors.Is(err, conch.ErrNotAcquired):
		return exitError{o.codeNotAcquired, fmt.Errorf("%w%s", text, o.inTheWay(ctx, name))}
	case errors.Is(err, client.ErrNoPeer):
		return exitError{exitNoPeer, text}
	}
	return exitError{o.codeNotAcquired, text}
}

// wayTime is how long a command that was not run may take to find out why.
const wayTime = time.Second

// inTheWay says, as the end of a sentence, who has the lock, if the peer on this machine
// knows. (A peer of its own has said in its error for whom it waits.)
func (o *lockOptions) inTheWay(ctx context.Context, name string) string {
	if o.peer.Name != "" {
		return ""
	}
	wire, err := o.local.dial()
	if err != nil {
		return ""
	}
	defer wire.Close()
	ctx, cancel := context.WithTimeout(ctx, wayTime)
	defer cancel()
	answer, err := conchv1connect.NewViewsClient(connect.NewClient(wire)).Get(ctx, &conchv1.GetViewRequest{Lock: name})
	if err != nil {
		return ""
	}
	v := viewcodec.Decode(answer.GetView())
	l := v.Lock(name)
	words := []string{"; " + heldBy(&l, v.At)}
	if l.Holder != nil && l.Holder.Label != "" {
		words = append(words, l.Holder.Label)
	}
	var silent []string
	for _, s := range v.Silent {
		silent = append(silent, s.Peer)
	}
	if len(silent) > 0 {
		words = append(words, "no answer from "+strings.Join(silent, ", "))
	}
	return strings.Join(words, "; ")
}

// end turns what became of the command into the exit code.
func (o *lockOptions) end(hold *conch.Hold, r command.Result, unlocked error) error {
	var left string
	name := hold.Lock()
	if len(r.Left) > 0 {
		left = fmt.Sprintf("; these could not be ended: %v", r.Left)
	}
	switch {
	case r.Lost, errors.Is(unlocked, conch.ErrLost): // perhaps before the command was started
		return exitError{o.codeLost, fmt.Errorf("lock %q was lost while the command ran%s%s", name, why(hold), left)}
	case r.Err != nil:
		return exitError{r.Code, r.Err}
	case unlocked != nil:
		return exitError{o.codeLost, fmt.Errorf("unlock %q: %w", name, unlocked)}
	case r.Code != 0:
		return exitError{r.Code, nil}
	}
	return nil
}

// why says, as the end of a sentence, why a hold has ended.
func why(hold *conch.Hold) string {
	cause := context.Cause(hold.Context())
	if cause == nil || !errors.Is(cause, conch.ErrLost) {
		return ""
	}
	return strings.TrimPrefix(cause.Error(), conch.ErrLost.Error())
}

// ownLabel says who runs which command, as far as a label can hold it.
func ownLabel(words []string) string {
	text := fmt.Sprintf("%s, process %d: %s", userAtHost(), os.Getpid(), strings.Join(words, " "))
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	for len(text) > conch.MaxLabel {
		text = strings.ToValidUTF8(text[:conch.MaxLabel], "")
	}
	return text
}
