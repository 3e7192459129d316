package maekawa

import "slices"

// planes has, for finite projective planes of the orders 1 to 13 that there are
// (1, the triangle, is a degenerate one), a perfect difference set: k numbers whose
// differences, modulo N = k(k-1)+1, are each number from 1 to N-1 exactly once.
// Such a set is one line of the plane, and the N lines are its shifts. Since 0 is in
// it, the i-th shift has the i-th point: every peer is in its own quorum, as the
// paper wants it, without any matching. There is one for every order that is a power
// of a prime (J. Singer, "A Theorem in Finite Projective Geometry and Some
// Applications to Number Theory", Transactions of the AMS 43, 1938); none is known
// for any other.
var planes = [...][]int{
	{0, 1},
	{0, 1, 3},
	{0, 1, 3, 9},
	{0, 1, 4, 14, 16},
	{0, 1, 3, 8, 12, 18},
	{0, 1, 3, 13, 32, 36, 43, 52},
	{0, 1, 3, 7, 15, 31, 36, 54, 63},
	{0, 1, 3, 9, 27, 49, 56, 61, 77, 81},
	{0, 1, 3, 12, 20, 34, 38, 81, 88, 94, 104, 109},
	{0, 1, 3, 16, 23, 28, 42, 76, 82, 86, 119, 137, 154, 175},
}

// Quorum returns the quorum of the i-th of n peers, sorted: as places in the order of
// the peers' names, from 0. Any two of n peers' quorums have a member in common,
// and everybody is a member of its own.
//
// For 3, 7, 13, 21, 31, 57, 73, 91, 133 and 183 peers it is a line of a finite
// projective plane (the paper's condition of equal size and equal work): k members
// for n = k(k-1)+1, about √n, and any two have exactly one in common. For any other
// number it is a row and a column of a grid, about 2√n.
func Quorum(i, n int) []int {
	for _, line := range planes {
		if k := len(line); n == k*(k-1)+1 {
			return shift(line, i, n)
		}
	}
	return rowAndColumn(i, n)
}

// shift moves a line of a plane of n points by i.
func shift(line []int, i, n int) []int {
	var quorum []int
	for _, d := range line {
		quorum = append(quorum, (i+d)%n)
	}
	slices.Sort(quorum)
	return quorum
}

// rowAndColumn returns the row and the column of the i-th of n places in a grid
// that is as square as can be, filled row by row. The last row may be short. Any
// two of these sets meet all the same: of two peers in different rows at least one is
// in a full row, and the other one's column crosses it.
func rowAndColumn(i, n int) []int {
	columns := 1
	for columns*columns < n {
		columns++
	}
	var quorum []int
	for j := range n {
		if j/columns == i/columns || j%columns == i%columns {
			quorum = append(quorum, j)
		}
	}
	return quorum
}
