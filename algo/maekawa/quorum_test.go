package maekawa_test

import (
	"slices"
	"testing"

	"github.com/conchlock/conch/algo/maekawa"
)

// meet counts what two sorted sets have in common.
func meet(a, b []int) int {
	n := 0
	for _, x := range a {
		if slices.Contains(b, x) {
			n++
		}
	}
	return n
}

func quorums(n int) [][]int {
	var all [][]int
	for i := range n {
		all = append(all, maekawa.Quorum(i, n))
	}
	return all
}

// The paper's conditions: any two quorums meet, everybody is in its own. Members
// are peers, sorted, and none is there twice.
func TestQuorumsMeet(t *testing.T) {
	for n := 1; n <= 64; n++ {
		all := quorums(n)
		for i, q := range all {
			if !slices.Contains(q, i) {
				t.Errorf("%d peers: %d is not in its own quorum %v", n, i, q)
			}
			if !slices.IsSorted(q) || len(slices.Compact(slices.Clone(q))) != len(q) || q[0] < 0 || q[len(q)-1] >= n {
				t.Errorf("%d peers: the quorum of %d is %v", n, i, q)
			}
			for j, r := range all[:i] {
				if meet(q, r) == 0 {
					t.Errorf("%d peers: the quorums of %d and %d do not meet: %v and %v", n, i, j, q, r)
				}
			}
		}
	}
}

// Where there is a plane, all quorums have k members, every peer is in k of them,
// and any two have exactly one in common (the paper's conditions of equal effort).
func TestQuorumsOfPlanes(t *testing.T) {
	for _, order := range []int{1, 2, 3, 4, 5, 7, 8, 9, 11, 13} {
		k := order + 1
		n := k*(k-1) + 1
		all := quorums(n)
		in := make([]int, n)
		for i, q := range all {
			if len(q) != k {
				t.Errorf("%d peers: quorum %d has %d members, want %d", n, i, len(q), k)
			}
			for _, p := range q {
				in[p]++
			}
			for j, r := range all[:i] {
				if meet(q, r) != 1 {
					t.Errorf("%d peers: %v and %v of %d and %d have not exactly one in common", n, q, r, i, j)
				}
			}
		}
		if slices.Min(in) != k || slices.Max(in) != k {
			t.Errorf("%d peers are members of %v quorums, want %d each", n, in, k)
		}
	}
}

// Elsewhere a quorum is a row and a column: no larger than twice the root of n, and
// no smaller than the root.
func TestQuorumSizes(t *testing.T) {
	for n := 1; n <= 64; n++ {
		root := 1
		for root*root < n {
			root++
		}
		least, most := n, 0
		for _, q := range quorums(n) {
			least, most = min(least, len(q)), max(most, len(q))
		}
		t.Logf("%d peers: quorums of %d to %d", n, least, most)
		if least*least < n-least || most > 2*root-1 {
			t.Errorf("%d peers: quorums of %d to %d", n, least, most)
		}
	}
}

// Quorums never change: peers compute them each for itself, of any version.
func TestQuorumsStay(t *testing.T) {
	for _, c := range []struct {
		n    int
		want [][]int
	}{
		{1, [][]int{{0}}},
		{2, [][]int{{0, 1}, {0, 1}}},
		{3, [][]int{{0, 1}, {1, 2}, {0, 2}}},
		{4, [][]int{{0, 1, 2}, {0, 1, 3}, {0, 2, 3}, {1, 2, 3}}},
		{5, [][]int{{0, 1, 2, 3}, {0, 1, 2, 4}, {0, 1, 2}, {0, 3, 4}, {1, 3, 4}}},
		{7, [][]int{{0, 1, 3}, {1, 2, 4}, {2, 3, 5}, {3, 4, 6}, {0, 4, 5}, {1, 5, 6}, {0, 2, 6}}},
	} {
		if got := quorums(c.n); !slices.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("%d peers: %v, want %v", c.n, got, c.want)
		}
	}
}
