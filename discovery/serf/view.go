package serf

import (
	"fmt"
	"slices"
	"strings"

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
}

func newView(self string, said *notices) *view {
	return &view{self: self, said: said, told: make(map[string]discovery.News), past: make(map[string]uint64)}
}

// look compares the members with what was told, and returns the news, sorted by
// name.
func (v *view) look(members []serf.Member) []discovery.News {
	var news []discovery.News
	there := make(map[string]bool, len(members))
	for _, m := range members {
		there[m.Name] = true
		if m.Name == v.self {
			continue
		}
		if n, new := v.judge(m); new {
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
	return news
}

// judge says what a member has become, and whether that is new.
func (v *view) judge(m serf.Member) (discovery.News, bool) {
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
		if a.incarnation < newest {
			v.said.once("old "+m.Name, fmt.Sprintf("peer %s says to be incarnation %d, and was %d before: an old message has been sent again, or it has lost its directory; it is taken for gone",
				m.Name, a.incarnation, newest))
			return old, false
		}
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
