package export

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Perfetto writes all events in the Trace Event Format of Chrome, which
// ui.perfetto.dev opens: a process for each peer. In it one track has the steps
// that the peer took, with arrows for the messages, and one for each lock has
// when the peer waited for it and when it held it. Instants are what went wrong,
// and notes. Times are microseconds since begin, each by the clock on the wall of
// its peer: where these disagree, an arrow may point back.
//
// Nothing is kept but each peer's last step and what is open.
func Perfetto(w io.Writer, m *trace.Merger, begin time.Time) error {
	p := &perfetto{out: bufio.NewWriter(w), begin: begin, column: map[algo.PeerName]int{}}
	p.out.WriteString("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")
	for i, name := range m.Peers() {
		p.column[name] = i
		p.peers = append(p.peers, &actor{pid: i + 1, locks: map[string]*holding{}})
		p.write(event{Name: "process_name", Phase: "M", PID: i + 1, Args: map[string]any{"name": "peer " + string(name)}})
		p.write(event{Name: "process_sort_index", Phase: "M", PID: i + 1, Args: map[string]any{"sort_index": i}})
		p.write(event{Name: "thread_name", Phase: "M", PID: i + 1, TID: stepTrack, Args: map[string]any{"name": "steps"}})
	}
	for e := range m.Events() {
		p.add(e)
		if p.err != nil {
			return p.err
		}
	}
	for _, a := range p.peers {
		p.endStep(a, time.Time{})
		p.endAll(a, a.last, "when the record ended")
	}
	if p.err != nil {
		return p.err
	}
	p.out.WriteString("\n]}\n")
	return p.out.Flush()
}

// stepTrack is the track of steps; locks have those after it.
const stepTrack = 1

// stepLong is how long a step is drawn, if the next does not come before: it
// takes no time, but arrows need something to be tied to.
const stepLong = 20 * time.Microsecond

// event is one of the format's.
type event struct {
	Name     string         `json:"name,omitempty"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"`
	Time     float64        `json:"ts"`
	Duration *float64       `json:"dur,omitempty"`
	PID      int            `json:"pid"`
	TID      int            `json:"tid"`
	ID       uint64         `json:"id,omitempty"` // of an arrow
	Bind     string         `json:"bp,omitempty"`
	Scope    string         `json:"s,omitempty"`
	Args     map[string]any `json:"args,omitempty"`
}

type perfetto struct {
	out    *bufio.Writer
	begin  time.Time
	peers  []*actor
	column map[algo.PeerName]int
	arrows uint64
	some   bool // events were written
	err    error
}

// actor is a peer, with what has not ended yet.
type actor struct {
	pid   int
	step  *step
	last  time.Time // of its last event
	locks map[string]*holding
}

// step is what a peer did at one time of its clock.
type step struct {
	to    time.Time // of its last event
	clock uint64
	inc   uint64
	did   []string
	why   []string
}

// holding is a peer's part in one lock.
type holding struct {
	tid            int
	waits, holds   bool
	since, entered time.Time
	token          uint64
}

func (p *perfetto) micros(at time.Time) float64 { return float64(at.Sub(p.begin)) / 1e3 }

func (p *perfetto) write(e event) {
	if p.err != nil {
		return
	}
	text, err := json.Marshal(e)
	if err != nil {
		p.err = err
		return
	}
	if p.some {
		p.out.WriteByte(',')
	}
	p.some = true
	p.out.WriteByte('\n')
	_, p.err = p.out.Write(text)
}

// add takes an event.
func (p *perfetto) add(e *trace.Merged) {
	a := p.peers[e.Who]
	p.stepOn(a, e)
	a.last = e.At
	switch e.Kind {
	case trace.Request, trace.Enter, trace.Exit, trace.Lost, trace.Cancel:
		p.lock(a, e)
	case trace.Receive:
		if e.Sent != nil {
			p.flow(e)
		}
	case trace.Start:
		p.endAll(a, e.At, "when it was killed")
	case trace.Crash, trace.Stop:
		p.endAll(a, e.At, trace.Phrase(&e.Event))
	}
	switch e.Kind {
	case trace.Start, trace.Stop, trace.Crash, trace.Lost, trace.Cancel, trace.Drop, trace.Note, trace.Suspect, trace.LinkDown, trace.LinkUp, trace.Join, trace.Leave:
		p.write(event{Name: trace.Phrase(&e.Event), Category: string(e.Kind), Phase: "i", Scope: "t", Time: p.micros(e.At), PID: a.pid, TID: stepTrack, Args: about(e)})
	}
}

// about is what one reads of an event.
func about(e *trace.Merged) map[string]any {
	args := map[string]any{"clock": uint64(e.Clock)}
	if e.Lock != "" {
		args["lock"] = e.Lock
	}
	if e.Reason != "" && e.Kind != trace.Note {
		args["reason"] = e.Reason
	}
	if e.Message != nil {
		args["message"] = e.Message.ID.String()
	}
	return args
}

// stepOn adds an event to the step of its peer, or ends that and begins one.
func (p *perfetto) stepOn(a *actor, e *trace.Merged) {
	const together = time.Millisecond // events of a step are no further apart
	st := a.step
	if st == nil || st.clock != uint64(e.Clock) || st.inc != uint64(e.Incarnation) || e.At.Before(st.to) || e.At.Sub(st.to) > together {
		p.endStep(a, e.At)
		st = &step{clock: uint64(e.Clock), inc: uint64(e.Incarnation)}
		a.step = st
		// It is written before the arrows that are tied to it, as their times
		// are the same.
		p.write(event{Name: trace.Phrase(&e.Event), Category: "step", Phase: "B", Time: p.micros(e.At), PID: a.pid, TID: stepTrack, Args: map[string]any{"clock": st.clock}})
	}
	st.to = e.At
	const most = 32 // of what is listed
	if len(st.did) < most {
		st.did = append(st.did, trace.Phrase(&e.Event))
		if e.Reason != "" && e.Kind != trace.Note {
			st.why = append(st.why, e.Reason)
		}
	}
}

// endStep ends a peer's last step; the next begins at next, if there is one.
func (p *perfetto) endStep(a *actor, next time.Time) {
	st := a.step
	if st == nil {
		return
	}
	a.step = nil
	end := st.to.Add(stepLong)
	if !next.IsZero() && next.Before(end) && !next.Before(st.to) {
		end = next
	}
	args := map[string]any{"did": strings.Join(st.did, "\n")}
	if len(st.why) > 0 {
		args["why"] = strings.Join(st.why, "\n")
	}
	p.write(event{Phase: "E", Time: p.micros(end), PID: a.pid, TID: stepTrack, Args: args})
}

// flow draws the arrow of a message that has arrived. One that has not is told
// of by the step that sent it, and by the drop, if there is one.
func (p *perfetto) flow(e *trace.Merged) {
	from := p.column[e.Message.From]
	p.arrows++
	name, id := e.Message.Kind, p.arrows
	p.write(event{Name: name, Category: "message", Phase: "s", ID: id, Time: p.micros(e.Sent.At), PID: from + 1, TID: stepTrack})
	p.write(event{Name: name, Category: "message", Phase: "f", Bind: "e", ID: id, Time: p.micros(e.At), PID: e.Who + 1, TID: stepTrack})
}

// lock follows a peer's waiting and holding.
func (p *perfetto) lock(a *actor, e *trace.Merged) {
	h := a.locks[e.Lock]
	if h == nil {
		h = &holding{tid: stepTrack + 1 + len(a.locks)}
		a.locks[e.Lock] = h
		p.write(event{Name: "thread_name", Phase: "M", PID: a.pid, TID: h.tid, Args: map[string]any{"name": fmt.Sprintf("lock %q", e.Lock)}})
	}
	switch e.Kind {
	case trace.Request:
		p.endWait(a, h, e.At, "by another request")
		h.waits, h.since = true, e.At
	case trace.Cancel:
		p.endWait(a, h, e.At, "it gave up")
	case trace.Enter:
		p.endWait(a, h, e.At, "it entered")
		p.endHold(a, h, e.At, "by another entry")
		h.holds, h.entered, h.token = true, e.At, uint64(e.Token)
	case trace.Exit:
		p.endHold(a, h, e.At, "it left")
	case trace.Lost:
		p.endHold(a, h, e.At, "it was lost")
	}
}

func (p *perfetto) endWait(a *actor, h *holding, at time.Time, how string) {
	if h.waits {
		h.waits = false
		p.slice(a, h, "waits", h.since, at, map[string]any{"ended": how})
	}
}

func (p *perfetto) endHold(a *actor, h *holding, at time.Time, how string) {
	if h.holds {
		h.holds = false
		p.slice(a, h, fmt.Sprintf("holds, token %d", h.token), h.entered, at, map[string]any{"ended": how, "token": h.token})
	}
}

func (p *perfetto) slice(a *actor, h *holding, name string, from, to time.Time, args map[string]any) {
	long := max(p.micros(to)-p.micros(from), 0)
	p.write(event{Name: name, Category: "lock", Phase: "X", Time: p.micros(from), Duration: &long, PID: a.pid, TID: h.tid, Args: args})
}

// endAll ends what is open when a peer does.
func (p *perfetto) endAll(a *actor, at time.Time, how string) {
	for _, h := range a.ordered() {
		p.endWait(a, h, at, how)
		p.endHold(a, h, at, how)
	}
}

// ordered returns a peer's locks in the order in which they came up.
func (a *actor) ordered() []*holding {
	list := make([]*holding, len(a.locks))
	for _, h := range a.locks {
		list[h.tid-stepTrack-1] = h
	}
	return list
}
