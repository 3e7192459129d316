package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// scan is what one pass over a run finds out, of all locks and in full of the
// one that the report is about. It keeps a few words for each entry and each
// kind of message, and nothing of the rest.
type scan struct {
	peers    []algo.PeerName
	begin    time.Time // the first event, by the clocks
	locks    map[string]*scannedLock
	contacts []trace.Pos        // the first few of the lines in which a peer was connected to another
	files    map[string]*extent // what there is to refer to
	seq      int                // how many events there were
}

// extent is which lines of a file hold events.
type extent struct {
	last int
	torn map[int]bool // before the last, and holding none
}

// has says that a line is known to hold an event.
func (x *extent) has(line int) bool {
	return x != nil && line >= 1 && line <= x.last && len(x.torn) < tornMax && !x.torn[line]
}

// see takes note of a line that holds an event.
func (x *extent) see(line int) {
	for i := x.last + 1; i < line && len(x.torn) < tornMax; i++ {
		x.torn[i] = true
	}
	x.last = max(x.last, line)
}

// tornMax bounds how many of them are remembered. Each is what a killed process
// leaves behind.
const tornMax = 10_000

// scannedLock is what happened to one lock.
type scannedLock struct {
	name    string
	entries []*entry // by token
	kinds   []*kind  // in the order of their first messages

	wishes map[int]wish   // of each peer, the request that is open
	inside map[int]*entry // of each peer, the hold that lasts
}

// entry is one entry. Places in the run (asked, entered, ended, oldest) are numbers of
// events in causal order, from 1; 0 stands for none.
type entry struct {
	number   int // in the order of tokens, from 1
	peer     algo.PeerName
	token    algo.Token
	stamp    string // of the request
	asked    int
	askedAt  time.Time
	entered  int
	at       time.Time
	ended    int
	endedAt  time.Time
	how      trace.Kind // of the end
	oldest   int        // the oldest request of another peer that was open when it entered
	askedPos trace.Pos
	pos      trace.Pos
	endPos   trace.Pos
}

// waited is from request to entry, by the peer's own clock.
func (e *entry) waited() time.Duration { return max(e.at.Sub(e.askedAt), 0) }

// kind is a kind of message of a lock.
type kind struct {
	name         string
	count        int
	upkeep       int
	from, to     algo.PeerName // of the first
	reason       string
	sent, handed trace.Pos // where the first is sent, and received
	id           trace.MessageID
}

// wish is a request that is open.
type wish struct {
	seq   int
	at    time.Time
	pos   trace.Pos
	stamp string
}

// scanRun reads a run.
func scanRun(m *trace.Merger) *scan {
	s := &scan{peers: m.Peers(), locks: map[string]*scannedLock{}, files: map[string]*extent{}}
	for e := range m.Events() {
		s.event(e)
	}
	for _, l := range s.locks {
		slices.SortStableFunc(l.entries, func(a, b *entry) int { return cmp.Compare(a.token, b.token) })
		for i, e := range l.entries {
			e.number = i + 1
		}
	}
	return s
}

func (s *scan) event(e *trace.Merged) {
	s.seq++
	if s.begin.IsZero() || e.At.Before(s.begin) {
		s.begin = e.At
	}
	name := file(e.Pos.File)
	if s.files[name] == nil {
		s.files[name] = &extent{torn: map[int]bool{}}
	}
	s.files[name].see(e.Pos.Line)
	switch e.Kind {
	case trace.Start, trace.Crash:
		for _, l := range s.locks {
			delete(l.wishes, e.Who)
			l.end(s.seq, e)
		}
	case trace.Request:
		stamp := algo.Stamp{Time: e.Clock, Peer: e.Peer, Incarnation: e.Incarnation}
		s.lock(e.Lock).wishes[e.Who] = wish{s.seq, e.At, e.Pos, stamp.String()}
	case trace.Cancel:
		delete(s.lock(e.Lock).wishes, e.Who)
	case trace.Enter:
		s.lock(e.Lock).enter(s.seq, e)
	case trace.Exit, trace.Lost:
		s.lock(e.Lock).end(s.seq, e)
	case trace.LinkUp:
		if len(s.contacts) < contactsMax {
			s.contacts = append(s.contacts, e.Pos)
		}
	case trace.Send, trace.Receive:
		if e.Lock != "" {
			s.lock(e.Lock).message(e)
		}
	}
}

// enter begins a hold with an event. If the peer's last one has no end in the
// record, that was before this.
func (l *scannedLock) enter(seq int, e *trace.Merged) {
	l.end(seq, e)
	from := l.wishes[e.Who]
	delete(l.wishes, e.Who)
	x := &entry{peer: e.Peer, token: e.Token, stamp: from.stamp, asked: from.seq, askedAt: from.at, askedPos: from.pos, entered: seq, at: e.At, pos: e.Pos}
	if from.seq == 0 {
		x.askedAt = e.At
	}
	for _, w := range l.wishes {
		if x.oldest == 0 || w.seq < x.oldest {
			x.oldest = w.seq
		}
	}
	l.entries = append(l.entries, x)
	l.inside[e.Who] = x
}

// end ends the hold of a peer with an event, if it has one.
func (l *scannedLock) end(seq int, e *trace.Merged) {
	if x := l.inside[e.Who]; x != nil {
		x.ended, x.endedAt, x.how, x.endPos = seq, e.At, e.Kind, e.Pos
		delete(l.inside, e.Who)
	}
}

func (s *scan) lock(name string) *scannedLock {
	l := s.locks[name]
	if l == nil {
		l = &scannedLock{name: name, wishes: map[int]wish{}, inside: map[int]*entry{}}
		s.locks[name] = l
	}
	return l
}

const contactsMax = 10

// kindsMax bounds how many kinds of messages a report lists. No algorithm has so
// many.
const kindsMax = 50

// message counts a message, and remembers the first of its kind.
func (l *scannedLock) message(e *trace.Merged) {
	m := e.Message
	i := slices.IndexFunc(l.kinds, func(k *kind) bool { return k.name == m.Kind })
	if e.Kind == trace.Receive {
		if i >= 0 && l.kinds[i].id == m.ID {
			l.kinds[i].handed = e.Pos
		}
		return
	}
	if i < 0 {
		if i = len(l.kinds); i == kindsMax {
			return
		}
		l.kinds = append(l.kinds, &kind{name: m.Kind, from: m.From, to: m.To, reason: e.Reason, sent: e.Pos, id: m.ID})
	}
	l.kinds[i].count++
	if m.Upkeep {
		l.kinds[i].upkeep++
	}
}

// between returns the entries whose holds stood between the request of an entry
// and the entry, by number: those it had to wait for.
func (l *scannedLock) between(e *entry) []*entry {
	var list []*entry
	for i := e.number - 2; i >= 0; i-- {
		x := l.entries[i]
		if x.ended > 0 && x.ended < e.asked {
			break
		}
		list = append(list, x)
	}
	slices.Reverse(list)
	return list
}

// busiest returns the entry that had to wait for the most others, where no death
// came in between, and of those the one that waited longest; nil if nobody had to
// wait.
func (l *scannedLock) busiest() *entry {
	var best *entry
	most := 0
	for _, e := range l.entries {
		n := len(l.between(e))
		if l.telling(e) && (n > most || n == most && e.waited() > best.waited()) {
			best, most = e, n
		}
	}
	return best
}

// after returns the entry that came next after a token; nil if none did.
func (l *scannedLock) after(token algo.Token) *entry {
	for _, e := range l.entries {
		if e.token > token {
			return e
		}
	}
	return nil
}
