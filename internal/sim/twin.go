package sim

import (
	"bytes"
	"fmt"

	"github.com/conchlock/conch/algo"
)

// checkTwin checks the contract that exploring rests on: after has just taken
// an input, with this outcome; twin, a clone or another process with the same
// encoding, has yet to. It has to do the same and become the same.
func checkTwin(twin, after algo.Process, in algo.Input, out []algo.Output) error {
	state := after.AppendState(nil)
	outcome := fmt.Sprintf("%#v", append([]algo.Output{}, out...))
	if got := fmt.Sprintf("%#v", twin.Step(in, []algo.Output{})); got != outcome {
		return fmt.Errorf("two equal processes did different things:\n%s\n%s", outcome, got)
	}
	if !bytes.Equal(state, twin.AppendState(nil)) {
		return fmt.Errorf("two equal processes have become different")
	}
	if !bytes.Equal(state, after.AppendState(nil)) {
		return fmt.Errorf("a step of a clone has changed its original")
	}
	return nil
}
