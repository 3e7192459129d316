package transport

import (
	"fmt"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/board"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/wire"
)

// maxReport bounds a report, in bytes: it has to fit into a message, with all names as
// long as they may be.
const maxReport = maxFrame - 4096

// encodeReport leaves out the locks for which there is no room.
func encodeReport(r *board.Report) *wire.Report {
	to := &wire.Report{More: uint32(r.More)}
	room := maxReport
	for i := range r.Locks {
		s := encodeSight(&r.Locks[i])
		if room -= proto.Size(s) + sightHead; room < 0 {
			to.More += uint32(len(r.Locks) - i)
			break
		}
		to.Locks = append(to.Locks, s)
	}
	return to
}

// sightHead is what comes before a lock in a report, at most: a tag and a length.
const sightHead = 6

func encodeSight(s *node.Sight) *wire.Sight {
	to := &wire.Sight{Lock: s.Name, More: uint32(s.More), Stamp: uint64(s.Stamp), LentTo: string(s.LentTo), LentNs: int64(s.LentFor)}
	to.Held = encodeHeld(s.Hold)
	for _, w := range s.Waiters {
		to.Waiting = append(to.Waiting, &wire.Waiting{About: encodeAbout(w.About), ForNs: int64(w.For)})
	}
	for _, name := range s.WaitsFor {
		to.WaitsFor = append(to.WaitsFor, string(name))
	}
	return to
}

func encodeHeld(h *node.HoldSight) *wire.Held {
	if h == nil {
		return nil
	}
	return &wire.Held{About: encodeAbout(h.About), Token: uint64(h.Token), ForNs: int64(h.For), LeaseNs: int64(h.Lease), Ended: h.Ended}
}

func encodeAbout(a node.About) *wire.About {
	return &wire.About{Label: a.Label, Trace: a.Trace, Id: a.ID}
}

// decodeReport takes what another peer says as it is, but for what could not be shown.
func decodeReport(r *wire.Report) board.Report {
	to := board.Report{More: int(r.GetMore())}
	for _, s := range r.GetLocks() {
		if algo.CheckLock(s.GetLock()) == nil {
			to.Locks = append(to.Locks, decodeSight(s))
		}
	}
	return to
}

func decodeSight(s *wire.Sight) node.Sight {
	to := node.Sight{
		Name: s.GetLock(), More: int(s.GetMore()), Stamp: algo.Time(s.GetStamp()),
		LentTo: algo.PeerName(printable(s.GetLentTo())), LentFor: time.Duration(s.GetLentNs()),
	}
	to.Hold = decodeHeld(s.GetHeld())
	for _, w := range s.GetWaiting() {
		to.Waiters = append(to.Waiters, node.WaiterSight{About: decodeAbout(w.GetAbout()), For: time.Duration(w.GetForNs())})
	}
	for _, name := range s.GetWaitsFor() {
		to.WaitsFor = append(to.WaitsFor, algo.PeerName(printable(name)))
	}
	return to
}

func decodeHeld(h *wire.Held) *node.HoldSight {
	if h == nil {
		return nil
	}
	return &node.HoldSight{
		About: decodeAbout(h.GetAbout()), Token: algo.Token(h.GetToken()),
		For: time.Duration(h.GetForNs()), Lease: time.Duration(h.GetLeaseNs()), Ended: printable(h.GetEnded()),
	}
}

func decodeAbout(a *wire.About) node.About {
	return node.About{Label: printable(a.GetLabel()), Trace: printable(a.GetTrace()), ID: a.GetId()}
}

// printable returns a text if it may be shown to people, and says so if it may not.
func printable(text string) string {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("%.200q", text)
		}
	}
	return text
}
