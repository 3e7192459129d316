package raymond_test

import (
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/raymond"
)

// hops is the length of the way from i to j in a tree.
func hops(parents []int, i, j int) int {
	depth := func(i int) (d int) {
		for parents[i] != i {
			i = parents[i]
			d++
		}
		return d
	}
	d := 0
	for ; i != j; d++ {
		if depth(i) < depth(j) {
			i, j = j, i
		}
		i = parents[i]
	}
	return d
}

// diameter is the length of the longest way in a tree.
func diameter(parents []int) (longest int) {
	for i := range parents {
		for j := range parents {
			longest = max(longest, hops(parents, i, j))
		}
	}
	return longest
}

// The trees have the shapes that their comments give them.
func TestTrees(t *testing.T) {
	for _, c := range []struct {
		what      string
		tree      raymond.Tree
		parents   []int  // of seven peers
		diameters [4]int // of 1, 2, 7 and 15
	}{
		{"binary", raymond.Binary, []int{0, 0, 0, 1, 1, 2, 2}, [4]int{0, 1, 4, 6}},
		{"line", raymond.Line, []int{0, 0, 1, 2, 3, 4, 5}, [4]int{0, 1, 6, 14}},
		{"star", raymond.Star, []int{0, 0, 0, 0, 0, 0, 0}, [4]int{0, 1, 2, 2}},
	} {
		if got := c.tree(7); !slices.Equal(got, c.parents) {
			t.Errorf("%s: %v", c.what, got)
		}
		for i, n := range []int{1, 2, 7, 15} {
			if got := diameter(c.tree(n)); got != c.diameters[i] {
				t.Errorf("%s of %d: diameter %d, want %d", c.what, n, got, c.diameters[i])
			}
		}
	}
}

// A tree may have its root anywhere; what is no tree is a mistake in the program.
func TestNewTree(t *testing.T) {
	others := []algo.PeerName{"a", "c"}
	for _, c := range []struct {
		what string
		tree []int
		good bool
	}{
		{"the root in the middle", []int{1, 1, 1}, true},
		{"the root at the end", []int{1, 2, 2}, true},
		{"too few", []int{0, 0}, false},
		{"nobody's child", []int{0, -1, 0}, false},
		{"a parent that is not there", []int{0, 3, 0}, false},
		{"two roots", []int{0, 1, 0}, false},
		{"a circle", []int{0, 2, 1}, false},
		{"no root", []int{1, 2, 0}, false},
	} {
		func() {
			defer func() {
				if bad := recover(); (bad == nil) != c.good {
					t.Errorf("%s: %v", c.what, bad)
				}
			}()
			m := raymond.NewTree(func(int) []int { return c.tree })("b", 1, others)
			if !m.Idle() || m.Check() != nil {
				t.Errorf("%s: idle %t, %v", c.what, m.Idle(), m.Check())
			}
		}()
	}
}
