package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

// stays follows the file that the peers write to when they enter and leave.
type stays struct {
	path string
	read int64 // how much of it is known
	rest []byte

	changed bool // by the last update
	news    []entry
	enters  int
	exits   int
	left    map[string]int // exits by peer
	inside  entry          // who entered last; empty if it has left
}

// entry is an enter line.
type entry struct{ name, token string }

// update reads what is new.
func (s *stays) update() error {
	s.changed, s.news = false, s.news[:0]
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, s.read, 1<<62))
	if err != nil {
		return err
	}
	s.read += int64(len(text))
	s.rest = append(s.rest, text...)
	for {
		line, rest, whole := bytes.Cut(s.rest, []byte("\n"))
		if !whole {
			return nil
		}
		s.line(string(line))
		s.rest = rest
	}
}

func (s *stays) line(line string) {
	words := strings.Fields(line)
	if len(words) != 3 {
		return // the verdict complains
	}
	s.changed = true
	switch name := words[1]; words[0] {
	case "enter":
		s.enters++
		s.inside = entry{name, words[2]}
		s.news = append(s.news, s.inside)
	case "exit":
		s.exits++
		if s.left == nil {
			s.left = make(map[string]int)
		}
		s.left[name]++
		if s.inside.name == name {
			s.inside = entry{}
		}
	}
}
