package discovery

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// maxFile is the size in bytes beyond which a peers file is surely something
// else.
const maxFile = 1 << 20

// File is a source that reads a peers file: one peer a line, NAME HOST:PORT,
// with spaces or tabs between; # starts a comment. It is read at every call.
func File(path string) Source { return file(path) }

type file string

func (f file) Peers() (Peers, error) {
	info, err := os.Stat(string(f))
	if err != nil {
		return nil, fmt.Errorf("peers file: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("peers file %s is a directory", f)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("peers file %s has %d bytes; is it the right file?", f, info.Size())
	}
	text, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("peers file: %w", err)
	}
	return Parse(string(f), text)
}

// Parse reads the text of a peers file. Errors have the form FILE:LINE: reason.
func Parse(name string, text []byte) (Peers, error) {
	peers := make(Peers)
	used := make(map[string]string)
	lines := make(map[string]int)
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	n := 0
	for line := range bytes.Lines(text) {
		n++
		peer, addr, err := parseLine(line)
		if err == nil && peer == "" {
			continue
		}
		if first, twice := lines[peer]; err == nil && twice {
			err = fmt.Errorf("peer %s is named twice, first in line %d", peer, first)
		}
		if err == nil {
			err = check(peer, addr, used)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		peers[peer], lines[peer] = addr, n
	}
	if len(peers) == 0 {
		return nil, fmt.Errorf("%s:%d: no peers; write one peer a line, NAME HOST:PORT", name, max(n, 1))
	}
	return peers, nil
}

// parseLine returns the name and address on a line, both empty if it has none.
func parseLine(line []byte) (name, addr string, err error) {
	if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
		return "", "", fmt.Errorf("not UTF-8 text; save the file as UTF-8")
	}
	text, _, _ := strings.Cut(string(line), "#")
	switch fields := strings.Fields(text); len(fields) {
	case 0:
		return "", "", nil
	case 2:
		return fields[0], fields[1], nil
	default:
		return "", "", fmt.Errorf("%q: write NAME HOST:PORT", strings.TrimSpace(text))
	}
}
