package roster

import "strings"

// nearest returns the name that somebody may have meant; empty if none is near.
// A part of a name is as good as a slip of the keys.
func nearest(name string) string {
	name = strings.ToLower(name)
	best, least := "", len(name)/3+2
	if len(name) > 40 {
		return ""
	}
	for _, known := range append(Names(), Variants()...) {
		d := distanceOf(name, known)
		if len(name) >= 3 && strings.Contains(known, name) {
			d = 0
		}
		if d < least {
			best, least = known, d
		}
	}
	return best
}

// distanceOf counts how many letters have to be put in, left out, replaced, or
// swapped with their neighbour, to turn a into b.
func distanceOf(a, b string) int {
	rows := make([][]int, len(a)+1) // rows[i][j]: from a[:i] to b[:j]
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := 1
			if a[i-1] == b[j-1] {
				replace = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
