package discovery_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conchlock/conch/discovery"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // the peers, or part of the error
	}{
		{"plain", "a 127.0.0.1:7401\nb 127.0.0.1:7402\n", "a=127.0.0.1:7401 b=127.0.0.1:7402"},
		{"comments, blanks, tabs, no last newline", "# peers\n\n a\t10.0.0.1:7400 # first\nb   [::1]:7400", "a=10.0.0.1:7400 b=[::1]:7400"},
		{"carriage returns and a byte order mark", "\ufeffa 127.0.0.1:1\r\nb host.example:2\r\n", "a=127.0.0.1:1 b=host.example:2"},
		{"name twice", "a 127.0.0.1:1\nb 127.0.0.1:2\na 127.0.0.1:3\n", "peers.txt:3: peer a is named twice, first in line 1"},
		{"address twice", "a 127.0.0.1:1\nb 127.0.0.1:1\n", "peers.txt:2: peers a and b have the same address"},
		{"no port", "a 127.0.0.1\n", `peers.txt:1: peer a: address "127.0.0.1": write HOST:PORT`},
		{"no host", "a :7400\n", "peers.txt:1: peer a: address \":7400\" has no host"},
		{"port not a number", "a 127.0.0.1:http\n", "the port must be a number from 1 to 65535"},
		{"port zero", "a 127.0.0.1:0\n", "the port must be a number from 1 to 65535"},
		{"port with a zero in front", "a 127.0.0.1:07401\n", "the port must be a number from 1 to 65535"},
		{"port too large", "a 127.0.0.1:65536\n", "the port must be a number from 1 to 65535"},
		{"bad name", "\nA 127.0.0.1:1\n", `peers.txt:2: peer name "A"`},
		{"no address", "a\n", `peers.txt:1: "a": write NAME HOST:PORT`},
		{"too many words", "a 127.0.0.1:1 voter\n", "write NAME HOST:PORT"},
		{"bad encoding", "a 127.0.0.1:1\nb\xff 127.0.0.1:2\n", "peers.txt:2: not UTF-8 text"},
		{"a zero byte", "a\x00 127.0.0.1:1\n", "peers.txt:1: not UTF-8 text"},
		{"empty", "", "peers.txt:1: no peers"},
		{"only comments", "# a 127.0.0.1:1\n\n", "peers.txt:2: no peers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			peers, err := discovery.Parse("peers.txt", []byte(tt.text))
			if got := render(peers, err); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "peers.txt")
	if err := os.WriteFile(path, []byte("a 127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		path:                         "a=127.0.0.1:1",
		dir:                          "is a directory",
		filepath.Join(dir, "nobody"): "no such file",
	} {
		if got := render(discovery.File(path).Peers()); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestFlagsAndStatic(t *testing.T) {
	tests := []struct {
		source discovery.Source
		want   string
	}{
		{discovery.Flags([]string{"a=127.0.0.1:1", "b=127.0.0.1:2"}), "a=127.0.0.1:1 b=127.0.0.1:2"},
		{discovery.Flags([]string{"a"}), `--peer "a": write NAME=HOST:PORT`},
		{discovery.Flags([]string{"a=127.0.0.1:1", "a=127.0.0.1:2"}), "peer a is given twice"},
		{discovery.Flags([]string{"a=127.0.0.1:1", "b=127.0.0.1:1"}), "have the same address"},
		{discovery.Flags([]string{"a=localhost"}), "write HOST:PORT"},
		{discovery.Flags(nil), "no --peer is given"},
		{discovery.Static(discovery.Peers{"b": "h:2", "a": "h:1"}), "a=h:1 b=h:2"},
		{discovery.Static(discovery.Peers{"b": "h:1", "a": "h:1"}), "peers a and b have the same address"},
		{discovery.Static(nil), "no peers are given"},
	}
	for _, tt := range tests {
		if got := render(tt.source.Peers()); !strings.Contains(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// FuzzParse holds that what is accepted can be written down and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("a 127.0.0.1:7401\nb 127.0.0.1:7402 # second\n"))
	f.Add([]byte("\ufeffa [::1]:1\r\n"))
	f.Add([]byte("a"))
	f.Fuzz(func(t *testing.T, text []byte) {
		peers, err := discovery.Parse("f", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("the error names no place: %v", err)
			}
			return
		}
		var again strings.Builder
		for name, addr := range peers {
			fmt.Fprintf(&again, "%s %s\n", name, addr)
		}
		back, err := discovery.Parse("f", []byte(again.String()))
		if err != nil || !maps.Equal(peers, back) {
			t.Errorf("%v written down and read again is %v, %v", peers, back, err)
		}
	})
}

func render(peers discovery.Peers, err error) string {
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		words = append(words, name+"="+peers[name])
	}
	return strings.Join(words, " ")
}
