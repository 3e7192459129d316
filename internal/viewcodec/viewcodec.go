// Package viewcodec is how views of locks are told to programs: it turns them into messages
// of proto/conch/v1, and back.
package viewcodec

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/view"
)

// Encode returns the message that says what v says.
func Encode(v *view.View) *conchv1.View {
	to := &conchv1.View{Peer: v.Peer, At: stamp(v.At), More: uint32(v.More)}
	for i := range v.Locks {
		to.Locks = append(to.Locks, encodeLock(&v.Locks[i]))
	}
	for _, s := range v.Silent {
		to.Silent = append(to.Silent, &conchv1.Silent{Peer: s.Peer, Reason: s.Reason, Since: stamp(s.Since)})
	}
	return to
}

func encodeLock(l *view.Lock) *conchv1.Lock {
	to := &conchv1.Lock{Name: l.Name, More: uint32(l.More)}
	if l.Holder != nil {
		to.Holder = EncodeHolder(l.Holder)
	}
	for _, w := range l.Waiters {
		to.Waiters = append(to.Waiters, &conchv1.Waiter{Peer: w.Peer, Label: w.Label, Trace: w.Trace, Since: stamp(w.Since), WaitsFor: w.WaitsFor})
	}
	if l.Lent != nil {
		to.Lent = &conchv1.Lent{Peer: l.Lent.Peer, Until: stamp(l.Lent.Until)}
	}
	return to
}

// EncodeHolder does so for a holder alone.
func EncodeHolder(h *view.Holder) *conchv1.Holder {
	return &conchv1.Holder{
		Peer: h.Peer, Token: h.Token, Label: h.Label, Trace: h.Trace,
		Since: stamp(h.Since), Deadline: stamp(h.Deadline), Ended: h.Ended, Silent: h.Silent,
	}
}

// Decode returns what a message says.
func Decode(v *conchv1.View) view.View {
	// Lists are never nil: in JSON they are [].
	to := view.View{Peer: v.GetPeer(), At: moment(v.GetAt()), More: int(v.GetMore()), Locks: []view.Lock{}, Silent: []view.Silent{}}
	for _, l := range v.GetLocks() {
		to.Locks = append(to.Locks, decodeLock(l))
	}
	for _, s := range v.GetSilent() {
		to.Silent = append(to.Silent, view.Silent{Peer: s.GetPeer(), Reason: s.GetReason(), Since: moment(s.GetSince())})
	}
	return to
}

func decodeLock(l *conchv1.Lock) view.Lock {
	to := view.Lock{Name: l.GetName(), More: int(l.GetMore()), Waiters: []view.Waiter{}}
	if h := l.GetHolder(); h != nil {
		held := DecodeHolder(h)
		to.Holder = &held
	}
	for _, w := range l.GetWaiters() {
		to.Waiters = append(to.Waiters, view.Waiter{Peer: w.GetPeer(), Label: w.GetLabel(), Trace: w.GetTrace(), Since: moment(w.GetSince()), WaitsFor: w.GetWaitsFor()})
	}
	if lent := l.GetLent(); lent != nil {
		to.Lent = &view.Lent{Peer: lent.GetPeer(), Until: moment(lent.GetUntil())}
	}
	return to
}

// DecodeHolder does so for a holder alone.
func DecodeHolder(h *conchv1.Holder) view.Holder {
	return view.Holder{
		Peer: h.GetPeer(), Token: h.GetToken(), Label: h.GetLabel(), Trace: h.GetTrace(),
		Since: moment(h.GetSince()), Deadline: moment(h.GetDeadline()), Ended: h.GetEnded(), Silent: h.GetSilent(),
	}
}

// stamp leaves out a time that is not said.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
