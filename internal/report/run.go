package report

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/trace"
)

// run is one of the runs that a report is about.
type run struct {
	*scan
	dir     string
	number  int    // among the runs of the report, from 1
	name    string // of its folder
	verdict *check.Report
	lock    *scannedLock // the one that is shown; nil if nobody wanted any
	shown   *entry       // the entry that is told in full; nil if there is none
	cited   map[string]map[int]bool
}

// readRun judges a run and reads it through. Lock names the lock to show; empty:
// the one with the most entries.
func readRun(dir string, number int, lock string) (*run, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	r := &run{dir: dir, number: number, name: filepath.Base(abs), cited: map[string]map[int]bool{}}
	if r.verdict, err = check.Dir(dir); err != nil {
		return nil, err
	}
	m, err := r.merger()
	if err != nil {
		return nil, err
	}
	r.scan = scanRun(m)
	switch all := r.byEntries(); {
	case lock != "":
		if r.lock = r.locks[lock]; r.lock == nil {
			return nil, fmt.Errorf("%s: the traces know of no lock %q%s", dir, lock, r.others())
		}
	case len(all) > 0:
		r.lock = all[0]
	}
	if r.lock != nil {
		r.shown = r.lock.example()
	}
	return r, nil
}

// byEntries returns the locks, those with the most entries first.
func (s *scan) byEntries() []*scannedLock {
	return slices.SortedFunc(maps.Values(s.locks), func(a, b *scannedLock) int {
		return cmp.Or(cmp.Compare(len(b.entries), len(a.entries)), cmp.Compare(a.name, b.name))
	})
}

// others names some of the locks there are, for an error.
func (r *run) others() string {
	const most = 5
	text := ""
	for i, l := range r.byEntries() {
		switch {
		case i == most:
			return text + fmt.Sprintf(" and %d more", len(r.locks)-most)
		case i == 0:
			text = "; there are "
		default:
			text += ", "
		}
		text += fmt.Sprintf("%q", l.name)
	}
	return text
}

// merger reads the run once more.
func (r *run) merger() (*trace.Merger, error) {
	readers, _, err := trace.Dir(r.dir, true) // its problems are in the verdict
	if err != nil {
		return nil, err
	}
	return trace.Merge(readers...), nil
}

// figures are what the verdict says of the lock that is shown; nil if it has
// too many locks to list this one, or if there is none.
func (r *run) figures() *check.Lock {
	if r.lock == nil {
		return nil
	}
	i := slices.IndexFunc(r.verdict.Locks, func(l check.Lock) bool { return l.Name == r.lock.name })
	if i < 0 {
		return nil
	}
	return &r.verdict.Locks[i]
}

// algorithm is the name of what the peers ran; empty if that is not in the
// record, or if they ran different ones.
func (r *run) algorithm() string {
	if len(r.verdict.Runs) != 1 {
		return ""
	}
	return r.verdict.Runs[0]
}
