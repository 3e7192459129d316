package story

import (
	"github.com/conchlock/conch/algo"
)

// Follower tells the entries of a run that goes on, each once, in the order of
// tokens. It is given the record again and again: what has been added since,
// and perhaps without its beginning.
//
// An entry can be told when all that happened before it is in the record. As
// nobody can hear of an event that is not on disk, that is so for every entry
// that the record before had already, and for the ones that came before it.
type Follower struct {
	from  int // the first entry to tell; 0: the last that there is at first
	began bool
	locks map[string]*followed
}

// followed is what a Follower remembers of a lock.
type followed struct {
	from      int
	entries   map[algo.Token]bool // of those in the record, whether it is told or passed over
	forgotten int                 // how many of those are in the record no more
}

// NewFollower returns a Follower that begins with an entry, in the order of
// tokens from 1. If that is 0, it begins with the last one that there is.
func NewFollower(from int) *Follower {
	return &Follower{from: from, locks: map[string]*followed{}}
}

// Record takes the record as it is now, and returns the stories that can be
// told now. Passed says how many entries of each lock there were before the
// first record began; they count. More says that others can be told from the
// next one, even if nothing is added.
func (f *Follower) Record(locks []*Stories, passed map[string]int) (stories []*Story, more bool) {
	for _, s := range locks {
		l := f.locks[s.lock]
		if l == nil {
			l = &followed{from: f.from, entries: map[algo.Token]bool{}, forgotten: passed[s.lock]}
			if f.from == 0 && !f.began {
				l.from = l.forgotten + len(s.entries)
			}
			f.locks[s.lock] = l
		}
		l.forget(s)
		ready := 0 // the entries that can be told, and those before them
		for i, enter := range s.entries {
			if _, seen := l.entries[enter.Token]; seen {
				ready = i + 1
			} else {
				l.entries[enter.Token] = false
			}
		}
		for i, enter := range s.entries[:ready] {
			place := l.forgotten + i + 1
			if l.entries[enter.Token] {
				continue
			}
			l.entries[enter.Token] = true
			if place < l.from {
				continue
			}
			if story, err := s.TellAs(i+1, place); err == nil {
				stories = append(stories, story)
			}
		}
		more = more || ready < len(s.entries)
	}
	f.began = true
	return stories, more
}

// forget drops the entries that are in the record no more.
func (l *followed) forget(s *Stories) {
	there := make(map[algo.Token]bool, len(s.entries))
	for _, enter := range s.entries {
		there[enter.Token] = true
	}
	for token := range l.entries {
		if !there[token] {
			delete(l.entries, token)
			l.forgotten++
		}
	}
}
