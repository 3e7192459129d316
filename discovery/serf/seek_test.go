package serf

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/serf/serf"

	"github.com/conchlock/conch/discovery"
)

// seekerOf makes a seeker that has no network, which next does not need.
func seekerOf(join []string, seen *contacts) *seeker {
	own := netip.MustParseAddrPort("10.0.0.1:7946")
	return newSeeker("me", place{bind: own, advertise: own}, Source{Join: join}, seen, nil, newGate(discovery.Self{Name: "me"}, own, seen.said), seen.said, nil)
}

func noContacts() *contacts {
	return &contacts{cluster: "test", said: newNotices(), by: make(map[string]contact)}
}

func at(name string, status serf.MemberStatus, ip byte) serf.Member {
	m := member(name, status, "1")
	m.Addr, m.Port = []byte{10, 0, 0, ip}, 7946
	return m
}

// TestNext follows who is looked for, and when, by a clock of its own.
func TestNext(t *testing.T) {
	seen := noContacts()
	seen.see("b", netip.MustParseAddrPort("10.0.0.2:7946"), true)
	s := seekerOf([]string{"10.0.0.1:7946", "10.0.0.3:7946"}, seen)
	now := time.Now().Add(time.Second)
	both := []serf.Member{at("me", serf.StatusAlive, 1), at("b", serf.StatusAlive, 2), at("c", serf.StatusLeaving, 3)}
	for _, target := range s.targets { // as an attempt would
		target.addrs = []netip.AddrPort{netip.MustParseAddrPort(target.addr)}
	}
	if who, wait := s.next(both, now); who != nil || wait != never {
		t.Fatalf("all are there, and %v is looked for in %v", who, wait)
	}
	both[1].Status = serf.StatusFailed
	longest := time.Duration(0)
	for i := range 12 {
		who, wait := s.next(both, now)
		if who == nil {
			now = now.Add(wait)
			who, _ = s.next(both, now)
		}
		if who == nil || who.name != "b" {
			t.Fatalf("%v is looked for, not b", who)
		}
		if longest = max(longest, wait); wait > s.pace.longest*5/4 || i == 0 && wait > s.pace.first*5/4 {
			t.Errorf("attempt %d comes after %v", i, wait)
		}
		s.wait(who, now)
	}
	if longest < s.pace.longest*3/4 {
		t.Errorf("the longest pause was %v", longest)
	}
	both[1] = at("b", serf.StatusAlive, 9) // it has moved
	if who, wait := s.next(both, now); who != nil || wait != never {
		t.Errorf("all are back, and %v is looked for in %v", who, wait)
	}
	both[1].Status = serf.StatusFailed
	if _, wait := s.next(both, now); wait > s.pace.first*5/4 {
		t.Errorf("after it was back, it is looked for in %v", wait)
	}
	both[2].Status = serf.StatusLeft
	if len(s.targets) != 3 || s.targets[1].addr != "10.0.0.3:7946" {
		t.Errorf("targets are %v", s.targets)
	}
}

// TestVotersFirst has hundreds of names that somebody makes up, with votes: those who
// have one are looked for first, and are not pushed out by them.
func TestVotersFirst(t *testing.T) {
	s := seekerOf([]string{"10.0.0.3:7946"}, noContacts())
	s.gate.voters = []string{"me", "v"}
	members := []serf.Member{at("v", serf.StatusAlive, 2)}
	for i := range 2 * maxVoters {
		m := at(fmt.Sprint("made-up-", i), serf.StatusAlive, 3)
		m.Tags = maps.Clone(m.Tags)
		m.Tags[tagVoter] = "1"
		members = append(members, m)
	}
	s.note(members[:1])
	s.note(members[1:])
	if v := s.targets[1]; v.name != "v" || !v.voter {
		t.Errorf("first of those that were seen, %s is looked for", v.name)
	}
	if n := len(s.targets); n != 2+maxOthers {
		t.Errorf("%d are looked for", n)
	}
}

// TestContactsForget holds that those who come and go are remembered in bounded
// numbers, that those with a vote are not pushed out by them, and goodbyes.
func TestContactsForget(t *testing.T) {
	c := noContacts()
	addr := netip.MustParseAddrPort("10.0.0.2:7946")
	if !c.see("v", addr, true) || c.see("v", addr, true) || !c.see("v", addr, false) || !c.see("v", addr, true) {
		t.Error("what is new is not told from what is not")
	}
	for i := range 3 * maxOthers {
		c.see(fmt.Sprint("p", i), addr, false)
		c.see("first", addr, false)
	}
	if _, ok := c.by["first"]; !ok || len(c.by) != maxOthers+1 {
		t.Errorf("there are %d; who came again and again is there: %v", len(c.by), ok)
	}
	if c.farewell("v") || !c.farewell("first") || c.farewell("first") {
		t.Error("a voter is forgotten when it leaves, or a visitor is not")
	}
	for i := range 3 * maxVoters {
		c.see(fmt.Sprint("q", i), addr, true)
	}
	if len(c.by) > maxVoters+maxOthers {
		t.Errorf("there are %d", len(c.by))
	}
}

// TestContactsFile writes contacts down, reads them, and reads what is none.
func TestContactsFile(t *testing.T) {
	dir, said := t.TempDir(), newNotices()
	c, err := readContacts(dir, "test", said)
	if err != nil {
		t.Fatal(err)
	}
	c.see("b", netip.MustParseAddrPort("10.0.0.2:7946"), true)
	c.see("c", netip.MustParseAddrPort("[::1]:7946"), false)
	c.save()
	again, err := readContacts(dir, "test", said)
	if err != nil || fmt.Sprint(again.by) != fmt.Sprint(c.by) || len(said.take()) > 0 {
		t.Errorf("got %v, %v, want %v", again.by, err, c.by)
	}
	for text, want := range map[string]string{
		"":                           "this is not a file of Conch's",
		"# conch gossip 2 test\n":    "this is not a file of Conch's",
		"# conch gossip 1 other\nb":  `these were peers of cluster "other", and this is one of cluster "test"`,
		"# conch gossip 1 test\nb x": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, contactsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := readContacts(dir, "test", said)
		warned := strings.Join(said.take(), "\n")
		if said.over("contacts"); err != nil || len(c.by) > 0 || !strings.Contains(warned, want) || want == "" && warned != "" {
			t.Errorf("%q: got %v, %v, %q", text, c.by, err, warned)
		}
	}
	if _, err := readContacts(filepath.Join(dir, contactsFile), "test", said); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("got %v", err)
	}
	c.dir = filepath.Join(dir, "gone")
	c.save()
	c.save()
	if text := said.take(); len(text) != 1 || !strings.Contains(text[0], "it will not be known who was there") {
		t.Errorf("said %q", text)
	}
}

// FuzzContacts holds that what is read can be written down and read again.
func FuzzContacts(f *testing.F) {
	f.Add([]byte("# conch gossip 1 test\nb 10.0.0.2:7946 voter\nc [::1]:7946 peer\n"))
	f.Add([]byte("# conch gossip 1 test\nb b b\n\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := noContacts()
		if c.parse(text) != nil {
			return
		}
		if len(c.by) > maxVoters+maxOthers {
			t.Errorf("there are %d", len(c.by))
		}
		path := filepath.Join(t.TempDir(), "x")
		if err := c.write(path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		again := noContacts()
		if err == nil {
			err = again.parse(text)
		}
		if err != nil || len(again.by) != len(c.by) {
			t.Errorf("%v became %v, %v", c.by, again.by, err)
		}
		for name, x := range c.by {
			if y := again.by[name]; x.addr != y.addr || x.voter != y.voter {
				t.Errorf("%s: %v became %v", name, x, y)
			}
		}
	})
}

// TestPlace says where a peer gossips that is reached at an address.
func TestPlace(t *testing.T) {
	for _, tt := range []struct {
		own, bind, advertise string
		want                 string // bind and advertise, after listening on port 99 if it was 0
	}{
		{"10.0.0.1:7400", "", "", "10.0.0.1:7946 10.0.0.1:7946"},
		{"[fd00::1]:7400", "", "", "[fd00::1]:7946 [fd00::1]:7946"},
		{"10.0.0.1:7400", "127.0.0.1:0", "", "127.0.0.1:99 127.0.0.1:99"},
		{"10.0.0.1:7400", "0.0.0.0:0", "", "0.0.0.0:99 10.0.0.1:99"},
		{"10.0.0.1:7400", ":7000", "", "0.0.0.0:7000 10.0.0.1:7000"},
		{"[fd00::1]:7400", "[::]:7000", "", "[::]:7000 [fd00::1]:7000"},
		{"10.0.0.1:7400", "0.0.0.0:0", "192.0.2.1:7000", "0.0.0.0:99 192.0.2.1:7000"},
		{"peer.example:7400", "", "", "192.0.2.7:7946 192.0.2.7:7946"},
		{"peer.example:7400", "0.0.0.0:1", "", "0.0.0.0:1 192.0.2.7:1"},
		{"10.0.0.1:7400", "", "peer.example:7000", "10.0.0.1:7946 192.0.2.7:7000"},
	} {
		s := Source{Bind: tt.bind, Advertise: tt.advertise, test: seams{lookup: exampleHosts}}
		p, err := s.place(t.Context(), tt.own)
		if p.bind.Port() == 0 {
			p = p.on(99)
		} else {
			p = p.on(p.bind.Port())
		}
		if got := fmt.Sprint(p.bind, " ", p.advertise); err != nil || got != tt.want {
			t.Errorf("%+v: got %s, %v", tt, got, err)
		}
	}
}

// TestLines routes lines of the libraries.
func TestLines(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"[DEBUG] memberlist: Stream connection from=127.0.0.1:1", ""},
		{"[INFO] serf: EventMemberJoin: b 127.0.0.1", ""},
		{"[WARN] memberlist: Refuting a suspect message (from: b)", ""},
		{"[ERR] memberlist: Conflicting address for b. Mine: 127.0.0.1:1 Theirs: 127.0.0.1:2 Old state: 0", ""},
		{"no level", ""},
		{"[WARN] memberlist: Was able to connect to b over TCP but UDP probes failed, network may be misconfigured", ""},
		{"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.9:5555", "somebody gossips at 10.0.0.9 whom"},
		{"[ERR] memberlist: failed to receive: encryption is configured but remote state is not encrypted from=[::1]:5555", "somebody gossips at ::1 whom"},
		{"[ERR] memberlist: Something new has happened", "gossip: memberlist: Something new has happened"},
	} {
		said := newNotices()
		for range 2 {
			if n, err := (&lines{said: said}).Write([]byte(tt.line + "\n")); err != nil || n != len(tt.line)+1 {
				t.Error(n, err)
			}
		}
		got := said.take()
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
			t.Errorf("%s: got %q", tt.line, got)
		}
	}
}

// TestNoticesForget holds that notices are bounded, and can be said again when over.
func TestNoticesForget(t *testing.T) {
	n := newNotices()
	told := 0
	for i := range 3 * maxSaid {
		n.once(fmt.Sprint(i), "text")
		if i%10 == 0 {
			told += len(n.take())
		}
	}
	if told != maxNotices {
		t.Errorf("at once %d are said", told)
	}
	for i := range 3 * maxSaid {
		n.began = time.Time{} // as if a minute had passed
		n.once(fmt.Sprint("later", i), "text")
		if text := n.take(); i == 0 && (len(text) != 2 || !strings.Contains(text[0], "708 more warnings were left out")) {
			t.Errorf("later it says %q", text)
		}
	}
	if len(n.said) > maxSaid || len(n.order) != len(n.said) {
		t.Errorf("%d said, %d in order", len(n.said), len(n.order))
	}
	for i := range 3 * maxUnsaid {
		n.once(fmt.Sprint("more", i), "text")
	}
	if got := len(n.take()); got > maxUnsaid {
		t.Errorf("%d wait to be said", got)
	}
	n.began, n.hidden = time.Time{}, 0
	n.once("a", "text")
	n.once("a", "text")
	n.over("a")
	n.over("b")
	n.once("a", "text")
	if got := n.take(); !slices.Equal(got, []string{"text", "text"}) {
		t.Errorf("got %q", got)
	}
}
