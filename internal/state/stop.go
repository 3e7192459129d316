package state

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/conchlock/conch/algo"
)

// stop is what is kept of a stop in good order.
type stop struct {
	Boot     string       `json:"boot"` // which clock the instants are of
	Now      algo.Instant `json:"now"`
	Promises []promise    `json:"promises"`
}

// promise is an algo.Promise as it is written.
type promise struct {
	Lock        string           `json:"lock"`
	Time        algo.Time        `json:"time"` // this and the next two are the term
	Peer        algo.PeerName    `json:"peer"`
	Incarnation algo.Incarnation `json:"incarnation"`
	Ballot      uint64           `json:"ballot"`
	Ceiling     algo.Token       `json:"ceiling"`
	Expiry      algo.Instant     `json:"expiry"`
}

// Keep implements node.Memory. Where the clock does not outlive the process it
// keeps nothing: the next incarnation could not tell what has expired.
func (s *State) Keep(promises []algo.Promise, now algo.Instant) error {
	if s.db == nil || s.boot == "" {
		return nil
	}
	kept := stop{Boot: s.boot, Now: now}
	for _, p := range promises {
		kept.Promises = append(kept.Promises, promise{
			p.Lock, p.Term.Time, p.Term.Peer, p.Term.Incarnation, p.Ballot, p.Ceiling, p.Expiry,
		})
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(keyStop, text) })
}

// take takes what the last incarnation has kept, if it stopped in good order, and
// removes it. It is of use only in the same boot: another one's clock says
// nothing about the instants in it, nor does one that reads less than it did.
func (s *State) take(b *bbolt.Bucket, at Moment) error {
	text := b.Get(keyStop)
	if text == nil {
		return nil
	}
	var kept stop
	err := json.Unmarshal(text, &kept)
	if err != nil {
		return fmt.Errorf("%s is damaged (%w); %s", keyStop, err, mend)
	}
	var promises []algo.Promise
	for _, p := range kept.Promises {
		if err := errors.Join(algo.CheckLock(p.Lock), p.Peer.Check()); err != nil {
			return fmt.Errorf("%s is damaged (%w); %s", keyStop, err, mend)
		}
		if p.Time > algo.MaxTime || p.Ceiling > algo.Token(algo.MaxTime) || p.Ballot > uint64(algo.MaxTime) {
			return fmt.Errorf("%s is damaged (a number for lock %q is over the largest); %s", keyStop, p.Lock, mend)
		}
		promises = append(promises, algo.Promise{
			Lock:   p.Lock,
			Term:   algo.Stamp{Time: p.Time, Peer: p.Peer, Incarnation: p.Incarnation},
			Ballot: p.Ballot, Ceiling: p.Ceiling, Expiry: p.Expiry,
		})
	}
	if at.Boot != "" && kept.Boot == at.Boot && kept.Now <= at.Now {
		s.kept, s.promises = true, promises
	}
	return b.Delete(keyStop)
}
