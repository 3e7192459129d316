package pause

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/fence"
)

// The cluster of the story.
const (
	lock = "account"
	ttl  = time.Second
)

// taskEnv has the task of a child process, as JSON. The test binary starts itself.
const taskEnv = "CONCH_PAUSE_TASK"

// task is which peer a child is, and what it writes.
type task struct {
	Name    string
	Peers   conch.Peers
	Dir     string // of the peer
	Traces  string
	Account string // the file that all write
	Fenced  bool
}

func TestMain(m *testing.M) {
	text := os.Getenv(taskEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var t task
	err := json.Unmarshal([]byte(text), &t)
	if err == nil {
		err = t.obey()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// obey is a peer that does what it is told, line by line, and says how that went.
// What it believes is what any program believes: that what it has just seen of its
// hold is still so.
func (t *task) obey() error {
	ctx := context.Background()
	peer, err := conch.Join(ctx, conch.Config{Name: t.Name, Peers: t.Peers, TTL: ttl, Dir: t.Dir, TraceDir: t.Traces})
	if err != nil {
		return err
	}
	defer peer.Close()
	account, err := fence.OpenFile(t.Account)
	if err != nil {
		return err
	}
	fmt.Println("is there")
	var hold *conch.Hold
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		order, argument, _ := strings.Cut(orders.Text(), " ")
		switch order {
		case "lock":
			if hold, err = peer.Mutex(lock).Lock(ctx); err != nil {
				return err
			}
			fmt.Printf("enters with token %d\n", hold.Token())
		case "read":
			fmt.Println(t.read(ctx, account, hold))
		case "look":
			if hold.Context().Err() == nil {
				fmt.Println("looks: its hold lasts")
			} else {
				fmt.Println("looks: its hold has ended")
			}
		case "write":
			fmt.Println(t.write(ctx, account, hold, argument))
		case "unlock":
			if err := hold.Unlock(); err != nil {
				fmt.Printf("leaves, and is told: %v\n", err)
			} else {
				fmt.Println("leaves")
			}
		}
	}
	return nil
}

// read tells the balance. With the fence the token is shown before the balance is
// read: what the write will rest on cannot be written by an older one after that.
func (t *task) read(ctx context.Context, account *fence.File, hold *conch.Hold) string {
	var balance []byte
	read := func() (err error) {
		balance, err = os.ReadFile(t.Account)
		return err
	}
	var err error
	if t.Fenced {
		err = account.Do(ctx, hold.Lock(), fence.Token(hold.Token()), read)
	} else {
		err = read()
	}
	if err != nil {
		return fmt.Sprintf("cannot read: %v", err)
	}
	return "reads " + string(balance)
}

// write writes a balance, without another look at the hold.
func (t *task) write(ctx context.Context, account *fence.File, hold *conch.Hold, balance string) string {
	var err error
	if t.Fenced {
		err = account.WriteFile(ctx, hold.Lock(), fence.Token(hold.Token()), []byte(balance), 0o644)
	} else {
		err = os.WriteFile(t.Account, []byte(balance), 0o644)
	}
	if err != nil {
		return fmt.Sprintf("cannot write %s: %v", balance, err)
	}
	return "writes " + balance
}

// puppet is a child process.
type puppet struct {
	name    string
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Scanner
}

// start starts a child, and waits until it has joined. The child ends when its
// orders do, and in any case with this process.
func start(t *testing.T, ctx context.Context, child task) *puppet {
	t.Helper()
	text, err := json.Marshal(child)
	if err != nil {
		t.Fatal(err)
	}
	p := &puppet{name: child.Name, cmd: exec.CommandContext(ctx, os.Args[0])}
	p.cmd.Env = append(os.Environ(), taskEnv+"="+string(text))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.orders, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.answers = bufio.NewScanner(out)
	if answer := p.answer(t); answer != "is there" {
		t.Fatalf("%s %s", p.name, answer)
	}
	return p
}

// order tells the process what to do.
func (p *puppet) order(t *testing.T, order string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.orders, order); err != nil {
		t.Fatalf("%s is told to %s: %v", p.name, order, err)
	}
}

// answer waits until the process says how it went.
func (p *puppet) answer(t *testing.T) string {
	t.Helper()
	if !p.answers.Scan() {
		t.Fatalf("%s says nothing more: %v", p.name, p.answers.Err())
	}
	return p.answers.Text()
}

// stop stops the process, and waits until it stands still.
func (p *puppet) stop(t *testing.T) {
	t.Helper()
	err := p.cmd.Process.Signal(syscall.SIGSTOP)
	for err == nil {
		if err = unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil); err == nil {
			return
		}
		if err == unix.EINTR {
			err = nil
		}
	}
	t.Fatalf("%s cannot be stopped: %v", p.name, err)
}

// resume lets it go on.
func (p *puppet) resume(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// balance returns what is in the account.
func balance(t *testing.T, account string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(account))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
