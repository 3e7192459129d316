package command

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// session is an interactive shell at a terminal, and what the terminal shows.
type session struct {
	t    *testing.T
	pty  *os.File
	seen string // what was shown and not yet expected
}

// startShell starts a bash with job control, in which "run" is a runner.
func startShell(t *testing.T, env ...string) *session {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals: ", err)
	}
	t.Cleanup(func() { pty.Close() })
	conn, err := pty.SyscallConn() // Fd would make it block, without a deadline
	if err != nil {
		t.Fatal(err)
	}
	var n uint32
	conn.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	cmd := exec.Command(bash, "--norc", "--noprofile", "--noediting", "-i")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = append(os.Environ(), "PS1=% ", "COMMAND_ROLE=run", "HISTFILE=", "run="+executablePath(t))
	cmd.Env = append(cmd.Env, env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pty.Close() // hangs up
		cmd.Process.Kill()
		cmd.Wait()
	})
	s := &session{t: t, pty: pty}
	s.expect("% ")
	return s
}

func (s *session) typed(text string) {
	s.t.Helper()
	if _, err := s.pty.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits until the terminal shows something.
func (s *session) expect(pattern string) string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	buf := make([]byte, 4096)
	s.pty.SetReadDeadline(time.Now().Add(patience))
	for {
		if at := re.FindStringIndex(s.seen); at != nil {
			found := s.seen[at[0]:at[1]]
			s.seen = s.seen[at[1]:]
			return found
		}
		n, err := s.pty.Read(buf)
		s.seen += string(buf[:n])
		if err != nil {
			s.t.Fatalf("%v; expected %q, shown is %q", err, pattern, s.seen)
		}
	}
}

// code demands the exit code of what has just ended.
func (s *session) code(want int) {
	s.t.Helper()
	s.expect("% ")
	s.typed("echo code=$?\n")
	if got := strings.TrimSpace(s.expect(`code=\d+`)); got != fmt.Sprintf("code=%d", want) {
		s.t.Errorf("%s, want %d", got, want)
	}
	s.expect("% ")
}

// TestInterruptTyped: Ctrl-C and Ctrl-\ go to the command, once.
func TestInterruptTyped(t *testing.T) {
	s := startShell(t)
	s.typed("$run bash -c 'n=0; trap \"echo INT\" INT; trap \"echo QUIT; exit 5\" QUIT; echo rea\"\"dy; while :; do read -t 0.2 -r x && echo \"got $x\"; done'\n")
	s.expect("ready\r\n")
	for range 3 {
		s.typed("\x03")
		s.expect(`\^CINT\r\n`)
		s.typed("word\n") // the command reads the terminal; a second INT would show before that
		if got := s.expect(`(?s).*got word\r\n`); strings.Contains(got, "INT") {
			t.Errorf("twice: %q", got)
		}
	}
	s.typed("\x1c")
	s.code(5)
	s.typed("$run sleep 1000\n")
	s.expect("1000\r\n")
	eventually(t, "the command has the terminal", func() bool { return s.foreground() == "sleep" })
	s.typed("\x03")
	s.code(130)
}

// jobs asks the shell until it says that its job is so.
func (s *session) jobs(so string) {
	s.t.Helper()
	eventually(s.t, "a job is "+so, func() bool {
		s.typed("jobs\n")
		return strings.Contains(s.expect(`(?s)jobs\r\n.*% `), so)
	})
}

// TestLeftBehindTyped: Ctrl-C ends what a command has left in the background, which
// does not hear it itself.
func TestLeftBehindTyped(t *testing.T) {
	s := startShell(t)
	s.typed("$run sh -c 'sleep 1000 & exit 3'\n")
	s.expect("waiting for sleep")
	s.typed("\x03")
	s.code(3)
}

// foreground returns the name of what leads the terminal's foreground group.
func (s *session) foreground() string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.group()))
	return strings.TrimSpace(string(text))
}

// group is the process group that has the terminal.
func (s *session) group() (group int) {
	conn, _ := s.pty.SyscallConn()
	conn.Control(func(fd uintptr) { group, _ = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	return group
}

// TestStopTyped: Ctrl-Z stops the job, which the shell sees; fg and bg continue
// it. So it is with one inside another, and with one that a pipeline's pager has
// the terminal of.
func TestStopTyped(t *testing.T) {
	for name, run := range map[string]string{"one": "$run cat", "nested": "$run $run cat", "in a pipeline": "$run cat | cat"} {
		t.Run(name, func(t *testing.T) {
			s := startShell(t, "COMMAND_TTL=60s")
			s.typed(run + "\n")
			s.typed("hello\n")
			s.expect("hello\r\nhello\r\n")
			s.typed("\x1a")
			s.expect(`Stopped`)
			s.expect("% ")
			s.typed("fg\n")
			s.expect("cat\r\n")
			s.typed("again\n")
			s.expect("again\r\nagain\r\n")
			s.typed("\x1a")
			s.expect(`Stopped`)
			s.expect("% ")
			s.typed("bg\n")
			s.expect("% ")
			s.jobs("Stopped") // it wants the terminal
			s.typed("fg\n")
			s.expect("cat\r\n")
			s.typed("once more\n")
			s.expect("once more\r\nonce more\r\n")
			s.typed("\x04")
			s.code(0)
		})
	}
}

// TestBackground: what runs on in the background does so, and is interrupted when
// it is in the foreground again.
func TestBackground(t *testing.T) {
	s := startShell(t, "COMMAND_TTL=60s")
	s.typed("$run sleep 1000\n")
	eventually(t, "the command has the terminal", func() bool { return s.foreground() == "sleep" })
	command := s.group()
	s.typed("\x1a")
	s.expect("Stopped")
	s.expect("% ")
	s.typed("bg\n")
	s.expect("% ")
	s.jobs("Running")
	// The shell takes the job for running before the runner runs; once it does, and
	// if that is after fg, the command has the terminal again.
	eventually(t, "the command runs in the background", func() bool { return state(command) != 'T' })
	s.typed("fg\n")
	s.expect("1000\r\n")
	eventually(t, "the runner has the terminal", func() bool { return strings.HasPrefix(s.foreground(), "command") })
	s.typed("\x03")
	s.code(130)
}

// TestStoppedTooLong: a command whose lease has ended while it was stopped is
// never continued, nor one whose hold has ended otherwise, however long its lease.
// What left its group does not run meanwhile either.
func TestStoppedTooLong(t *testing.T) {
	for _, ttl := range []string{"1500ms", "60s"} {
		t.Run(ttl, func(t *testing.T) { stoppedTooLong(t, ttl) })
	}
}

func stoppedTooLong(t *testing.T, ttl string) {
	dir := t.TempDir()
	s := startShell(t, "COMMAND_TTL="+ttl, "COMMAND_ENDS=1500ms")
	s.typed("$run bash -c 'setsid -f bash -c \"echo \\$\\$ >" + dir + "/outside; exec sleep 1000\"; until [ -s " + dir + "/outside ]; do :; done; trap \"touch " + dir + "/continued\" CONT; echo rea\"\"dy; read -r; read -r; read -r'\n")
	s.expect("ready\r\n")
	s.typed("\x1a")
	s.expect("Stopped")
	text, err := os.ReadFile(dir + "/outside")
	if err != nil {
		t.Fatal(err)
	}
	outside := 0
	fmt.Sscan(string(text), &outside)
	if got := state(outside); got != 'T' {
		t.Errorf("who left the group is not stopped: %c", got)
	}
	s.expect("% ")
	s.typed("sleep 2; fg\n")
	s.expect("read -r'\r\n") // what fg continues
	s.code(137)
	if _, err := os.Stat(dir + "/continued"); err == nil {
		t.Error("the command was continued")
	}
	if got := state(outside); got != 0 && got != 'Z' {
		t.Errorf("who left the group lives: %c", got)
	}
}

// TestTerminalModes: a command that dies leaves no terminal without echo; one that
// ends by itself may.
func TestTerminalModes(t *testing.T) {
	s := startShell(t)
	s.typed("$run bash -c 'stty -echo; kill -9 $$'\n")
	s.code(137)
	s.typed("stty -a | grep -o -w -e '-*echo'\n")
	s.expect("[ \n]echo\r\n")
	s.typed("$run stty -echo; $run stty -a | grep -o -w -e '-*echo'\n")
	s.expect("[ \n]-echo\r\n")
}

// TestScript: in a script Ctrl-C reaches the script, too.
func TestScript(t *testing.T) {
	s := startShell(t)
	if _, err := exec.LookPath("dash"); err != nil {
		t.Skip("no dash; bash does not mind a Ctrl-C that the command has minded")
	}
	s.typed("dash -c 'trap \"echo script\" INT; $run bash -c \"trap \\\"echo command; exit 3\\\" INT; echo rea\\\"\\\"dy; while :; do :; done\"; echo co\"\"de=$?'\n")
	s.expect("ready\r\n")
	s.typed("\x03")
	s.expect("command\r\n")
	s.expect("script\r\n")
	s.expect("code=3\r\n")
}
