package roster

import (
	"math"

	"github.com/conchlock/conch/algo/maekawa"
	"github.com/conchlock/conch/algo/raymond"
)

// Cost is what an algorithm's paper says that an entry costs, in messages that
// are not upkeep. docs/algorithms has the reasons, paper_test.go of each
// algorithm the proof.
type Cost struct {
	Light Formula // nobody else wants the lock; any peer asks next, with equal probability
	Heavy Formula // everybody wants it all the time
}

// Formula is a number of messages, of n peers.
type Formula struct {
	Text string // for people; N is the number of peers
	// Mean says between what the mean over many entries lies; the two are equal
	// where the formula is exact.
	Mean func(n int) (least, most float64)
	// Most is the most that one entry takes; nil if Mean is exact for every entry
	// or nothing is said.
	Most func(n int) float64
}

// exactly is a formula that says what the mean is.
func exactly(text string, mean, most func(n float64) float64) Formula {
	f := Formula{Text: text, Mean: func(n int) (float64, float64) {
		if n == 1 {
			return 0, 0 // a message to oneself is no message
		}
		x := mean(float64(n))
		return x, x
	}}
	if most != nil {
		f.Most = func(n int) float64 { return most(float64(n)) }
	}
	return f
}

// always is a formula that holds under any load.
func always(text string, mean func(n float64) float64) Cost {
	f := exactly(text, mean, nil)
	return Cost{f, f}
}

// CostOf returns what an algorithm costs, for a name from Names or Variants; false
// if there is none of that name.
func CostOf(name string) (Cost, bool) {
	switch name {
	case "relay":
		return Cost{
			Light: exactly("N, 0 where the token rests, 2(N-1) if it is nowhere", less, func(n float64) float64 { return max(n, 2*(n-1)) }),
			Heavy: exactly("N", same, nil),
		}, true
	case "ricart-agrawala":
		return always("2(N-1)", func(n float64) float64 { return 2 * (n - 1) }), true
	case "lamport":
		return always("3(N-1)", func(n float64) float64 { return 3 * (n - 1) }), true
	case "token-ring":
		return Cost{
			Light: exactly("2d for d hops to the token; N-1 in the mean", less, func(n float64) float64 { return 2 * (n - 1) }),
			Heavy: exactly("2", func(float64) float64 { return 2 }, nil),
		}, true
	case "suzuki-kasami":
		return Cost{
			Light: exactly("N, 0 where the token rests", less, same),
			Heavy: exactly("N", same, nil),
		}, true
	case "maekawa":
		return maekawaCost(), true
	case "raymond":
		return raymondCost(raymond.Binary), true
	case "raymond:line":
		return raymondCost(raymond.Line), true
	case "raymond:star":
		return raymondCost(raymond.Star), true
	case "naimi-trehel":
		return Cost{
			Light: exactly("H(N-1) = 1 + 1/2 + ... + 1/(N-1) in the mean", harmonic, same),
			Heavy: Formula{Text: "log2(N)+1 at most, in the long run", Mean: func(n int) (float64, float64) {
				if n == 1 {
					return 0, 0
				}
				return 0, math.Log2(float64(n)) + 1
			}},
		}, true
	}
	return Cost{}, false
}

func same(n float64) float64 { return n }

// less is the mean of what takes n messages, but none where the token is
// already, which is one time in n.
func less(n float64) float64 { return n - 1 }

func harmonic(n float64) float64 {
	h := 0.0
	for i := 1.0; i < n; i++ {
		h += 1 / i
	}
	return h
}

// maekawaCost is in terms of K, the size of a quorum; where quorums differ, of
// their mean.
func maekawaCost() Cost {
	others := func(n float64) (mean, most float64) { // K-1
		sum := 0.0
		for i := range int(n) {
			k := float64(len(maekawa.Quorum(i, int(n))) - 1)
			sum, most = sum+k, max(most, k)
		}
		return sum / n, most
	}
	times := func(by float64) func(float64) float64 {
		return func(n float64) float64 {
			mean, _ := others(n)
			return by * mean
		}
	}
	return Cost{
		Light: exactly("3(K-1), K the size of a quorum", times(3), func(n float64) float64 {
			_, most := others(n)
			return 3 * most
		}),
		Heavy: exactly("4(K-1), K the size of a quorum", times(4), nil),
	}
}

// raymondCost is in terms of the distances in the tree. Under heavy load its
// shape makes no difference: the privilege walks round the whole tree, over each
// of its N-1 edges twice for N entries, and each time behind a request.
func raymondCost(shape raymond.Tree) Cost {
	distances := func(n float64) (mean, most float64) {
		sum := 0.0
		tree := shape(int(n))
		for i := range tree {
			for j := range tree {
				d := distance(tree, i, j)
				sum, most = sum+d, max(most, d)
			}
		}
		return sum / n / n, most
	}
	return Cost{
		Light: exactly("2d for d hops to the privilege", func(n float64) float64 {
			mean, _ := distances(n)
			return 2 * mean
		}, func(n float64) float64 {
			_, most := distances(n)
			return 2 * most
		}),
		Heavy: exactly("4(N-1)/N", func(n float64) float64 { return 4 * (n - 1) / n }, nil),
	}
}

// distance counts the hops between two peers of a tree in which each has a
// parent with a smaller number.
func distance(tree []int, i, j int) float64 {
	hops := 0.0
	for ; i != j; hops++ {
		if i > j {
			i = tree[i]
		} else {
			j = tree[j]
		}
	}
	return hops
}
