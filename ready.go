package conch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/conchlock/conch/algo/roster"
)

// ErrNotReady says that no lock can be had at a peer now. It may change at any time.
var ErrNotReady = errors.New("no lock can be had now")

// Ready returns nil if locks can be had at this peer now, as far as it knows: a majority
// of the voters, with the classic algorithms every peer, can be reached, and enough of
// them grant something. Else the error wraps ErrNotReady and says who is missing, or
// wraps ErrClosed.
func (p *Peer) Ready() error {
	if err := p.Err(); err != nil {
		return err
	}
	s := p.Status()
	up := 0
	if s.Voter && s.Abstains == 0 {
		up++
	}
	var missing []string
	for _, o := range s.Peers {
		switch {
		case !o.Voter && roster.Leases(p.algorithm):
		case o.Up:
			up++
		case o.Reason == "":
			missing = append(missing, o.Name)
		default:
			missing = append(missing, o.Name+" ("+o.Reason+")")
		}
	}
	need := len(p.voters)/2 + 1
	if !roster.Leases(p.algorithm) {
		need = len(p.voters) // all vote
	}
	if up >= need {
		return nil
	}
	why := fmt.Sprintf("%d of %d votes can be had, and %d are needed", up, len(p.voters), need)
	if s.Abstains > 0 {
		missing = append(missing, fmt.Sprintf("%s (has just started: grants nothing for another %s)", s.Name, s.Abstains.Round(time.Millisecond)))
	}
	return fmt.Errorf("%w: %s; missing: %s", ErrNotReady, why, strings.Join(missing, ", "))
}
