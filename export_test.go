package conch

import (
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
)

// Steered is what becomes of another peer's order to end a hold of p's.
func Steered(p *Peer, lock string, token uint64) (bool, error) {
	told, err := local{p.node, p.audit}.Steer(lock, node.Wish{Token: algo.Token(token), By: "late", Reason: "late", End: true})
	return told != nil, err
}
