package conch

import (
	"fmt"
	"strings"
	"time"
)

// Ready returns nil if locks can be had at this peer now, as far as it knows: a
// majority of the voters is up, this peer counted if it votes, and it does not
// abstain (see Status); with the classic algorithms, all peers are up. Otherwise
// the error says in one line what is missing, and who. It wraps ErrClosed once the
// peer serves nobody any more.
//
// A peer that abstains could get locks by the votes of others, and is not ready
// all the same: whoever restarts one peer after the other waits so until its vote
// counts again, and never takes away a majority.
func (p *Peer) Ready() error {
	if err := p.Err(); err != nil {
		return err
	}
	s := p.node.Standing()
	var missing []string
	up, needed := 0, len(p.voters)/2+1
	if p.voter(p.Name()) {
		up++
	}
	for _, o := range s.Peers {
		switch {
		case !p.voter(string(o.Name)) && p.leases:
		case o.Up:
			up++
		default:
			missing = append(missing, fmt.Sprintf("%s (%s)", o.Name, o.Reason))
		}
	}
	if !p.leases {
		needed = len(s.Peers) + 1
	}
	switch {
	case up < needed && p.leases:
		return fmt.Errorf("%d of %d voters are up, and %d are needed; missing: %s", up, len(p.voters), needed, strings.Join(missing, ", "))
	case up < needed:
		return fmt.Errorf("%d of %d peers are up, and this algorithm needs all; missing: %s", up, needed, strings.Join(missing, ", "))
	case s.Abstains > 0:
		return fmt.Errorf("%s grants nothing for %s yet: it may have forgotten what it had granted before it was started again",
			p.name, max(time.Millisecond, s.Abstains.Round(time.Millisecond)))
	}
	return nil
}
