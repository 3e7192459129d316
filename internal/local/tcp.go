package local

import (
	"fmt"
	"net"
)

// CheckTCP finds what is wrong with an address to serve programs at. It is one of
// this machine alone: whoever reaches a peer can take its locks, and until there is
// TLS nobody is asked who they are.
func CheckTCP(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return fmt.Errorf("address %q: write HOST:PORT, as in 127.0.0.1:7420", addr)
	}
	if host == "localhost" || net.ParseIP(host).IsLoopback() {
		return nil
	}
	return fmt.Errorf("address %q is not of this machine alone: whoever reaches it could take locks, and there is no TLS yet to keep strangers out; use 127.0.0.1, [::1] or localhost, and run a peer on each machine", addr)
}

// ListenTCP listens for programs on a loopback address. Unlike a unix socket it is
// open to every user of this machine.
func ListenTCP(addr string) (net.Listener, error) {
	if err := CheckTCP(addr); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() { // localhost is what /etc/hosts says
		l.Close()
		return nil, fmt.Errorf("address %q leads to %s, which is not of this machine alone", addr, l.Addr())
	}
	return l, nil
}
