package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be what the tests need: Run takes over a whole
// process, so each run is one of its own.
func TestMain(m *testing.M) {
	switch role := os.Getenv("COMMAND_ROLE"); role {
	case "run":
		os.Exit(roleRun())
	case "echo", "echo, too":
		os.Exit(roleEcho(role == "echo"))
	case "":
		os.Exit(m.Run())
	default:
		panic(role)
	}
}

// report is what a runner tells of its run, as a line of JSON.
type report struct {
	Warning string `json:",omitempty"`
	Lost    bool
	Left    []Process
	Code    int
	Signal  int
	Err     string
	Spare   time.Duration // from the end of the run to that of the lease
	Leaks   string
}

// leaseHold is a hold that is renewed at each look, until it is told otherwise, or
// nobody has looked for as long as the lease lasts.
type leaseHold struct {
	mu       sync.Mutex
	ttl      time.Duration
	deadline time.Time
	stays    bool
	ends     time.Time // whatever is renewed; zero: never
	ctx      context.Context
	end      context.CancelFunc
}

func (h *leaseHold) Context() context.Context {
	if !h.ends.IsZero() && time.Now().After(h.ends) {
		h.end()
	}
	return h.ctx
}

func (h *leaseHold) Deadline() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case h.ttl == 0:
		return time.Time{}
	case h.deadline.IsZero() || !h.stays && now.Before(h.deadline):
		h.deadline = now.Add(h.ttl)
	case !now.Before(h.deadline):
		h.end()
	}
	return h.deadline
}

// obey does what the test says: "stay" to renew no more, "renew" to do so again,
// "end" to end the hold, "cancel" to end the context of Run.
func (h *leaseHold) obey(orders *os.File, cancel context.CancelFunc) {
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		h.Deadline()
		h.mu.Lock()
		switch lines.Text() {
		case "stay":
			h.stays = true
		case "renew":
			h.stays = false
			h.deadline = time.Now().Add(h.ttl)
		case "end":
			h.end()
		case "cancel":
			cancel()
		}
		h.mu.Unlock()
	}
}

// roleRun runs its arguments. If COMMAND_FD is set, descriptors 3 and 4 bring
// orders and take reports.
func roleRun() int {
	ttl, _ := time.ParseDuration(os.Getenv("COMMAND_TTL"))
	after, err := time.ParseDuration(os.Getenv("COMMAND_KILL_AFTER"))
	if err != nil {
		after = 10 * time.Second
	}
	hold := &leaseHold{ttl: ttl}
	if ends, err := time.ParseDuration(os.Getenv("COMMAND_ENDS")); err == nil {
		hold.ends = time.Now().Add(ends)
	}
	hold.ctx, hold.end = context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tell := func(r report) { fmt.Fprintln(os.Stderr, r.Warning) }
	if os.Getenv("COMMAND_FD") != "" {
		unix.CloseOnExec(3)
		unix.CloseOnExec(4)
		go hold.obey(os.NewFile(3, "orders"), cancel)
		reports := json.NewEncoder(os.NewFile(4, "reports"))
		tell = func(r report) { reports.Encode(r) }
	}
	spec := Spec{Args: os.Args[1:], Shell: os.Getenv("COMMAND_SHELL") != "", KillAfter: after}
	spec.Warn = func(s string) { tell(report{Warning: s}) }
	c, err := spec.Resolve()
	if start := (*StartError)(nil); errors.As(err, &start) {
		tell(report{Code: start.Code, Err: err.Error()})
		return start.Code
	}
	// What the runtime starts once is no leak.
	signal.Notify(make(chan os.Signal, 1), unix.SIGUSR1)
	if a, b, err := os.Pipe(); err == nil {
		a.Close()
		b.Close()
	}
	before := holdings()
	result := c.Run(ctx, hold, strings.Fields(os.Getenv("COMMAND_ENV"))...)
	r := report{Lost: result.Lost, Left: result.Left, Code: result.Code, Signal: int(result.Signal), Spare: time.Until(hold.Deadline())}
	if result.Err != nil {
		r.Err = result.Err.Error()
	}
	if after := holdings(); after != before {
		r.Leaks = before + ", then " + after
	}
	if os.Getenv("COMMAND_FD") != "" {
		tell(r)
	}
	return result.Code
}

// roleEcho says which signals it gets, and has another process of its group do so,
// too. Both end by SIGTERM.
func roleEcho(first bool) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGTERM)
	if first {
		second := exec.Command(os.Args[0])
		second.Env = append(os.Environ(), "COMMAND_ROLE=echo, too")
		second.Stdout = os.Stdout
		if second.Start() != nil {
			return 1
		}
		defer second.Wait()
	}
	fmt.Println("ready")
	for s := range signals {
		fmt.Println(strings.TrimPrefix(unix.SignalName(s.(syscall.Signal)), "SIG"))
		if s == unix.SIGTERM {
			break
		}
	}
	return 7
}

// holdings are what a run could leak.
func holdings() string {
	var fds []string
	for i := range 64 {
		if to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", i)); err == nil {
			fds = append(fds, fmt.Sprintf("%d %s", i, to))
		}
	}
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return fmt.Sprintf("%d goroutines, descriptors %q, children: %v", runtime.NumGoroutine(), fds, !errors.Is(err, syscall.ECHILD))
}

// contextEnded returns a context that has ended.
func contextEnded() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}
