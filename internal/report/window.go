package report

import (
	"cmp"
	"iter"
	"slices"

	"github.com/conchlock/conch/internal/report/spacetime"
	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
)

// window is a part of a run, by numbers of events: a run may be too long to be
// kept in mind, and what led to an entry is close to it.
type window struct{ from, to int }

// windowMax bounds how many events are kept in mind at a time.
const windowMax = 100_000

// around is the window in which everything is that led to some entries of a
// lock: from the oldest request or hold that mattered, or the hold before that, to
// the end of the last hold.
func around(l *scannedLock, entries ...*entry) window {
	w := window{from: entries[0].entered, to: entries[0].entered}
	include := func(e *entry) {
		for _, at := range []int{e.asked, e.entered, e.ended, e.oldest} {
			if at > 0 {
				w.from, w.to = min(w.from, at), max(w.to, at)
			}
		}
	}
	for _, e := range entries {
		include(e)
		if e.asked == 0 {
			continue
		}
		holds := l.between(e)
		for _, x := range holds {
			include(x)
		}
		if last := e.number - 2 - len(holds); last >= 0 { // that it was over matters, too
			include(l.entries[last])
		}
	}
	return w
}

// events gives the events in the window and, before them, the last one of each
// peer: so nothing that a peer was doing is taken for its beginning.
func (w window) events(m *trace.Merger) iter.Seq[*trace.Merged] {
	return func(yield func(*trace.Merged) bool) {
		seq, before := 0, make(map[int]*numbered)
		for e := range m.Events() {
			seq++
			if seq < w.from {
				before[e.Who] = keep(seq, e, before[e.Who])
				continue
			}
			if seq > w.to || seq == w.from && !giveAll(before, yield) || !yield(e) {
				return
			}
		}
	}
}

// numbered is an event that is kept, and its number.
type numbered struct {
	trace.Merged
	line trace.Line
	seq  int
}

// keep copies an event, into room that is there already if there is.
func keep(seq int, e *trace.Merged, n *numbered) *numbered {
	if n == nil {
		n = new(numbered)
	}
	n.line = trace.Line{Event: e.Clone(), Pos: e.Pos, Gap: e.Gap}
	n.Merged = trace.Merged{Line: &n.line, Who: e.Who, Index: e.Index, Past: e.Past.Clone(), Again: e.Again}
	n.seq = seq
	return n
}

func giveAll(before map[int]*numbered, yield func(*trace.Merged) bool) bool {
	var list []*numbered
	for _, n := range before {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *numbered) int { return cmp.Compare(a.seq, b.seq) })
	for _, n := range list {
		if !yield(&n.Merged) {
			return false
		}
	}
	return true
}

// told is an entry as people read it.
type told struct {
	*entry
	story *story.Story
	path  *story.Path
}

// tell tells some entries of a lock. Those that cannot be told are left out:
// the record lacks what they came from, or there is too much of it.
func (r *run) tell(l *scannedLock, entries ...*entry) ([]told, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	w := around(l, entries...)
	if w.to-w.from > windowMax {
		if half := len(entries) / 2; half > 0 {
			return r.tellBoth(l, entries[:half], entries[half:])
		}
		return nil, nil
	}
	m, err := r.merger()
	if err != nil {
		return nil, err
	}
	all := story.CollectAll(w.events(m), l.name)
	i := slices.IndexFunc(all, func(s *story.Stories) bool { return s.Lock() == l.name })
	if i < 0 {
		return nil, nil
	}
	var list []told
	for _, e := range entries {
		k := all[i].Find(e.token)
		if k == 0 {
			continue
		}
		s, err := all[i].TellAs(k, e.number)
		if err != nil {
			return nil, err
		}
		path, err := all[i].Path(k)
		if err != nil {
			return nil, err
		}
		path.Entry = e.number
		list = append(list, told{e, s, path})
	}
	return list, nil
}

func (r *run) tellBoth(l *scannedLock, some, others []*entry) ([]told, error) {
	first, err := r.tell(l, some...)
	if err != nil {
		return nil, err
	}
	second, err := r.tell(l, others...)
	return append(first, second...), err
}

// picture is the size of a picture of so many peers, in points. One that is
// wider than the page is made smaller to fit, so it must not be much wider, or
// nobody can read in print what is written in it; many peers stand close together.
func picture(peers int) (width, height float64) {
	width = min(max(490, 75*float64(peers)), 700)
	return width, 1.4 * width
}

// draw draws a part of the run.
func (r *run) draw(o spacetime.Options) (*spacetime.Timeline, error) {
	m, err := r.merger()
	if err != nil {
		return nil, err
	}
	o.Begin = r.begin
	return spacetime.Collect(m, o)
}
