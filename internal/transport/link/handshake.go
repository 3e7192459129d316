package link

import (
	"fmt"
	"strings"

	"github.com/conchlock/conch/algo"
)

// hello says who this peer is to another.
func (p *peer) hello() *Hello {
	t := p.t
	return &Hello{
		Version:     Version,
		VersionMin:  VersionMin,
		Cluster:     t.cfg.Cluster,
		Algorithm:   t.cfg.Algorithm,
		Open:        t.cfg.Open,
		Members:     t.members,
		TTL:         t.cfg.TTL,
		Drift:       t.cfg.Drift,
		From:        t.cfg.Self,
		To:          p.name,
		Incarnation: t.cfg.Incarnation,
		Clock:       t.cfg.Clock,
		Process:     t.process,
		Floor:       p.floor,
	}
}

// check compares what another peer says about itself with what this one is.
// It returns nil if there can be a link. The other's words are quoted: they
// may be anything.
func (t *Transport) check(h *Hello) *Refusal {
	self := t.cfg.Self
	refuse := func(cause Cause, format string, args ...any) *Refusal {
		return &Refusal{cause, fmt.Sprintf(format, args...)}
	}
	if h.VersionMin > Version || h.Version < VersionMin {
		return refuse(CauseVersion, "%s speaks versions %d to %d of the protocol, %q %d to %d: update the older one (neighbouring versions understand each other)",
			self, VersionMin, Version, short(h.From), h.VersionMin, h.Version)
	}
	if h.From.Check() != nil {
		return refuse(CauseName, "%q is no name for a peer", short(h.From))
	}
	if h.Cluster != t.cfg.Cluster {
		return refuse(CauseCluster, "%s belongs to cluster %q, %s to %q: start both with the same cluster id, or take one out of the other's list of peers",
			self, t.cfg.Cluster, h.From, short(h.Cluster))
	}
	if h.To != self {
		return refuse(CauseName, "here is %s, but %s looks for %q at this address: correct the address in the peers list of %s", self, h.From, short(h.To), h.From)
	}
	if h.From == self {
		return refuse(CauseTwins, "incarnations %d and %d both run under the name %s: stop one of the two processes", t.cfg.Incarnation, h.Incarnation, self)
	}
	if h.Open != t.cfg.Open {
		fixed, finds := self, h.From
		if t.cfg.Open {
			fixed, finds = h.From, self
		}
		return refuse(CauseOpen, "%s has a fixed list of peers, %s finds them as they come and go: give a list to all peers, or to none", fixed, finds)
	}
	if diff := compareMembers(self, t.members, h.From, h.Members); diff != "" {
		if t.cfg.Open {
			return refuse(CauseMembers, "the voters of %s and %s differ: %s: give all peers the same voters", self, h.From, diff)
		}
		return refuse(CauseMembers, "the lists of peers of %s and %s differ: %s: give all peers the same list, and the same voters", self, h.From, diff)
	}
	if h.Algorithm != t.cfg.Algorithm {
		return refuse(CauseAlgorithm, "%s runs the algorithm %s, %s runs %q: start all peers with the same one", self, t.cfg.Algorithm, h.From, short(h.Algorithm))
	}
	if h.TTL != t.cfg.TTL {
		return refuse(CauseTTL, "%s has a TTL of %v, %s one of %v: start all peers with the same one", self, t.cfg.TTL, h.From, h.TTL)
	}
	if h.Drift != t.cfg.Drift {
		return refuse(CauseDrift, "%s allows for clocks that drift by %d parts per million, %s by %d: start all peers with the same bound", self, t.cfg.Drift, h.From, h.Drift)
	}
	if h.Incarnation == 0 {
		return refuse(CauseIncarnation, "%s says that its incarnation is 0: incarnations start at 1", h.From)
	}
	if h.Clock > algo.MaxTime {
		return refuse(CauseIncarnation, "%s says that its clock started at %d, which is over the limit of %d: its state directory is damaged", h.From, h.Clock, algo.MaxTime)
	}
	return nil
}

// compareMembers says how the other's list differs, if it does. Both are
// sorted, the other's perhaps not: then it differs.
func compareMembers(self algo.PeerName, ours []Member, other algo.PeerName, theirs []Member) string {
	var diffs []string
	i, j := 0, 0
	for (i < len(ours) || j < len(theirs)) && len(diffs) < 5 {
		switch {
		case j == len(theirs) || i < len(ours) && ours[i].Name < theirs[j].Name:
			diffs = append(diffs, fmt.Sprintf("%s is only in the list of %s", ours[i].Name, self))
			i++
		case i == len(ours) || theirs[j].Name < ours[i].Name:
			diffs = append(diffs, fmt.Sprintf("%q is only in the list of %s", short(theirs[j].Name), other))
			j++
		default:
			if ours[i].Votes != theirs[j].Votes {
				diffs = append(diffs, fmt.Sprintf("%s has %s in the list of %s, %s in that of %s", ours[i].Name, votes(ours[i].Votes), self, votes(theirs[j].Votes), other))
			}
			i, j = i+1, j+1
		}
	}
	return strings.Join(diffs, ", ")
}

// votes writes how many there are.
func votes(n int) string {
	switch n {
	case 0:
		return "no vote"
	case 1:
		return "a vote"
	}
	return fmt.Sprintf("%d votes", n)
}

// short cuts what a stranger says down to what fits into a message.
func short[S ~string](s S) S {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
