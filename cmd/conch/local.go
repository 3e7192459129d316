package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/service"
)

// noSocket turns the service off.
const noSocket = "none"

// privateMode is the mode of a socket that only the peer's own user reaches.
const privateMode = "0600"

// socketMode reads the mode of a socket. To connect is to write, so others need both
// bits or neither.
func socketMode(text string) (os.FileMode, error) {
	switch text {
	case "", privateMode:
		return 0o600, nil
	case "0660":
		return 0o660, nil
	case "0666":
		return 0o666, nil
	}
	return 0, fmt.Errorf("%q: use 0600, 0660 or 0666", text)
}

// serveLocal serves the programs on this machine. Where the socket is nobody's
// choice, a peer does without one that is taken.
func serveLocal(peer *conch.Peer, o *peerOptions, warnings io.Writer) (io.Closer, error) {
	server := service.New(peer)
	server.Warn(func(text string) { fmt.Fprintf(warnings, "%s %s\n", peer.Name(), text) })
	if o.serve != "" {
		l, err := local.ListenTCP(o.serve)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--serve: %w", err), server.Close())
		}
		server.Serve(l)
	}
	path := o.socket
	switch {
	case path == noSocket:
		return server, nil
	case path == "" && o.Dir != "":
		path = filepath.Join(o.Dir, local.SocketName)
	case path == "":
		path = local.DefaultSocket()
	}
	mode, err := socketMode(o.mode)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	l, err := local.ListenUnixMode(path, mode)
	switch {
	case err == nil:
		server.Serve(l)
	case o.socket != "":
		return nil, errors.Join(fmt.Errorf("--socket: %w", err), server.Close())
	default:
		fmt.Fprintf(warnings, "programs on this machine do not reach this peer: %v (--socket PATH, or --socket none)\n", err)
	}
	return server, nil
}

// localFlags are the flags of commands that ask a running peer.
type localFlags struct{ addr string }

func (f *localFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.addr, "addr", "", "the peer to ask, unix:PATH or HOST:PORT (default: $CONCH_ADDR, else "+local.UnixPrefix+local.DefaultSocket()+")")
}

// dial returns the way to the peer that the flags, the environment or the default
// say.
func (f *localFlags) dial() (*local.Wire, error) {
	w, err := local.Dial(local.Addr(f.addr))
	if err != nil {
		return nil, usage("--addr: %w", err)
	}
	return w, nil
}

// answerTime is how long a peer on this machine may take to answer.
const answerTime = 5 * time.Second

// errStopped says that it has taken longer.
var errStopped = fmt.Errorf("no answer within %s: is it stopped?", answerTime)

// within makes a call that has to be answered soon.
func within[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errStopped)
	defer cancel()
	answer, err := call(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return answer, err
}

// again prints what a peer says again and again, until the command is interrupted.
func again[T any](ctx context.Context, wire *local.Wire, receive func() (T, error), print func(first bool, answer T) error) error {
	for first := true; ; first = false {
		answer, err := receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			return noAnswer(wire, errors.New("it has ended"))
		case err != nil:
			return noAnswer(wire, err)
		}
		if err := print(first, answer); err != nil {
			return err
		}
	}
}

// noAnswer is a failed call as the end of a command.
func noAnswer(w *local.Wire, err error) error {
	switch {
	case err == nil:
		return nil
	case err == errStopped:
		return exitError{exitNoPeer, fmt.Errorf("the peer at %s: %w", w.Addr(), err)}
	}
	return exitError{exitNoPeer, w.Explain(err)}
}
