package sim

import (
	"math/bits"

	"github.com/conchlock/conch/algo"
)

// Stats is what a timed run came to before its second act, unless it says
// otherwise. Delays and waits are in units of T, the mean delay of a message.
type Stats struct {
	Runs     int
	Entries  int
	ByPeer   []int // entries of each peer
	Cancels  int
	Lost     int // holds that ended before their holder left
	Messages int // that are not upkeep
	Upkeep   int
	Steps    int // of both acts
	Faults   [len(faultNames)]int
	Wait     Series // from a request to its entry
	Handoff  Series // from an exit to the entry of who waited already
	// CalmWait is the longest wait of the second act, and CalmBound the most it
	// may be; of several runs, those where the two are closest.
	CalmWait, CalmBound algo.Duration
}

func (s *Stats) count(o algo.Output) {
	switch {
	case o.Kind == algo.Lost:
		s.Lost++
	case o.Kind == algo.Send && o.Upkeep:
		s.Upkeep++
	case o.Kind == algo.Send:
		s.Messages++
	}
}

// Add adds the figures of another run.
func (s *Stats) Add(t Stats) {
	s.Runs += t.Runs
	s.Entries += t.Entries
	for i, n := range t.ByPeer {
		if i == len(s.ByPeer) {
			s.ByPeer = append(s.ByPeer, 0)
		}
		s.ByPeer[i] += n
	}
	s.Cancels += t.Cancels
	s.Lost += t.Lost
	s.Messages += t.Messages
	s.Upkeep += t.Upkeep
	s.Steps += t.Steps
	for i, n := range t.Faults {
		s.Faults[i] += n
	}
	s.Wait.add(&t.Wait)
	s.Handoff.add(&t.Handoff)
	if s.CalmBound == 0 || float64(t.CalmWait)*float64(s.CalmBound) > float64(s.CalmWait)*float64(t.CalmBound) {
		s.CalmWait, s.CalmBound = t.CalmWait, t.CalmBound
	}
}

// Series is the distribution of many figures, each kept to within four percent.
type Series struct {
	Count  int
	sum    float64
	most   float64
	bucket [64 << seriesBits]int
}

const (
	seriesBits  = 4
	seriesScale = 1000 // figures are kept as whole thousandths
)

func (s *Series) note(figure float64) {
	s.Count++
	s.sum += figure
	s.most = max(s.most, figure)
	s.bucket[bucketOf(uint64(figure*seriesScale))]++
}

func (s *Series) add(t *Series) {
	s.Count += t.Count
	s.sum += t.sum
	s.most = max(s.most, t.most)
	for i, n := range t.bucket {
		s.bucket[i] += n
	}
}

// Mean is 0 if there is no figure; so are Max and Quantile.
func (s *Series) Mean() float64 {
	if s.Count == 0 {
		return 0
	}
	return s.sum / float64(s.Count)
}

// Max returns the largest figure.
func (s *Series) Max() float64 { return s.most }

// Quantile returns a figure that a share q of all do not exceed.
func (s *Series) Quantile(q float64) float64 {
	left := int(q * float64(s.Count))
	for i, n := range s.bucket {
		if left -= n; n > 0 && left < 0 {
			return min(s.most, float64(bucketMiddle(i))/seriesScale)
		}
	}
	return s.most
}

// bucketOf numbers buckets that grow with what is in them: small numbers have
// one each, larger ones share one with those that begin with the same bits.
func bucketOf(v uint64) int {
	if v < 1<<seriesBits {
		return int(v)
	}
	shift := bits.Len64(v) - seriesBits - 1
	return (shift+1)<<seriesBits + int(v>>shift)&(1<<seriesBits-1)
}

// bucketMiddle is the middle of a bucket.
func bucketMiddle(i int) uint64 {
	if i < 1<<seriesBits {
		return uint64(i)
	}
	shift := i>>seriesBits - 1
	return (1<<seriesBits+uint64(i)&(1<<seriesBits-1))<<shift + uint64(1)<<shift/2
}
