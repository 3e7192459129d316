package conch

import (
	"context"
	"errors"
	"fmt"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/board"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/view"
)

// Errors of Ask and End, for errors.Is. With each of them, nobody was told anything.
var (
	// ErrNotHeld says that nobody holds the lock, as far as is known.
	ErrNotHeld = board.ErrNotHeld
	// ErrSilent says that the peer whose holder is meant does not answer. Nothing
	// has to be done: its lease ends by itself, unless it comes back before that.
	ErrSilent = board.ErrSilent
	// ErrOtherToken says that the lock is held, but with another token.
	ErrOtherToken = board.ErrOther
)

// Look asks all peers what they know of a lock or, with an empty name, of all locks. It
// waits for those that can be reached, for a second at most.
func (p *Peer) Look(ctx context.Context, lock string) (view.View, error) {
	if err := checkLook(lock); err != nil {
		return view.View{}, err
	}
	v, err := p.board.Look(ctx, lock)
	if err != nil {
		err = fmt.Errorf("conch: %w", err)
	}
	return v, err
}

// Watch does so, and calls tell again whenever something has changed, but not more often
// than 20 times a second, until ctx ends, the peer is closed (ErrClosed), or tell
// returns an error, which it returns. The peers tell each other what has changed; nobody
// asks again and again. At most 256 locks can be watched at a peer at a time.
func (p *Peer) Watch(ctx context.Context, lock string, tell func(view.View) error) error {
	if err := checkLook(lock); err != nil {
		return err
	}
	return p.board.Watch(ctx, lock, tell)
}

func checkLook(lock string) error {
	if lock == "" {
		return nil
	}
	if err := algo.CheckLock(lock); err != nil {
		return fmt.Errorf("conch: %w", err)
	}
	return nil
}

// Ask asks whoever holds a lock, at any peer, to give way: its Hold.Asked channel is
// closed, and what comes of that is the holder's own business. By says who asks, and is
// needed, reason why; each has at most MaxLabel bytes of printable UTF-8. It returns who
// was asked.
func (p *Peer) Ask(ctx context.Context, lock, by, reason string) (view.Holder, error) {
	return p.steer(ctx, lock, node.Wish{By: by, Reason: reason})
}

// End ends the hold of a lock with that token, at any peer, or with token 0 whichever
// there is. The holder's context ends, with an ErrLost that says by whom and why, and its
// lease is not renewed for it any more. The lock goes on when the holder has unlocked it,
// or when the lease has ended, a TTL later at most: nobody gets in before. With a
// classic algorithm, which has no leases, it goes on when the holder unlocks.
//
// By and reason are as for Ask, and are needed. That it was asked for is kept in the audit
// log of this peer, that it was done in that of the holder's: audit.log in Config.Dir,
// without one only in the log. An end that cannot be kept there is not done.
//
// It returns whose hold that was. After an error that is none of ErrNotHeld, ErrSilent,
// ErrOtherToken and ErrClosed, the hold may have been ended.
func (p *Peer) End(ctx context.Context, lock string, token Token, by, reason string) (view.Holder, error) {
	if reason == "" {
		return view.Holder{}, errors.New("conch: say why the hold is to end")
	}
	return p.steer(ctx, lock, node.Wish{Token: algo.Token(token), By: by, Reason: reason, End: true})
}

func (p *Peer) steer(ctx context.Context, lock string, w node.Wish) (view.Holder, error) {
	err := errors.Join(algo.CheckLock(lock), algo.CheckText("by", w.By), algo.CheckText("reason", w.Reason))
	if w.By == "" {
		err = errors.New("say who wants it")
	}
	if err != nil {
		return view.Holder{}, fmt.Errorf("conch: %w", err)
	}
	if w.End {
		if err := p.audit.write("asked for", lock, w); err != nil {
			return view.Holder{}, fmt.Errorf("conch: lock %q: not ended: %w", lock, err)
		}
	}
	h, err := p.board.Steer(ctx, lock, w)
	if err != nil {
		return h, fmt.Errorf("conch: lock %q: %w", lock, err)
	}
	return h, nil
}

// local is this peer as its board sees it.
type local struct {
	*node.Node
	audit *audit
}

// Look implements board.Local.
func (l local) Look(lock string) board.Report {
	if lock != "" {
		return board.Report{Locks: []node.Sight{l.Node.Look(lock)}}
	}
	list, more := l.LookAll()
	return board.Report{Locks: list, More: more}
}

// Peers implements board.Local.
func (l local) Peers() []node.PeerStatus { return l.Standing().Peers }

// Steer implements board.Local. An end is kept before anybody is told.
func (l local) Steer(lock string, w node.Wish) (*node.HoldSight, error) {
	if !w.End {
		return l.Node.Steer(lock, w), nil
	}
	if h := l.Node.Look(lock).Hold; h == nil || h.Token != w.Token {
		return nil, nil
	}
	if err := l.audit.write("done", lock, w); err != nil {
		return nil, err
	}
	if h := l.Node.Steer(lock, w); h != nil {
		return h, nil
	}
	return nil, l.audit.write("too late: it was left at this moment", lock, w)
}
