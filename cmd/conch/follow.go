package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
)

const (
	// followEvery is how often the traces are looked at. Reading them may not
	// take more than a quarter of the time.
	followEvery = 200 * time.Millisecond

	// followKept is how much of the traces is kept in mind, in bytes.
	followKept = 8 << 20
)

// follow tells the entries of a run that goes on, until the context ends.
type follow struct {
	lock   string
	asJSON bool
	kept   int64 // for tests; followKept

	out, problems io.Writer
	tail          *trace.Tail
	follower      *story.Follower
	suspected     map[string]bool // problems of the last reading; true: said
}

// run looks at the traces again and again.
func (f *follow) run(ctx context.Context, dir string, from int) error {
	f.tail, f.follower = trace.NewTail(dir, f.kept), story.NewFollower(from)
	if !f.asJSON {
		fmt.Fprintln(f.out, legend)
	}
	more := true // there is something to be read, even if nothing changes
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now()
		changed, err := f.tail.Look()
		if err != nil {
			return err
		}
		if changed || more {
			if more, err = f.read(); err != nil {
				return err
			}
		}
		timer.Reset(max(followEvery, 3*time.Since(began)))
	}
}

// read reads the traces and tells what can be told; more says that there will
// be more to tell with the next reading.
func (f *follow) read() (more bool, err error) {
	var locks []*story.Stories
	var problems []*trace.Problem
	whole, err := f.tail.Read(func(m *trace.Merger) {
		locks = story.CollectAll(m.Events(), f.lock)
		problems = m.Problems()
	})
	if err != nil || !whole {
		return true, err
	}
	again := f.report(problems)
	stories, more := f.follower.Record(locks, f.tail.Passed())
	for _, s := range stories {
		if err := f.print(s); err != nil {
			return false, err
		}
	}
	return more || again, nil
}

// report says which lines cannot be trusted, once, if the next reading finds
// them so as well: the first may have come while they were written.
func (f *follow) report(problems []*trace.Problem) (again bool) {
	suspected := map[string]bool{}
	for _, p := range problems {
		if !p.Disorder {
			continue
		}
		said, known := f.suspected[p.Error()]
		if known && !said {
			fmt.Fprintf(f.problems, "conch: %v; what follows in that file is not read\n", p)
			said = true
		}
		suspected[p.Error()] = said
		again = again || !said
	}
	f.suspected = suspected
	return again
}

func (f *follow) print(s *story.Story) error {
	if f.asJSON {
		return json.NewEncoder(f.out).Encode(asJSONStory(s))
	}
	return printStory(f.out, s, "")
}
