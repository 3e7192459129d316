package command

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds each wait of a test, of a machine that does a lot besides.
const patience = 10 * time.Second

// run is a runner, a process of its own, and its command.
type run struct {
	*exec.Cmd
	t       *testing.T
	orders  *os.File
	reports *json.Decoder
	out     *bufio.Reader
	outFile *os.File
	ended   bool
}

// startRun starts a runner whose stdout, which is also the command's, the test
// reads. As long as anybody who was started has it open, it has no end.
func startRun(t *testing.T, env []string, args ...string) *run {
	t.Helper()
	return startFrom(t, exec.Command(executablePath(t), args...), append(env, "COMMAND_ROLE=run"))
}

func executablePath(t *testing.T) string {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startFrom starts cmd, which is to become a runner.
func startFrom(t *testing.T, cmd *exec.Cmd, env []string) *run {
	t.Helper()
	ordersOut, orders := pipe(t)
	reports, reportsIn := pipe(t)
	out, outIn := pipe(t)
	r := &run{Cmd: cmd, t: t, orders: orders, reports: json.NewDecoder(reports), out: bufio.NewReader(out), outFile: out}
	r.Env = append(os.Environ(), "COMMAND_FD=yes")
	r.Env = append(r.Env, env...)
	r.ExtraFiles = []*os.File{ordersOut, reportsIn}
	r.Stdout, r.Stderr = outIn, os.Stderr
	r.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // else it might stop us, as part of its job
	for _, f := range []*os.File{reports, out} {
		f.SetReadDeadline(time.Now().Add(patience))
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{ordersOut, reportsIn, outIn} {
		f.Close()
	}
	t.Cleanup(func() {
		if !r.ended {
			r.Process.Kill()
			r.Wait()
		}
	})
	return r
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// line reads a line of what the command and its children write.
func (r *run) line() string {
	r.t.Helper()
	s, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatalf("no line: %v", err)
	}
	return strings.TrimSpace(s)
}

// expect reads that many lines, of which each must be want.
func (r *run) expect(n int, want string) {
	r.t.Helper()
	for range n {
		if got := r.line(); got != want {
			r.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// pid reads a line that is a number.
func (r *run) pid() int {
	r.t.Helper()
	s := r.line()
	n, err := strconv.Atoi(s)
	if err != nil {
		r.t.Fatalf("no process: %q", s)
	}
	return n
}

func (r *run) order(s string) {
	if _, err := io.WriteString(r.orders, s+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) signal(s unix.Signal) {
	if err := r.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// warning returns the next one, which must come before the end.
func (r *run) warning() string {
	r.t.Helper()
	var rep report
	if err := r.reports.Decode(&rep); err != nil || rep.Warning == "" {
		r.t.Fatalf("no warning: %+v, %v", rep, err)
	}
	return rep.Warning
}

// wait waits for the end of the run. Nothing of the command may live then, as far
// as it has stdout open, and the runner may hold nothing.
func (r *run) wait() report {
	r.t.Helper()
	var rep report
	for {
		if err := r.reports.Decode(&rep); err != nil {
			r.t.Fatalf("no report: %v", err)
		}
		if rep.Warning == "" {
			break
		}
		r.t.Log("it says: ", rep.Warning)
		rep = report{}
	}
	err := r.Wait()
	r.ended = true
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	if code := r.ProcessState.ExitCode(); code != rep.Code {
		r.t.Errorf("the runner exits with %d and reports %+v", code, rep)
	}
	if rep.Leaks != "" {
		r.t.Error("it had ", rep.Leaks)
	}
	r.gone()
	return rep
}

// gone demands that nobody has stdout open, now.
func (r *run) gone() {
	r.t.Helper()
	r.outFile.SetReadDeadline(time.Now().Add(time.Second / 10))
	if rest, err := io.ReadAll(r.out); err != nil {
		r.t.Errorf("somebody lives: %v, after %.100q", err, rest)
	}
}

// inTime demands that the run was over before its lease.
func (r *run) inTime(rep report) {
	r.t.Helper()
	if !rep.Lost || rep.Spare <= 0 || len(rep.Left) > 0 {
		r.t.Errorf("not ended before its lease: %+v", rep)
	}
}

// eventually waits until something is so that nothing tells of.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

// state returns the state of a process as /proc has it, or 0.
func state(pid int) byte {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	i := strings.LastIndexByte(string(line), ')')
	return line[i+2]
}
