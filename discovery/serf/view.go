package serf

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/serf/serf"

	"github.com/conchlock/conch/discovery"
)

// maxPast bounds of how many peers that nobody speaks of any more the incarnation
// is kept.
const maxPast = 1024

// view is what has been told of the others. It makes news of what is different.
type view struct {
	self string
	said *notices
	told map[string]discovery.News // the last of each; never Forgotten

	past  map[string]uint64 // incarnations of those who are Forgotten
	order []string          // of past, oldest first

	stands time.Duration    // for how long a doubtful word has to stand
	doubts map[string]doubt // those who say to be an earlier incarnation than they were
}

// doubt is what somebody says to be, and since when.
type doubt struct {
	incarnation uint64
	since       time.Time
}

func newView(self string, stands time.Duration, said *notices) *view {
	return &view{
		self: self, said: said, told: make(map[string]discovery.News), past: make(map[string]uint64),
		stands: stands, doubts: make(map[string]doubt),
	}
}

// look compares the members with what was told, and returns the news, sorted by
// name, and after which time to look again if nothing changes; 0: never.
func (v *view) look(members []serf.Member, now time.Time) ([]discovery.News, time.Duration) {
	var news []discovery.News
	there := make(map[string]bool, len(members))
	for _, m := range members {
		there[m.Name] = true
		if m.Name == v.self {
			continue
		}
		if n, new := v.judge(m, now); new {
			v.told[m.Name] = n
			v.revive(m.Name)
			news = append(news, n)
		}
	}
	for name, old := range v.told {
		if there[name] {
			continue
		}
		delete(v.told, name)
		v.bury(name, old.Incarnation)
		old.Kind, old.Reason = discovery.Forgotten, "it has been away for so long that nobody speaks of it any more"
		news = append(news, old)
	}
	slices.SortFunc(news, func(a, b discovery.News) int { return strings.Compare(a.Name, b.Name) })
	var again time.Duration
	for name, d := range v.doubts {
		if !there[name] {
			delete(v.doubts, name)
		} else if wait := max(d.since.Add(v.stands).Sub(now), 1); again == 0 || wait < again {
			again = wait
		}
	}
	return news, again
}

// judge says what a member has become, and whether that is new.
func (v *view) judge(m serf.Member, now time.Time) (discovery.News, bool) {
	if !up(m) {
		delete(v.doubts, m.Name)
	}
	old, known := v.told[m.Name]
	switch {
	case up(m):
		a, err := readTags(m.Name, m.Tags)
		if err != nil {
			return old, false // the gate has said so
		}
		newest := old.Incarnation
		if !known {
			newest = v.past[m.Name]
		}
		if a.incarnation < newest && v.doubtful(m.Name, a.incarnation, newest, now) {
			return old, false
		}
		delete(v.doubts, m.Name)
		n := discovery.News{Kind: discovery.Found, Name: m.Name, Addr: a.addr, Incarnation: a.incarnation, Voter: a.voter}
		return n, n != old
	case !known:
		return old, false // nobody has been told that it is there
	case m.Status == serf.StatusLeft:
		n := old
		n.Kind, n.Reason = discovery.Left, "it said goodbye"
		return n, old.Kind != discovery.Left
	default:
		n := old
		n.Kind, n.Reason = discovery.Failed, fmt.Sprintf("nobody gets an answer from it at %s, where it gossips", gossipAddr(m))
		return n, old.Kind == discovery.Found
	}
}

// doubtful says that somebody who says to be an earlier incarnation than it was is
// not believed yet. An old message that is sent again does not last: whoever is there
// contradicts, and who is not does not answer. What stands may be true, and what was
// said before a lie.
func (v *view) doubtful(name string, incarnation, newest uint64, now time.Time) bool {
	d, ok := v.doubts[name]
	if !ok || d.incarnation != incarnation {
		d = doubt{incarnation, now}
		v.doubts[name] = d
		v.said.once("old "+name, fmt.Sprintf("peer %s says to be incarnation %d, and was %d before: an old message has been sent again, or it has lost its directory, or the later one was a lie; "+
			"it is believed if that is still so in %v", name, incarnation, newest, v.stands))
	}
	return now.Sub(d.since) < v.stands
}

// bury keeps the incarnation of somebody who is forgotten.
func (v *view) bury(name string, incarnation uint64) {
	if len(v.order) >= maxPast {
		delete(v.past, v.order[0])
		v.order = v.order[1:]
	}
	v.past[name] = incarnation
	v.order = append(v.order, name)
}

// revive undoes bury.
func (v *view) revive(name string) {
	if _, ok := v.past[name]; !ok {
		return
	}
	delete(v.past, name)
	v.order = slices.DeleteFunc(v.order, func(n string) bool { return n == name })
}
