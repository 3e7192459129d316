package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/report/document"
	"github.com/conchlock/conch/internal/trace"
)

// citedAround is how many lines before and after one that is referred to are in
// the appendix, if the log is too long to be there as a whole.
const citedAround = 3

// appendix has the logs of all peers, at most so many lines of each beside those
// that the report refers to. It comes last: by then all references are known.
func (r *run) appendix(most int) ([]document.Block, error) {
	blocks := []document.Block{document.Heading{Level: 1, ID: r.id("logs"), Text: say(fmt.Sprintf("Appendix: the logs of run %d", r.number))}}
	blocks = append(blocks, document.Paragraph{Text: say("What each peer recorded, line by line: the number of the line in ", mono("NAME"+trace.Suffix), " of the run's folder ", mono(r.name),
		", the peer's wall clock (UTC), its Lamport time, and what happened. Entries, exits and deaths stand out. References such as ", mono("a:17"), " mean line 17 of the log of peer a.")})
	readers, _, err := trace.Dir(r.dir, false)
	if err != nil {
		return nil, err
	}
	many := len(r.locks) > 1
	for i, reader := range readers {
		of, err := r.logOf(reader, most, many)
		if err != nil {
			closeAll(readers[i:])
			return nil, err
		}
		blocks = append(blocks, of...)
	}
	shared, err := r.section(most)
	return append(blocks, shared...), err
}

func closeAll(readers []*trace.Reader) {
	for _, r := range readers {
		r.Close()
	}
}

// logOf has the log of one peer. Notes in it have no number.
func (r *run) logOf(reader *trace.Reader, most int, locks bool) ([]document.Block, error) {
	defer reader.Close()
	var logs []document.Block
	var log document.Log
	open, total, left := "", 0, 0
	note := func(text string) { log.Lines = append(log.Lines, document.LogLine{Text: text, Strong: true}) }
	skipped := func() {
		if left > 0 {
			note(fmt.Sprintf("%s left out here; %s in the run's folder has them", count(left, "line"), open))
			left = 0
		}
	}
	for {
		var l trace.Line
		err := reader.Next(&l)
		var problem *trace.Problem
		switch {
		case errors.As(err, &problem):
			skipped()
			note("the record ends here, or cannot be read on: " + problem.Reason)
			fallthrough
		case err == io.EOF:
			skipped()
			return append([]document.Block{document.Heading{Level: 2, Text: say("Peer ", mono(string(reader.Peer())))}}, append(logs, log)...), nil
		case err != nil:
			return nil, err
		}
		if base := filepath.Base(l.Pos.File); base != open {
			skipped()
			if open != "" {
				logs = append(logs, log)
			}
			open, log = base, document.Log{ID: r.logID(file(l.Pos.File))}
		}
		if total++; total > most && !r.near(file(l.Pos.File), l.Pos.Line) {
			left++
			continue
		}
		skipped()
		if l.Gap != "" {
			note("something is missing here: " + l.Gap)
		}
		log.Lines = append(log.Lines, document.LogLine{Number: l.Pos.Line, Text: logText(&l.Event, locks), Strong: stands(l.Kind)})
	}
}

// near says that a line is referred to, or close to one that is.
func (r *run) near(name string, line int) bool {
	for i := line - citedAround; i <= line+citedAround; i++ {
		if r.cited[name][i] {
			return true
		}
	}
	return false
}

// stands says which events stand out.
func stands(k trace.Kind) bool {
	switch k {
	case trace.Enter, trace.Exit, trace.Lost, trace.Crash:
		return true
	}
	return false
}

// logText writes an event as a line.
func logText(e *trace.Event, locks bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %5d  %s", e.At.UTC().Format("15:04:05.000000"), e.Clock, trace.Phrase(e))
	if e.Lock != "" && locks {
		fmt.Fprintf(&b, " [lock %q]", e.Lock)
	}
	switch e.Kind {
	case trace.Start:
		fmt.Fprintf(&b, " incarnation %d", e.Incarnation)
		if e.Algorithm != "" {
			b.WriteString(" of " + e.Algorithm)
		}
	case trace.Enter, trace.Extend, trace.Exit, trace.Lost:
		fmt.Fprintf(&b, " token=%d", e.Token)
	}
	if e.Lease > 0 {
		fmt.Fprintf(&b, " lease=%v", e.Lease)
	}
	if m := e.Message; m != nil {
		b.WriteString(" " + m.ID.String())
		for _, f := range m.Fields {
			fmt.Fprintf(&b, " %s=%s", f.Key, f.Value)
		}
		if m.Upkeep {
			b.WriteString(" (upkeep)")
		}
	}
	if e.Reason != "" && e.Kind != trace.Note {
		b.WriteString(": " + e.Reason)
	}
	return b.String()
}

// section is the file that all peers write to when they are inside; nil if the
// run has none.
func (r *run) section(most int) ([]document.Block, error) {
	f, err := trace.OpenFile(filepath.Join(r.dir, check.SectionFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log := document.Log{ID: r.id("section")}
	blocks := []document.Block{
		document.Heading{Level: 2, Text: say("The shared file, ", mono(check.SectionFile))},
		document.Paragraph{Text: say("Every peer appends a line when it has entered and another before it leaves, with its token.")},
	}
	lines := bufio.NewScanner(f)
	n := 0
	for lines.Scan() {
		if n++; n <= most {
			log.Lines = append(log.Lines, document.LogLine{Number: n, Text: lines.Text()})
		}
	}
	blocks = append(blocks, log)
	switch {
	case lines.Err() != nil:
		blocks = append(blocks, document.Paragraph{Kind: document.Key, Text: say("It cannot be read on: ", lines.Err().Error())})
	case n > most:
		blocks = append(blocks, document.Paragraph{Kind: document.Remark, Text: say(count(n-most, "more line"), " are in the run's folder.")})
	}
	return blocks, nil
}
