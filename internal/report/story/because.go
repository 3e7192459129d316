package story

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// holds finds the holds that stood between request and entry, and tells them
// (4): those with a smaller token that had not ended before the request, as far
// as that is ordered, else by the clocks.
func (t *tale) holds() {
	for i := t.k - 2; i >= 0; i-- {
		enter := t.entries[i]
		end := t.ends[enter]
		if end == nil && i < t.k-2 || enter.who == t.enter.who {
			continue // who entered next knew that it was over
		}
		if end != nil && (t.request.after(end) || !end.after(t.request) && !end.At.After(t.request.At)) {
			if t.request.after(enter) {
				break // the ones before were over before this one began
			}
			continue
		}
		t.between = append([]*node{enter}, t.between...)
		t.tell(enter)
		t.tell(end)
	}
}

// most is how many peers a sentence names.
const most = 4

// because says why this peer entered at this place. Every clause follows from
// what happened before what; nothing is assumed of the algorithm.
func (t *tale) because() string {
	var inside, then []*node
	for _, enter := range t.between {
		if t.request.after(enter) || !enter.after(t.request) && !enter.At.After(t.request.At) {
			inside = append(inside, enter)
		} else {
			then = append(then, enter)
		}
	}
	var why []string
	for _, enter := range inside {
		why = append(why, fmt.Sprintf("%s was inside when it asked (token %d), %s", enter.Peer, enter.Token, t.until(enter)))
	}
	first := "then %s entered"
	switch {
	case len(inside) > 0:
	case len(then) > 0:
		first = t.nobodyInside() + ", but %s entered before it"
	default:
		why = append(why, t.nobodyInside()+", and nobody entered in between")
	}
	for i, enter := range then {
		if i == most-1 && len(then) > most {
			why = append(why, t.manyBetween(then[i:]))
			break
		}
		why = append(why, fmt.Sprintf(first+" (token %d), %s, %s", enter.Peer, enter.Token, t.until(enter), t.ranking(enter)))
		first = "then %s entered"
	}
	known := ""
	if t.request.past.Blind {
		known = ", as far as the record shows," // it lacks what was before
	}
	text := fmt.Sprintf("%s entered %s because%s %s.", t.enter.Peer, ordinal(t.place), known, strings.Join(why, "; "))
	return text + t.itTook() + t.wentAhead()
}

// nobodyInside says so of the moment of the request, and how the last hold
// before it ended, if that was by a death.
func (t *tale) nobodyInside() string {
	i := t.k - 2 - len(t.between)
	if i < 0 {
		return "nobody was inside when it asked"
	}
	text := "who had entered before was not inside any more when it asked"
	enter := t.entries[i]
	if how := t.endOf(enter); how == trace.Crash || how == trace.Start {
		before := max(0, t.request.At.Sub(death(t.ends[enter]).At))
		text += fmt.Sprintf(" (%s had been killed inside, with token %d, %s before)", enter.Peer, enter.Token, length(before))
	}
	return text
}

// until says how a hold ended.
func (t *tale) until(enter *node) string {
	end := t.ends[enter]
	if end == nil {
		return "and the record does not say how that ended"
	}
	at := fmt.Sprintf("%+.2f ms", death(end).At.Sub(t.request.At).Seconds()*1000)
	switch end.Kind {
	case trace.Lost:
		if end.At.After(t.enter.At) {
			return "and had lost the lock when it noticed that, at " + at
		}
		return "until it lost the lock at " + at
	case trace.Exit:
		return "until " + at
	case trace.Crash:
		return "until it was killed at " + at
	}
	return "until it was killed, after " + at
}

// ranking compares the request that led to another entry with this one.
func (t *tale) ranking(enter *node) string {
	asked := t.before(enter, trace.Request)
	if asked == nil {
		return "by a request that is not in the record"
	}
	mine, its := t.request.stamp(), asked.stamp()
	if its.Compare(mine) < 0 {
		return fmt.Sprintf("by an older request (%s before %s)", its, mine)
	}
	if enter.after(t.request) {
		return fmt.Sprintf("by a younger request (%s after %s)", its, mine)
	}
	return fmt.Sprintf("by a younger request (%s after %s), and did not know of this one", its, mine)
}

// manyBetween counts the rest of those that entered in between.
func (t *tale) manyBetween(rest []*node) string {
	older := 0
	for _, enter := range rest {
		if asked := t.before(enter, trace.Request); asked != nil && asked.stamp().Compare(t.request.stamp()) < 0 {
			older++
		}
	}
	last := rest[len(rest)-1]
	return fmt.Sprintf("then others entered %d times, %d of them by an older request, the last one %s (token %d), %s",
		len(rest), older, last.Peer, last.Token, t.until(last))
}

// itTook says what led to the entry since the last hold, death or wait for a
// clock on the way.
func (t *tale) itTook() string {
	if len(t.parts) == 0 {
		return " It had all it needed" + reason(t.enter) + "."
	}
	from := 0
	for i := range t.parts {
		if t.parts[i].Kind == Inside {
			from = i
		}
	}
	after := "It took "
	if p := t.parts[from]; p.Kind == Inside {
		after = fmt.Sprintf("After %s %s it took ", p.Peer, ended(&p))
		from++
	}
	var took []string
	for _, p := range t.parts[from:] {
		switch p.Kind {
		case Message:
			took = append(took, p.Text)
		case Down:
			took = append(took, fmt.Sprintf("%s until %s ran (%s)", length(p.Took), p.Peer, p.Why))
		case Clock:
			took = append(took, fmt.Sprintf("%s until %s's clock let it act", length(p.Took), p.Peer))
		case Contact:
			took = append(took, fmt.Sprintf("%s until %s and %s were connected", length(p.Took), p.Peer, p.Other))
		case Local:
			if p.Why != "" {
				took = append(took, fmt.Sprintf("%s until %s was stopped", length(p.Took), p.Peer))
			}
		case Wish:
			took = append(took, wished(&p))
		}
	}
	if len(took) == 0 {
		return ""
	}
	if n := len(took) - most; n > 1 {
		took = append(took[:most/2:most/2], append([]string{fmt.Sprintf("%d more steps", n)}, took[len(took)-most/2:]...)...)
	}
	return " " + after + names(took) + "."
}

// ended says how the hold of a part ended, once it has. Others may have
// entered since, so the sentence names whose it was.
func ended(p *Part) string {
	switch p.Why {
	case "":
		return "had left"
	case whyLost:
		return "had lost the lock"
	}
	return "had been killed"
}

func wished(p *Part) string {
	if p.Why != "" {
		return fmt.Sprintf("%s until %s gave up", length(p.Took), p.Peer)
	}
	return fmt.Sprintf("%s until %s asked, too", length(p.Took), p.Peer)
}

// wentAhead names the peers whose older requests were open, and stayed so.
func (t *tale) wentAhead() string {
	var ahead []string
	unknown := true
	for _, name := range t.names() {
		p := t.peers[name]
		if p.last.who == t.enter.who {
			continue
		}
		for n := p.last; n != nil; n = n.prev {
			if n.Kind == trace.Request && t.mine(n) && n.At.Before(t.enter.At) && !n.after(t.enter) {
				if n.stamp().Compare(t.request.stamp()) < 0 && t.open(n) {
					ahead = append(ahead, fmt.Sprintf("%s (%s before %s)", name, n.stamp(), t.request.stamp()))
					unknown = unknown && !t.enter.after(n)
				}
				break
			}
		}
	}
	switch {
	case len(ahead) == 0:
		return ""
	case len(ahead) > most:
		ahead = append(ahead[:most], fmt.Sprintf("%d more", len(ahead)-most))
	}
	text := " It went ahead of older requests that were open: " + names(ahead)
	if unknown {
		text += "; it did not know of them"
	}
	return text + "."
}

// names lists the peers, sorted.
func (t *tale) names() []algo.PeerName {
	return slices.Sorted(maps.Keys(t.peers))
}

// open says that a request was neither granted nor given up nor forgotten when
// the entry happened.
func (t *tale) open(asked *node) bool {
	for n := t.peers[asked.Peer].last; n != asked; n = n.prev {
		switch {
		case n.Kind == trace.Start, n.Kind == trace.Crash, n.Kind == trace.Cancel && t.mine(n):
			if t.enter.after(n) || n.At.Before(t.enter.At) {
				return false
			}
		case n.Kind == trace.Enter && t.mine(n):
			if n.Token < t.enter.Token {
				return false
			}
		}
	}
	return true
}

func reason(n *node) string {
	if n.Reason == "" {
		return ""
	}
	return ": " + plain(n.Reason)
}

// length writes a duration as people read it.
func length(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return milliseconds(d)
}

// ordinal says at which place: first, second, or the 12th.
func ordinal(k int) string {
	words := [...]string{"first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"}
	if k <= len(words) {
		return words[k-1]
	}
	ending := "th"
	if k/10%10 != 1 {
		switch k % 10 {
		case 1:
			ending = "st"
		case 2:
			ending = "nd"
		case 3:
			ending = "rd"
		}
	}
	return fmt.Sprintf("as the %d%s", k, ending)
}
