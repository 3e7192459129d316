package story

import (
	"fmt"
	"slices"
	"time"
)

// finish puts the parts into order and words, and leaves out a peer's own work
// where it took no time.
func (w *way) finish() []Part {
	slices.Reverse(w.parts)
	parts := slices.DeleteFunc(w.parts, func(p Part) bool { return p.Kind == Local && p.Took == 0 })
	largest := -1
	for i := range parts {
		parts[i].Text = parts[i].words()
		if largest < 0 || parts[i].Took > parts[largest].Took {
			largest = i
		}
	}
	if largest >= 0 {
		parts[largest].Largest = true
	}
	return parts
}

// words says what a part is.
func (p *Part) words() string {
	switch p.Kind {
	case Message:
		return fmt.Sprintf("%s from %s to %s", plain(p.Message), p.Peer, p.Other)
	case Inside:
		text := fmt.Sprintf("%s was inside, with token %d", p.Peer, p.Token)
		if p.Why != "" {
			text += ", " + p.Why
		}
		return text
	case Wish:
		if p.Why != "" {
			return fmt.Sprintf("%s wanted it, too, %s", p.Peer, p.Why)
		}
		return fmt.Sprintf("until %s asked, too", p.Peer)
	case Clock:
		text := fmt.Sprintf("%s waited for its clock", p.Peer)
		if p.Why != "" {
			text += ", " + p.Why
		}
		return text
	case Down:
		return fmt.Sprintf("%s was not running: %s", p.Peer, p.Why)
	case Contact:
		if p.Why != "" {
			return fmt.Sprintf("%s was gone, %s", p.Other, p.Why)
		}
		return fmt.Sprintf("%s and %s were not connected", p.Peer, p.Other)
	case Local:
		if p.Why != "" {
			return fmt.Sprintf("%s itself, %s", p.Peer, p.Why)
		}
		return fmt.Sprintf("%s at work", p.Peer)
	}
	return "the record does not say what for"
}

// shortPart is the part of the waiting, as 1 in so many, below which parts are
// told together; holds never are.
const shortPart = 100

// table writes the parts, those that are short in one line.
func (s *Story) table() []string {
	if len(s.Parts) == 0 || s.Waited == 0 {
		return nil
	}
	short, shorts, skewed := 0, time.Duration(0), false
	isShort := func(p *Part) bool { return p.Took*shortPart < s.Waited && p.Kind != Inside }
	for i := range s.Parts {
		skewed = skewed || s.Parts[i].Skewed
		if isShort(&s.Parts[i]) {
			short++
			shorts += s.Parts[i].Took
		}
	}
	lines := []string{fmt.Sprintf("It waited %s:", milliseconds(s.Waited))}
	for i := range s.Parts {
		p := &s.Parts[i]
		if short > 1 && isShort(p) {
			continue
		}
		line := fmt.Sprintf("  %9s  %s", milliseconds(p.Took), p.Text)
		if p.Largest && len(s.Parts) > 1 {
			line += "  <- the longest"
		}
		lines = append(lines, line)
	}
	if short > 1 {
		lines = append(lines, fmt.Sprintf("  %9s  in %d short parts", milliseconds(shorts), short))
	}
	if skewed {
		lines = append(lines, "  The peers' clocks disagree; parts that would be negative are cut.")
	}
	return lines
}

// Lines writes the story as text: which entry it is, why it came at this
// place, a line for each row, with the Lamport time and the milliseconds since
// the request, and what the entry waited for.
func (s *Story) Lines() []string {
	title := fmt.Sprintf("Entry %d of lock %q: %s, with token %d", s.Entry, s.Lock, s.Peer, s.Token)
	switch {
	case s.Request == "":
		return []string{title + ". " + s.Because}
	case s.ClockBack:
		title += ", after it asked (its clock was set back in between)."
	default:
		title += fmt.Sprintf(", %s after it asked.", milliseconds(s.Waited))
	}
	lines := []string{title, s.Because}
	width := 0
	for _, r := range s.Rows {
		width = max(width, len(fmt.Sprint(r.Clock)))
	}
	for _, r := range s.Rows {
		lines = append(lines, fmt.Sprintf("  %*d  %+8.2f ms  %s", width, r.Clock, r.Since.Seconds()*1000, r.Text()))
	}
	return append(lines, s.table()...)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
