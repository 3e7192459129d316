package story

import (
	"testing"

	"github.com/conchlock/conch/internal/trace/tracetest"
)

// TestPathIsTheStory wants a path to hold what the story tells of, and the end
// of the hold.
func TestPathIsTheStory(t *testing.T) {
	for seed := range uint64(20) {
		run := tracetest.Play(tracetest.Config{Seed: seed, Peers: 4, Entries: 2, Cancel: true, Kill: seed%2 == 0, Restart: true})
		s, err := Collect(merge(run).Events(), "demo")
		if err != nil {
			t.Fatal(err)
		}
		for k := 1; k <= s.Entries(); k++ {
			path, err := s.Path(k)
			if err != nil {
				t.Fatal(err)
			}
			story, err := s.Tell(k)
			if err != nil {
				t.Fatal(err)
			}
			steps := 0
			for _, st := range s.steps {
				for _, n := range st.nodes {
					if path.Has(n.place()) && n.place() != path.End {
						steps++
						break
					}
				}
			}
			if steps != len(story.Rows) {
				t.Errorf("seed %d, entry %d: the story tells of %d steps, the path of %d", seed, k, len(story.Rows), steps)
			}
			if end := s.ends[s.entries[k-1]]; end == nil != (path.End == Place{}) || end != nil && !path.Has(end.place()) {
				t.Errorf("seed %d, entry %d: the hold ends with %v, the path with %v", seed, k, end, path.End)
			}
		}
	}
}
