package compare

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Result is a comparison.
type Result struct {
	Unit    string  `json:"unit"` // of times: T or us
	Seed    uint64  `json:"seed"`
	Entries int     `json:"entries"` // that were asked for, of each run
	Rows    []Row   `json:"runs"`
	Deaths  []Death `json:"deaths,omitempty"`
}

// Simulated says that times are in T.
func (r *Result) Simulated() bool { return r.Unit == "T" }

// what says what a load is.
func (l Load) what() string {
	switch l {
	case Light:
		return "light load: one peer at a time, any with equal probability, and nobody else waits"
	case Medium:
		return "medium load: each peer now and then, together about once in 3 T"
	}
	return "heavy load: all peers want the lock all the time"
}

// WriteText writes tables for a terminal, one for each load.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, load := range Loads() {
		rows := r.under(load)
		if len(rows) == 0 {
			continue
		}
		title := load.what()
		if !r.Simulated() {
			title = string(load) + " load"
		}
		fmt.Fprintf(&b, "%s\n\n", title)
		lines := [][]string{r.head()}
		for _, x := range rows {
			lines = append(lines, r.line(x))
		}
		align(&b, lines)
		b.WriteByte('\n')
	}
	if len(r.Rows) > 0 {
		r.legend(&b)
		b.WriteByte('\n')
	}
	r.deaths(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) under(load Load) []Row {
	var rows []Row
	for _, x := range r.Rows {
		if x.Load == load {
			rows = append(rows, x)
		}
	}
	return rows
}

func (r *Result) head() []string {
	return []string{"algorithm", "peers", "messages", "formula", "median", "max", "bytes", "upkeep", "handoff", "wait p50", "wait p99", "Jain"}
}

func (r *Result) line(x Row) []string {
	line := []string{x.Algorithm, strconv.Itoa(x.Peers), fixed(x.Messages), span(x.Least, x.Most), strconv.Itoa(x.Median),
		"-", "-", fixed(x.Upkeep), "-", r.time(x.WaitP50), r.time(x.WaitP99), "-"}
	if x.Load == Light && r.Simulated() {
		line[5] = strconv.Itoa(x.Max)
	} else {
		line[11] = fixed(x.Jain)
	}
	if r.Simulated() {
		line[6] = fmt.Sprintf("%.0f", x.Bytes)
	}
	if x.Handoffs > 0 {
		line[8] = r.time(x.Handoff)
		if !r.Simulated() {
			line[8] = r.time(x.HandoffP)
		}
	}
	return line
}

// fixed writes a number with two decimals.
func fixed(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

// time writes a time without its unit.
func (r *Result) time(x float64) string {
	if r.Simulated() {
		return fixed(x)
	}
	return fmt.Sprintf("%.0f", x)
}

// span writes what a formula says of the mean.
func span(least, most float64) string {
	if least == most {
		return fixed(most)
	}
	if least == 0 {
		return "<=" + fixed(most)
	}
	return fixed(least) + ".." + fixed(most)
}

// align writes a table: the first column to the left, the others to the right.
func align(b *strings.Builder, lines [][]string) {
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], len(cell))
		}
	}
	for _, line := range lines {
		fmt.Fprintf(b, "%-*s", width[0], line[0])
		for i, cell := range line[1:] {
			fmt.Fprintf(b, "  %*s", width[i+1], cell)
		}
		b.WriteByte('\n')
	}
}

// legend says what the columns are.
func (r *Result) legend(b *strings.Builder) {
	b.WriteString("messages, bytes, upkeep: per entry. Upkeep is what no entry needs (renewals of leases, for one), and is in no other column.\n")
	handoff := "the mean"
	if !r.Simulated() {
		handoff = "half of them take at most that"
	}
	fmt.Fprintf(b, "handoff: from an exit to the next entry of who waited, %s. Jain: fairness by entries, 1.00 is even.\n", handoff)
	if r.Simulated() {
		b.WriteString("max: under light load alone; where others wait, their requests count for whoever enters first, as in median.\n" +
			"bytes: of messages as they are encoded, without frames and what gRPC adds. Times: in T, the delay of a message; work takes T/10, a lease 5000 T.\n")
	} else {
		b.WriteString("Times: in microseconds. bytes, and max: only in the simulator. Under light load these peers take turns, so a token seldom rests where it is wanted next.\n")
	}
	r.formulas(b)
}

// formulas says what is behind the numbers of that column.
func (r *Result) formulas(b *strings.Builder) {
	b.WriteString("formula: what the mean of very many entries should be")
	if len(r.under(Medium)) > 0 {
		b.WriteString("; under medium load something between light and heavy")
	}
	b.WriteByte('\n')
	var lines [][2]string
	for _, name := range r.names() {
		var parts []string
		for _, load := range []Load{Light, Heavy} {
			rows := r.under(load)
			at := slices.IndexFunc(rows, func(x Row) bool { return x.Algorithm == name })
			if at >= 0 {
				parts = append(parts, string(load)+": "+rows[at].Formula)
			}
		}
		if len(parts) == 2 && strings.TrimPrefix(parts[0], "light") == strings.TrimPrefix(parts[1], "heavy") {
			parts = []string{strings.TrimPrefix(parts[0], "light: ")}
		}
		if len(parts) > 0 {
			lines = append(lines, [2]string{name, strings.Join(parts, "; ")})
		}
	}
	for _, line := range lines {
		fmt.Fprintf(b, "  %-16s %s\n", line[0], line[1])
	}
}

func (r *Result) deaths(b *strings.Builder) {
	if len(r.Deaths) == 0 {
		return
	}
	fmt.Fprintf(b, "when one of %d peers dies, while the others want the lock all the time\n\n", DeathPeers)
	for _, d := range r.Deaths {
		where := "wanting nothing"
		if d.Inside {
			where = "inside"
		}
		fmt.Fprintf(b, "%-16s %-16s %s\n", d.Algorithm, where, d)
	}
}

// WriteMarkdown writes a table for a chapter about the first algorithm, one for
// each load; of the others it has the messages only. If there is one number of
// peers, all algorithms stand in one table. Deaths are a table of their own, if
// there are no runs.
func (r *Result) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	if least, most, _ := r.extent(); least == most && len(r.names()) > 1 {
		r.markdownSurvey(&b, least)
		_, err := io.WriteString(w, b.String())
		return err
	}
	for _, load := range Loads() {
		rows := r.under(load)
		if len(rows) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		r.markdown(&b, rows, load)
	}
	if len(r.Deaths) > 0 && len(r.Rows) == 0 {
		r.markdownDeaths(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownSurvey writes a table with a line for each algorithm.
func (r *Result) markdownSurvey(b *strings.Builder, peers int) {
	head := []string{strconv.Itoa(peers) + " peers"}
	lines := make(map[string][]string)
	for _, load := range Loads() {
		rows := r.under(load)
		if len(rows) == 0 {
			continue
		}
		head = append(head, "messages per entry, "+string(load)+" load", "formula", delayOf(load))
		for _, x := range rows {
			lines[x.Algorithm] = append(lines[x.Algorithm], fmt.Sprintf("%.1f", x.Messages), x.predicted(), x.delay())
		}
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, name := range r.names() {
		fmt.Fprintf(b, "| `%s` | %s |\n", name, strings.Join(lines[name], " | "))
	}
}

// delayOf names the delay that counts under a load: where nobody waits, no exit
// is followed by an entry.
func delayOf(load Load) string {
	if load == Light {
		return "from request to entry, median"
	}
	return "from exit to entry, mean"
}

// delay writes it.
func (x Row) delay() string {
	if x.Load == Light {
		return fmt.Sprintf("%.1f T", x.WaitP50)
	}
	return fmt.Sprintf("%.1f T", x.Handoff)
}

func (r *Result) markdownDeaths(b *strings.Builder) {
	fmt.Fprintf(b, "| one of %d peers dies | while it wants nothing | while it is inside |\n|---|---|---|", DeathPeers)
	for _, d := range r.Deaths {
		if !d.Inside {
			fmt.Fprintf(b, "\n| `%s` |", d.Algorithm)
		}
		fmt.Fprintf(b, " %s |", d)
	}
	b.WriteByte('\n')
}

func (r *Result) markdown(b *strings.Builder, rows []Row, load Load) {
	names, lines := []string{}, make(map[int][]string)
	var peers []int
	for _, x := range rows {
		if len(names) == 0 || names[len(names)-1] != x.Algorithm {
			names = append(names, x.Algorithm)
		}
		if len(names) > 1 {
			lines[x.Peers] = append(lines[x.Peers], fmt.Sprintf("%.1f", x.Messages))
			continue
		}
		peers = append(peers, x.Peers)
		lines[x.Peers] = []string{strconv.Itoa(x.Peers), fmt.Sprintf("%.1f", x.Messages), x.predicted(),
			x.delay(), fmt.Sprintf("%.0f", x.Bytes)}
	}
	head := []string{"peers, " + string(load) + " load", "messages per entry", "formula", delayOf(load), "bytes per entry"}
	for _, name := range names[1:] {
		head = append(head, "messages of `"+name+"`")
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, n := range peers {
		fmt.Fprintf(b, "| %s |\n", strings.Join(lines[n], " | "))
	}
}

// predicted is what the formula says, with as many digits as what is measured.
func (x Row) predicted() string {
	least, most := fmt.Sprintf("%.1f", x.Least), fmt.Sprintf("%.1f", x.Most)
	if least == most {
		return most
	}
	if x.Least == 0 {
		return "at most " + most
	}
	return least + " to " + most
}

// WriteCSV writes one line for each run, with the names of the JSON.
func (r *Result) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	c.Write([]string{"algorithm", "peers", "load", "entries", "messages_per_entry", "messages_median", "messages_max", "formula", "formula_least", "formula_most",
		"upkeep_per_entry", "bytes_per_entry", "handoffs", "handoff_mean", "handoff_p50", "wait_p50", "wait_p99", "jain_entries", "unit"})
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
	for _, x := range r.Rows {
		c.Write([]string{x.Algorithm, strconv.Itoa(x.Peers), string(x.Load), strconv.Itoa(x.Entries), number(x.Messages), strconv.Itoa(x.Median), strconv.Itoa(x.Max),
			x.Formula, number(x.Least), number(x.Most), number(x.Upkeep), number(x.Bytes), strconv.Itoa(x.Handoffs), number(x.Handoff), number(x.HandoffP),
			number(x.WaitP50), number(x.WaitP99), number(x.Jain), r.Unit})
	}
	c.Flush()
	return c.Error()
}
