package algotest_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/sim"
)

// TestScenarios plays testdata/scenarios. To write down what they tell now:
//
//	go test ./algo/algotest -run Scenarios -rewrite
//
// and read every difference before accepting it.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		about := filepath.Base(filepath.Dir(file))
		t.Run(about+"/"+strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s := &sim.Scenario{Algorithms: roster.New, Invariant: together}
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				var told strings.Builder
				for line := range strings.Lines(d.FullCmd() + "\n" + d.Input) {
					if strings.HasPrefix(line, "algorithm ") { // a file may hold several runs
						s = &sim.Scenario{Algorithms: roster.New, Invariant: together}
					}
					out, err := s.Exec(line)
					told.WriteString(out)
					if err != nil {
						told.WriteString("error: " + err.Error() + "\n")
					}
				}
				return told.String()
			})
		})
	}
}

// FuzzScenario plays anything: what cannot be read is an error that names the
// line, and never a panic. What can be read breaks no rule.
func FuzzScenario(f *testing.F) {
	f.Add("algorithm ricart-agrawala\npeers a b\ncontact all\nrequest a\nrestart b\nsettle")
	f.Add("algorithm token-ring\nlocks x y\nclocks 3 9\npeers a b c\nlose b a\nrequest a y\nrequest a\ncancel a\ncontact all\ndeliver all\nstatus")
	f.Add("algorithm lamport\npeers a b c\ncontact all\nrequest a\nrequest b\ndeliver a b\ncancel a\nrequest a\nrestart c\nsettle")
	f.Add("algorithm suzuki-kasami\npeers a b c\ncontact all\nrequest a\nrequest b\nrequest c\ndeliver all\ncancel c\nrelease a\nlose a b\nsettle")
	f.Add("algorithm maekawa\npeers a b c d\ncontact all\nrequest d\ndeliver d c\nrequest b\nrequest a\ndeliver all\ncancel b\nrelease d\nrestart c\nsettle")
	f.Add("algorithm raymond\npeers a b c d e\ncontact all\nrequest d\ndeliver d b\nrequest e\ndeliver all\ncancel e\nrequest c\nlose a c\nsettle")
	f.Add("algorithm raymond:star\nlocks x y\npeers a b c\ncontact all\nrequest b\nrequest c y\ndeliver all\nrelease b\nrequest c\nsettle")
	f.Add("algorithm naimi-trehel\npeers a b c d\ncontact all\nrequest d\nrequest c\ndeliver all\ncancel c\nrequest b\nrelease d\nrequest c\nrestart a\nsettle")
	f.Add("algorithm relay\nttl 12s\nrates 0 -900 300\nvoters a b\npeers a b c\ncontact all\nrequest a\npass 7s\nwake all\nwipe b\ndown a c\nsettle")
	f.Add("algorithm relay\nttl 12s\nlocks x y\nforget clock\npeers a b c\ncontact all\ndeliver all\nrequest a\nrequest b y\ndeliver all\nreplace b\nreplace a\ncontact all\npass 4s\nrestart c\nreplace c\nsettle")
	f.Add("algorithm token-ring\nttl 12s\npeers a b\nreplace a")
	f.Add("algorithm relay\nttl 1s\nlocks x x\npeers a b\nrequest a")
	f.Add("peers\nalgorithm\nrequest a")
	f.Add("algorithm relay\npeers a \nrequest a")
	f.Add("algorithm relay\nttl 1ns\npeers a\nrequest a")
	f.Add("algorithm relay\nttl 5s\nvoters z\npeers a b\nrequest a")
	f.Add("algorithm relay\nttl 5s\nrates 30000 -30000\npeers a b\ncontact all\nrequest a")
	f.Add("algorithm token-ring\nlocks 0 0\npeers a 0\nrequest 0")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			t.Skip()
		}
		s := &sim.Scenario{Algorithms: roster.New, Invariant: together}
		told, err := s.Play(text)
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("error without a line: %v", err)
		}
		if strings.Contains(told, "BROKEN") {
			t.Errorf("%s", told)
		}
	})
}
