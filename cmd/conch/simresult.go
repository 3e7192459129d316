package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/conchlock/conch/internal/sim"
)

// simResult is what conch sim prints: the configuration, the figures, and what
// went wrong, if anything. Delays and waits are in units of T, the mean delay of
// a message.
type simResult struct {
	Seed      uint64 `json:"seed"`
	Runs      int    `json:"runs"`
	Algorithm string `json:"algorithm"`
	Peers     int    `json:"peers"`
	Voters    int    `json:"voters,omitempty"`
	Open      bool   `json:"open,omitempty"`
	TTL       string `json:"ttl"`
	Duration  string `json:"duration"`
	Delay     string `json:"delay"`
	Faults    string `json:"faults"`

	Played           int            `json:"played"`
	Steps            int            `json:"steps"`
	Entries          int            `json:"entries"`
	EntriesByPeer    []int          `json:"entriesByPeer"`
	MessagesPerEntry float64        `json:"messagesPerEntry"`
	UpkeepPerEntry   float64        `json:"upkeepPerEntry"`
	Handoff          simSeries      `json:"handoff"`
	Wait             simSeries      `json:"wait"`
	Cancelled        int            `json:"cancelled"`
	Lost             int            `json:"lost"`
	Happened         map[string]int `json:"happened"`
	LongestWait      string         `json:"longestWait"`
	LongestAllowed   string         `json:"longestAllowed"`
	Failure          *simFailure    `json:"failure,omitempty"`

	happened []string
}

type simSeries struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

type simFailure struct {
	Seed     uint64 `json:"seed"`
	Plan     string `json:"plan"`
	Reason   string `json:"reason"`
	Scenario string `json:"scenario"`
}

func seriesOf(s *sim.Series) simSeries {
	return simSeries{Count: s.Count, Mean: hundredths(s.Mean()), P99: hundredths(s.Quantile(0.99)), Max: hundredths(s.Max())}
}

// hundredths rounds: more digits are noise.
func hundredths(f float64) float64 { return math.Round(f*100) / 100 }

func (r *simResult) set(s sim.Stats) {
	r.Played, r.Steps, r.Entries, r.EntriesByPeer = s.Runs, s.Steps, s.Entries, s.ByPeer
	if s.Entries > 0 {
		r.MessagesPerEntry = hundredths(float64(s.Messages) / float64(s.Entries))
		r.UpkeepPerEntry = hundredths(float64(s.Upkeep) / float64(s.Entries))
	}
	r.Handoff, r.Wait = seriesOf(&s.Handoff), seriesOf(&s.Wait)
	r.Cancelled, r.Lost = s.Cancels, s.Lost
	r.Happened = make(map[string]int)
	for i, name := range sim.FaultNames() {
		if n := s.Faults[i]; n > 0 {
			r.Happened[name] = n
			r.happened = append(r.happened, fmt.Sprintf("%s %d", name, n))
		}
	}
	r.LongestWait, r.LongestAllowed = time.Duration(s.CalmWait).String(), time.Duration(s.CalmBound).String()
}

func (r *simResult) writeText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s in %s", count(r.Entries, "entry"), count(r.Steps, "step"))
	if len(r.EntriesByPeer) > 1 {
		fmt.Fprintf(&b, "; by peer: %s", strings.Trim(fmt.Sprint(r.EntriesByPeer), "[]"))
	}
	fmt.Fprintf(&b, "\n%.2f messages per entry, and %.2f of upkeep\n", r.MessagesPerEntry, r.UpkeepPerEntry)
	fmt.Fprintf(&b, "handoff  %s\nwait     %s\n", r.Handoff, r.Wait)
	fmt.Fprintf(&b, "%s given up, %s lost\n", count(r.Cancelled, "request"), count(r.Lost, "hold"))
	if len(r.happened) > 0 {
		fmt.Fprintf(&b, "faults   %s\n", strings.Join(r.happened, ", "))
	}
	if f := r.Failure; f == nil {
		fmt.Fprintf(&b, "when all was mended, the longest wait was %s; %s is allowed\n", r.LongestWait, r.LongestAllowed)
		fmt.Fprintf(&b, "\nsound: never two inside, and everybody got in\n")
	} else {
		fmt.Fprintf(&b, "\nNOT SOUND, seed %d: %s\n%s\n%s", f.Seed, f.Reason, f.Plan, shorten(f.Scenario))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (s simSeries) String() string {
	if s.Count == 0 {
		return "none"
	}
	return fmt.Sprintf("%.2f T on average, 99 of 100 within %.2f T, at most %.2f T", s.Mean, s.P99, s.Max)
}

// shorten leaves out the middle of a long story.
func shorten(story string) string {
	lines := strings.SplitAfter(story, "\n")
	left := len(lines) - simStoryLines
	if left <= 0 {
		return story
	}
	half := simStoryLines / 2
	out := fmt.Sprintf("... %s left out; --json has them ...\n", count(left, "line"))
	return strings.Join(slices.Concat(lines[:half], []string{out}, lines[len(lines)-half:]), "")
}
