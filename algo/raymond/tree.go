package raymond

import (
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

// Tree shapes a cluster of n peers, who are numbered in order of their names
// from 0: it returns the parent of each. The root is its own parent; the
// privilege starts there.
type Tree func(n int) []int

// Binary is the balanced binary tree: peer i's parent is (i-1)/2. Its diameter
// is 2 log2(N) or so.
func Binary(n int) []int {
	return parents(n, func(i int) int { return (i - 1) / 2 })
}

// Line hangs every peer below the one before it. Its diameter is N-1; it is the
// paper's worst case.
func Line(n int) []int {
	return parents(n, func(i int) int { return i - 1 })
}

// Star hangs all peers below the first. Its diameter is 2, the least there is,
// and every message is to or from the first peer.
func Star(n int) []int {
	return parents(n, func(int) int { return 0 })
}

// parents makes a tree whose root is peer 0.
func parents(n int, of func(i int) int) []int {
	list := make([]int, n)
	for i := 1; i < n; i++ {
		list[i] = of(i)
	}
	return list
}

// mustBeTree panics if what somebody's Tree has made of n peers is none.
func mustBeTree(parents []int, n int) {
	if len(parents) != n {
		panic(fmt.Sprintf("raymond: a tree of %d peers with %d parents", n, len(parents)))
	}
	for i, p := range parents {
		if p < 0 || p >= n {
			panic(fmt.Sprintf("raymond: the parent of peer %d is %d, of %d peers", i, p, n))
		}
	}
	tops := make(map[int]bool)
	for i := range parents {
		for range n { // more steps than any way to the root has
			i = parents[i]
		}
		tops[i] = true
		if parents[i] != i || len(tops) > 1 {
			panic(fmt.Sprintf("raymond: %v is no tree: a peer has no way to the root, or there are two roots", parents))
		}
	}
}

// place finds self's place in the tree: its neighbours, sorted, and the first
// of them on the way to the root; that is self at the root.
func place(self algo.PeerName, others []algo.PeerName, parents []int) (near []algo.PeerName, up algo.PeerName) {
	i, _ := slices.BinarySearch(others, self)
	name := func(j int) algo.PeerName {
		switch {
		case j < i:
			return others[j]
		case j > i:
			return others[j-1]
		}
		return self
	}
	for j := range parents {
		if j != i && (parents[i] == j || parents[j] == i) {
			near = append(near, name(j))
		}
	}
	return near, name(parents[i])
}
