package node_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/conchlock/conch/internal/node"
)

// A lock that is held is listed, however many others were used a moment ago, for which
// votes are lent yet; and those count for nothing.
func TestHeldIsListed(t *testing.T) {
	bubble(t, "relay", func(t *testing.T) {
		nodes := counted(t, "relay", &counter{wordless: true}, "a", "b")
		defer closeAll(t, nodes)
		var holds []*node.Hold
		for i := range 1500 {
			h, err := nodes[0].Acquire(t.Context(), fmt.Sprintf("a%d", i), node.About{})
			if err != nil {
				t.Fatal(err)
			}
			holds = append(holds, h)
		}
		if list, more := nodes[0].LookAll(); len(list) != 1000 || more != 500 {
			t.Errorf("%d are listed, and %d are not", len(list), more)
		}
		for _, h := range holds {
			h.Release()
		}
		if _, err := nodes[0].Acquire(t.Context(), "z", node.About{}); err != nil {
			t.Fatal(err)
		}
		list, more := nodes[0].LookAll()
		listed := slices.ContainsFunc(list, func(s node.Sight) bool { return s.Name == "z" && s.Hold != nil })
		sorted := slices.IsSortedFunc(list, func(a, b node.Sight) int { return cmp.Compare(a.Name, b.Name) })
		if !listed || !sorted || len(list) != 1000 || more != 0 {
			t.Errorf("z is listed: %t, sorted: %t, with %d others, and %d are not", listed, sorted, len(list)-1, more)
		}
	})
}
