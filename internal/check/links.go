package check

import (
	"cmp"
	"slices"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// links is what is known of messages that were passed over: sent on a link,
// and then a later one was received. That is right only if a drop names them,
// before or after, or if one of the two ends had restarted.
type links struct {
	received int
	drops    map[trace.MessageID]bool
	gaps     map[trace.MessageID]gap
}

type gap struct {
	sent, received trace.Pos
}

// count counts a message that an algorithm sends.
func (c *checker) count(e *trace.Merged) {
	switch {
	case e.Lock == "":
		c.noLock++
	case e.Message.Upkeep:
		c.lock(e.Lock).upkeep++
	default:
		l := c.lock(e.Lock)
		l.sends++
		l.turns[e.Who].send(e)
	}
}

func (c *checker) receive(e *trace.Merged) {
	c.links.received++
	if e.Again {
		c.violation(fifo, e.Lock, []trace.Pos{e.Pos}, "%s receives message %s again, or after a later one of that link", e.Peer, e.Message.ID)
		return
	}
	restarted := c.hears(e)
	if from, found := slices.BinarySearch(c.names, e.Message.From); found && e.Sent != nil {
		c.clocks.hear(from, e)
	}
	for _, s := range e.Skipped {
		switch {
		case s.ID.Incarnation < e.Message.ID.Incarnation: // the sender has restarted
		case restarted:
		case c.links.drops[s.ID]:
			delete(c.links.drops, s.ID)
		default:
			c.links.gaps[s.ID] = gap{s.Pos, e.Pos}
		}
	}
}

// hears says that e is the first message that a new incarnation of the
// receiver has from this sender; what went to the earlier one may be lost.
func (c *checker) hears(e *trace.Merged) bool {
	from, found := slices.BinarySearch(c.names, e.Message.From)
	if !found {
		return false
	}
	p := &c.peers[e.Who]
	if p.heard == nil {
		p.heard = make([]algo.Incarnation, len(c.names))
	}
	first := p.heard[from] != e.Incarnation
	p.heard[from] = e.Incarnation
	return first && (p.starts > 1 || p.everUnseen)
}

func (c *checker) drop(e *trace.Merged) {
	id := e.Message.ID
	if _, ok := c.links.gaps[id]; ok {
		delete(c.links.gaps, id)
		return
	}
	c.links.drops[id] = true
}

// finishLinks judges the messages that were passed over.
func (c *checker) finishLinks() {
	ids := make([]trace.MessageID, 0, len(c.links.gaps))
	for id := range c.links.gaps {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b trace.MessageID) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Incarnation, b.Incarnation), cmp.Compare(a.Number, b.Number))
	})
	for _, id := range ids {
		g := c.links.gaps[id]
		lines := []trace.Pos{g.sent, g.received}
		from, _ := slices.BinarySearch(c.names, id.From)
		p := &c.peers[from]
		switch {
		case p.everUnseen:
			c.doubt(fifo, "", lines, "message %s was not received, but a later one was; events of %s that may explain it are missing", id, id.From)
		case slices.Contains(p.killed, id.Incarnation), p.running && p.incarnation == id.Incarnation:
			c.doubt(fifo, "", lines, "message %s was not received, but a later one was; %s was killed, or its record ends, before it could say why", id, id.From)
		default:
			c.violation(fifo, "", lines, "message %s was not received, but a later one of that link was", id)
		}
	}
}
