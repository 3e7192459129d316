package bench

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// socketSize is the size of what a program and its peer say to each other, roughly.
const socketSize = 64

// socketChild echoes at a unix socket: no less can be had.
func socketChild(in io.Reader, out io.Writer) error {
	dir, err := os.MkdirTemp("", "conch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}, make([]byte, socketSize))
		}
	}()
	fmt.Fprintln(out, path)
	_, err = io.Copy(io.Discard, in)
	return err
}

// socket returns a round trip of a unix socket to another process.
func socket(b *testing.B) (roundTrip func() error) {
	b.Helper()
	_, path := startServer(b, "socket")
	conn, err := net.Dial("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	message := make([]byte, socketSize)
	return func() error {
		if _, err := conn.Write(message); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, message)
		return err
	}
}
