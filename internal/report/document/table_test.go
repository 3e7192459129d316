package document

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestWidths shares out room: all of it if the table is too wide, none that a
// column does not need, and a column gets less than it needs only if it has its
// share.
func TestWidths(t *testing.T) {
	for seed := range uint64(5000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		n := 1 + rnd.IntN(12)
		whole, part := make([]float64, n), make([]float64, n)
		needed := 0.0
		for i := range n {
			if rnd.IntN(5) > 0 {
				whole[i] = rnd.ExpFloat64() * []float64{20, 200, 3000}[rnd.IntN(3)]
			}
			part[i] = whole[i] * rnd.Float64()
			needed += whole[i]
		}
		const room = 480.0
		sum := 0.0
		for i, w := range widths(whole, part, room) {
			sum += w
			if w < 0 || w > whole[i]+1e-6 && needed > room || w < min(part[i], room/float64(n))-1e-6 {
				t.Fatalf("seed %d: column %d of %.0f (%.0f) gets %.1f of %.0f", seed, i, whole[i], part[i], w, room)
			}
			if whole[i] <= room/float64(n) && !near(w, whole[i]) {
				t.Fatalf("seed %d: column %d needs only %.1f and gets %.1f", seed, i, whole[i], w)
			}
		}
		if want := min(needed, room); sum > want+1e-6 || sum < want-1e-6 {
			t.Fatalf("seed %d: %.2f of %.2f is given, for %v", seed, sum, want, whole)
		}
	}
}

// tablePages lays out a table after some text, and returns the text of each page.
func tablePages(t *testing.T, blocks ...Block) []string {
	t.Helper()
	var texts []string
	for _, p := range laidOut(t, &Document{Blocks: blocks}).pages {
		if p.cover {
			continue
		}
		var b strings.Builder
		for _, r := range p.runs {
			b.WriteString(r.text + "\n")
		}
		texts = append(texts, b.String())
	}
	return texts
}

// TestTableGoesOn has the head on each page, and rows that are not split.
func TestTableGoesOn(t *testing.T) {
	table := Table{Head: []Text{Words("the head"), Words("n")}, Columns: []Column{Left, Right}, Caption: Words("the caption")}
	for range 60 {
		table.Rows = append(table.Rows, []Text{Words("first " + strings.Repeat(prose, 5) + " last"), Words("1")})
	}
	pages := tablePages(t, table)
	if len(pages) < 4 {
		t.Fatalf("%d pages", len(pages))
	}
	for i, text := range pages {
		if strings.Count(text, "the head") != 1 {
			t.Errorf("page %d has the head %d times", i+1, strings.Count(text, "the head"))
		}
		if strings.Count(text, "first ") != strings.Count(text, " last") {
			t.Errorf("page %d: a row is split", i+1)
		}
		if strings.Contains(text, "the caption") != (i == len(pages)-1) {
			t.Errorf("page %d: the caption is in the wrong place", i+1)
		}
	}
	// A table that is not long stays whole, and of others no row stands alone.
	for fill := range 50 {
		for _, rows := range []int{8, 30} {
			table.Rows = slices.Repeat([][]Text{{Words("row"), Words("1")}}, rows)
			for i, text := range tablePages(t, Paragraph{Text: Words(strings.Repeat("fill\n", fill))}, table) {
				if n := strings.Count(text, "row"); rows == 8 && n%8 != 0 || n == 1 {
					t.Errorf("%d lines, then %d rows: %d rows on page %d", fill, rows, n, i+1)
				}
			}
		}
	}
	// A row that is longer than a page is split; nothing of it is lost.
	table.Rows = [][]Text{{Words(strings.Repeat("word ", 12000)), Words("1")}}
	words := 0
	for _, text := range tablePages(t, table) {
		words += strings.Count(text, "word")
	}
	if words != 12000 {
		t.Errorf("%d words", words)
	}
}

func TestColumnsAreAligned(t *testing.T) {
	s := laidOut(t, &Document{Blocks: []Block{Table{
		Head: []Text{Words("left"), Words("right")}, Columns: []Column{Left, Right},
		Rows: [][]Text{{Words("a"), Words("1")}, {Words("bb"), Words("22.5")}},
	}}})
	left, right := map[int]bool{}, map[int]bool{}
	for _, r := range s.pages[len(s.pages)-1].runs {
		switch r.text {
		case "left", "a", "bb":
			left[int(r.x*100+0.5)] = true
		case "right", "1", "22.5":
			right[int((r.x+r.wide)*100+0.5)] = true
		}
	}
	if len(left) != 1 || len(right) != 1 {
		t.Errorf("edges at %v, %v", left, right)
	}
}
