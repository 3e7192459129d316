package local

import (
	"strings"
	"testing"
)

// Only an address of this machine alone is served at.
func TestListenTCP(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.9.8.7:0"} {
		l, err := ListenTCP(addr)
		if err != nil {
			if addr != "127.9.8.7:0" { // not on every system
				t.Error(err)
			}
			continue
		}
		l.Close()
	}
	for addr, want := range map[string]string{
		":7420": "no TLS yet", "0.0.0.0:7420": "no TLS yet", "[::]:7420": "no TLS yet", "192.168.1.1:7420": "no TLS yet",
		"example.org:7420": "no TLS yet", "127.0.0.1.example.org:7420": "no TLS yet",
		"127.0.0.1": "write HOST:PORT", "127.0.0.1:": "write HOST:PORT", "": "write HOST:PORT", "127.0.0.1:x": "x",
	} {
		if l, err := ListenTCP(addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", addr, l, err, want)
		}
	}
}
