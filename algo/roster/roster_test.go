package roster

import (
	"strings"
	"testing"
)

// Who mistypes a name is told which one is near; who names something else is not.
func TestNearest(t *testing.T) {
	for typed, want := range map[string]string{
		"realy": "relay", "Relay": "relay", "rely": "relay", "lamprot": "lamport", "maekwa": "maekawa", "raymnod": "raymond",
		"ricart-agrawalla": "ricart-agrawala", "ricart": "ricart-agrawala", "ricartagrawala": "ricart-agrawala",
		"ring": "token-ring", "token_ring": "token-ring", "suzuki": "suzuki-kasami", "naimi": "naimi-trehel", "trehel": "naimi-trehel",
		"raymond:lin": "raymond:line", "raymond-star": "raymond:star", "luck": "", "raft": "", "paxos": "", "": "", "x": "", "a": "",
	} {
		_, err := New(typed)
		if err == nil {
			t.Errorf("%q: no error", typed)
			continue
		}
		near := "did you mean " + want + "?"
		if (want != "") != strings.Contains(err.Error(), "did you mean") || want != "" && !strings.Contains(err.Error(), near) {
			t.Errorf("%q: %v, want %q", typed, err, want)
		}
		for _, name := range Names() {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%q: %v does not list %s", typed, err, name)
			}
		}
	}
}

// Two letters that were swapped are one slip.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ring", 4}, {"relay", "relay", 0}, {"realy", "relay", 1}, {"rely", "relay", 1}, {"relays", "relay", 1}, {"delay", "relay", 1}, {"abc", "xyz", 3}} {
		if got := distanceOf(c.a, c.b); got != c.want || distanceOf(c.b, c.a) != got {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// Every algorithm has a cost, in each of its shapes, for one peer too, and no other
// name has.
func TestCosts(t *testing.T) {
	for _, name := range append(Names(), Variants()...) {
		c, ok := CostOf(name)
		if !ok {
			t.Errorf("%s: no cost", name)
			continue
		}
		for what, f := range map[string]Formula{"light": c.Light, "heavy": c.Heavy} {
			for n := 1; n <= 31; n++ {
				least, most := f.Mean(n)
				if least < 0 || most < least || n == 1 && most > 0 || n > 1 && most == 0 || f.Text == "" {
					t.Errorf("%s, %s load, %d peers: %v to %v, %q", name, what, n, least, most, f.Text)
				}
				if f.Most != nil && n > 1 && f.Most(n) < most {
					t.Errorf("%s, %s load, %d peers: at most %v, in the mean up to %v", name, what, n, f.Most(n), most)
				}
			}
		}
	}
	if _, ok := CostOf("luck"); ok {
		t.Error("luck has a cost")
	}
}
