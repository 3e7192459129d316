package command

import (
	"os/exec"
	"testing"
)

// BenchmarkRun runs /bin/true; BenchmarkBare does it with os/exec. The difference
// is what being held, watched and waited for costs.
func BenchmarkRun(b *testing.B) {
	c, err := Spec{Args: []string{"/bin/true"}}.Resolve()
	if err != nil {
		b.Fatal(err)
	}
	hold := &leaseHold{ctx: b.Context()}
	for b.Loop() {
		if r := c.Run(b.Context(), hold, "TOKEN=1"); r.Err != nil || r.Code != 0 {
			b.Fatalf("%+v", r)
		}
	}
}

func BenchmarkBare(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
