package local

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// listen answers each connection with a text, or with silence.
func listen(t *testing.T, text string) (addr string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.WriteString(conn, text)
				if text != "" {
					conn.Read(make([]byte, 1000))
					conn.Close()
					return
				}
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	return UnixPrefix + path
}

// What is no peer, or one that does not answer, is an error, soon, for everybody who
// waits for the connection.
func TestNoPeer(t *testing.T) {
	for _, tt := range []struct {
		name, addr string
		code       connect.Code
		err        error
	}{
		{"nothing is there", UnixPrefix + filepath.Join(t.TempDir(), "s"), connect.CodeUnavailable, os.ErrNotExist},
		{"silent", listen(t, ""), connect.CodeDeadlineExceeded, context.DeadlineExceeded},
		{"not HTTP", listen(t, "220 mail.example ESMTP\r\n"), connect.CodeUnavailable, nil},
		{"half an answer", listen(t, "HTTP/1.1 101 Sw"), connect.CodeUnavailable, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, err := Dial(tt.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			calls := conchv1connect.NewLocksClient(connect.NewClient(w))
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					_, err := calls.Open(ctx, &conchv1.OpenRequest{})
					var answer *connect.Error
					if connect.CodeOf(err) != tt.code || tt.err != nil && !errors.Is(err, tt.err) || errors.As(err, &answer) && answer.IsRemote() {
						t.Errorf("%v", err)
					}
				})
			}
			all.Wait()
		})
	}
}

// A closed way makes no more connections.
func TestClosedWire(t *testing.T) {
	w, err := Dial(listen(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := conchv1connect.NewLocksClient(connect.NewClient(w)).Open(t.Context(), &conchv1.OpenRequest{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
