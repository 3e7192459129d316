package pause

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/state"
	"github.com/conchlock/conch/internal/trace"
)

var rewrite = flag.Bool("rewrite", false, "write the story in docs/fence.md and the traces in docs/fence anew")

// within bounds an act, which takes a little more than the TTL.
const within = 30 * time.Second

// act is the story as it was told, once without the fence or once with it.
type act struct {
	told    strings.Builder
	balance int
	traces  string
}

// says adds a line to what is told, and folds it if it is long.
func (a *act) says(who, what string) {
	const width = 100
	for line := "  " + who + " "; what != ""; line = "      " {
		for word := ""; what != "" && len(line) < width; line += " " + word {
			word, what, _ = strings.Cut(what, " ")
		}
		fmt.Fprintln(&a.told, line)
	}
}

// play plays the story: the account has 100, a adds 10, b adds 5.
func play(t *testing.T, fenced bool) *act {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	a := &act{traces: t.TempDir()}
	children := cluster(t, a.traces, fenced)
	if err := os.WriteFile(children[0].Account, []byte("100"), 0o644); err != nil {
		t.Fatal(err)
	}
	var puppets []*puppet
	for _, child := range children {
		puppets = append(puppets, start(t, ctx, child))
	}
	first, second := puppets[0], puppets[1]
	tell := func(p *puppet, orders ...string) {
		for _, order := range orders {
			p.order(t, order)
			a.says(p.name, p.answer(t))
		}
	}
	tell(first, "lock", "read", "look")
	first.stop(t)
	a.says("a", "is stopped, just before it writes")
	began := time.Now()
	tell(second, "lock")
	if waited := time.Since(began); waited > ttl+2*time.Second {
		t.Errorf("b waited for %s", waited)
	}
	tell(second, "read", "write 105", "unlock")
	first.order(t, "write 110") // it is the first thing that a does when it wakes up
	first.resume(t)
	a.says("a", "goes on")
	a.says("a", first.answer(t))
	tell(first, "unlock")
	if fenced { // what the error has told it to do
		tell(first, "lock", "read", "write 115", "unlock")
	}
	a.balance = balance(t, children[0].Account)
	fmt.Fprintf(&a.told, "     the account has %d\n", a.balance)
	for _, p := range puppets {
		p.orders.Close() // they leave in good order, all at once
	}
	for _, p := range puppets {
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%s ends with %v", p.name, err)
		}
	}
	return a
}

// cluster returns the tasks of three new peers on loopback.
func cluster(t *testing.T, traces string, fenced bool) []task {
	t.Helper()
	peers, dir := make(conch.Peers), t.TempDir()
	names := []string{"a", "b", "c"}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // the child listens there
		peers[name] = l.Addr().String()
	}
	var tasks []task
	for _, name := range names {
		child := task{Name: name, Peers: peers, Dir: filepath.Join(dir, name), Traces: traces, Account: filepath.Join(dir, "account"), Fenced: fenced}
		if err := state.Create(child.Dir, algo.PeerName(name)); err != nil { // so that tokens begin at 1
			t.Fatal(err)
		}
		tasks = append(tasks, child)
	}
	return tasks
}

// TestPause plays both acts, and compares with what docs/fence.md shows.
func TestPause(t *testing.T) {
	const ask = "it is the account of a lost update: %s"
	without := play(t, false)
	if without.balance != 110 || !strings.Contains(without.told.String(), "  a  writes 110\n") {
		t.Errorf(ask, without.told.String())
	}
	with := play(t, true)
	if with.balance != 115 || !strings.Contains(with.told.String(), "  a  cannot write 110: fence: lock \"account\": token 1 is refused") {
		t.Errorf(ask, with.told.String())
	}
	for _, a := range []*act{without, with} {
		if !strings.Contains(a.told.String(), "looks: its hold lasts\n  a  is stopped") || !strings.Contains(a.told.String(), conch.ErrLost.Error()) {
			t.Errorf("a should have believed in its hold, and lost it:\n%s", a.told.String())
		}
	}
	got := "Without the fence:\n" + without.told.String() + "\nWith the fence:\n" + with.told.String()
	t.Log("\n" + got)
	compare(t, with, got)
}

// What docs/fence.md shows of the story.
var shown = regexp.MustCompile("(?s)<!-- the pause -->\n```\n(.*?)```\n")

// number is what differs from run to run: tokens.
var number = regexp.MustCompile(`\b(token|as) [0-9]+\b`)

// compare compares the story with the one in docs/fence.md, or puts it there,
// with the traces of the second act beside it.
func compare(t *testing.T, second *act, got string) {
	const page, runs = "../../docs/fence.md", "../../docs/fence/pause"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	in := shown.FindStringSubmatchIndex(string(text))
	if in == nil {
		t.Fatalf("%s does not show the story", page)
	}
	if !*rewrite {
		plain := func(s string) string { return number.ReplaceAllString(s, "$1 N") }
		if plain(string(text[in[2]:in[3]])) != plain(got) {
			t.Errorf("%s shows another story; go test ./internal/pause -rewrite writes it anew", page)
		}
		return
	}
	now := string(text[:in[2]]) + got + string(text[in[3]:])
	if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(runs, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		trace, err := os.ReadFile(filepath.Join(second.traces, name+trace.Suffix))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(runs, name+".ndjson"), trace, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
