package serf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conchlock/conch/algo"
)

// Bounds of who is remembered. Those with a vote are few, and are remembered for
// ever, unless somebody makes up hundreds of them.
const (
	maxVoters = 256
	maxOthers = 256
)

const (
	contactsFile = "gossip.txt"
	contactsHead = "# conch gossip 1 "
	maxContacts  = 1 << 17 // bytes
)

// contact is where somebody gossiped when last seen.
type contact struct {
	addr  netip.AddrPort
	voter bool
	age   int // higher is later
}

// contacts are those who have been seen, by name.
type contacts struct {
	dir     string // empty: not written down
	cluster string
	said    *notices
	by      map[string]contact
	clock   int
}

// readContacts reads what an earlier run of this peer has written down. A file that
// cannot be used costs time, no more, so it is only warned of.
func readContacts(dir, cluster string, said *notices) (*contacts, error) {
	c := &contacts{dir: dir, cluster: cluster, said: said, by: make(map[string]contact)}
	if dir == "" {
		return c, nil
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("directory to remember peers in (Source.Dir): %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("directory to remember peers in (Source.Dir): %s is a file", dir)
	}
	text, err := os.ReadFile(filepath.Join(dir, contactsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = c.parse(text)
	}
	if err != nil {
		said.once("contacts", fmt.Sprintf("who was there before is not known: %s: %v", filepath.Join(dir, contactsFile), err))
	}
	return c, nil
}

// parse reads lines NAME HOST:PORT voter|peer, and leaves out those it cannot read.
func (c *contacts) parse(text []byte) error {
	head, lines, _ := bytes.Cut(text, []byte("\n"))
	cluster, ok := strings.CutPrefix(string(head), contactsHead)
	switch {
	case !ok || len(text) > maxContacts:
		return errors.New("this is not a file of Conch's, or of another version")
	case cluster != c.cluster:
		return fmt.Errorf("these were peers of cluster %q, and this is one of cluster %q", cluster, c.cluster)
	}
	for line := range bytes.Lines(lines) {
		words := strings.Fields(string(line))
		if len(words) != 3 || algo.PeerName(words[0]).Check() != nil || words[2] != "voter" && words[2] != "peer" {
			continue
		}
		if addr, err := netip.ParseAddrPort(words[1]); err == nil && addr.Port() != 0 {
			c.see(words[0], addr, words[2] == "voter")
		}
	}
	return nil
}

// see takes note that somebody is there, and returns whether that is new.
func (c *contacts) see(name string, addr netip.AddrPort, voter bool) bool {
	old, known := c.by[name]
	c.clock++
	c.by[name] = contact{addr: addr, voter: voter, age: c.clock}
	if known && old.addr == addr && old.voter == voter {
		return false
	}
	most := maxOthers
	if voter {
		most = maxVoters
	}
	oldest, n := "", 0
	for name, other := range c.by {
		if other.voter != voter {
			continue
		}
		if n++; oldest == "" || other.age < c.by[oldest].age {
			oldest = name
		}
	}
	if n > most {
		delete(c.by, oldest)
	}
	return true
}

// farewell takes note that somebody said goodbye, and returns whether there was
// something to note. Those with a vote will
// be back.
func (c *contacts) farewell(name string) bool {
	old, known := c.by[name]
	if !known || old.voter {
		return false
	}
	delete(c.by, name)
	return true
}

// save writes them down, all or nothing.
func (c *contacts) save() {
	if c.dir == "" {
		return
	}
	if err := c.write(filepath.Join(c.dir, contactsFile)); err != nil {
		c.said.once("save", fmt.Sprintf("after a restart it will not be known who was there: %v", err))
		return
	}
	c.said.over("save")
}

func (c *contacts) write(path string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n", contactsHead, c.cluster)
	for _, name := range slices.SortedFunc(maps.Keys(c.by), func(a, b string) int { return c.by[a].age - c.by[b].age }) {
		role := "peer"
		if c.by[name].voter {
			role = "voter"
		}
		fmt.Fprintf(&b, "%s %s %s\n", name, c.by[name].addr, role)
	}
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
