package command

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestExitCodes passes them on.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	for _, c := range []struct {
		args []string
		want report
	}{
		{[]string{"true"}, report{}},
		{[]string{"sh", "-c", "exit 3"}, report{Code: 3}},
		{[]string{"sh", "-c", "exit 255"}, report{Code: 255}},
		{[]string{"sh", "-c", "kill -TERM $$"}, report{Code: 143, Signal: 15}},
		{[]string{"sh", "-c", "kill -KILL $$"}, report{Code: 137, Signal: 9}},
		{[]string{write("plain", "exit 4")}, report{Code: 4}}, // no #!
		{[]string{write("binary", "\x7fELF\x00\x01")}, report{Code: 126, Err: dir + "/binary: cannot be run on this machine"}},
		{[]string{write("orphan", "#!/nowhere/sh\n")}, report{Code: 126, Err: dir + "/orphan: its interpreter is not found"}},
		{[]string{"/nowhere/at-all"}, report{Code: 127, Err: "/nowhere/at-all: not found"}},
		{[]string{dir}, report{Code: 126, Err: dir + ": is a directory"}},
	} {
		cmd := exec.Command(executablePath(t), c.args...)
		r := startFrom(t, cmd, []string{"COMMAND_ROLE=run"})
		if got := r.wait(); got.Code != c.want.Code || got.Signal != c.want.Signal || got.Err != c.want.Err || got.Lost {
			t.Errorf("%q: %+v, want %+v", c.args, got, c.want)
		}
	}
}

// TestShell has the user's shell read the words.
func TestShell(t *testing.T) {
	r := startRun(t, []string{"COMMAND_SHELL=yes", "SHELL=/bin/sh", "COMMAND_ENV=WORD=seven"}, "echo $WORD;", "exit", "3")
	r.expect(1, "seven")
	if got := r.wait(); got.Code != 3 {
		t.Errorf("%+v", got)
	}
}

// TestNestedEnvironment has an inner command see the inner values, and just them.
func TestNestedEnvironment(t *testing.T) {
	t.Setenv("COMMAND_ENV", "TOKEN=1 LOCK=a")
	r := startRun(t, nil, "env", "-u", "COMMAND_FD", "COMMAND_ENV=TOKEN=2", executablePath(t), "env")
	found := make(map[string][]string)
	for {
		s, err := r.out.ReadString('\n')
		if err != nil {
			break
		}
		name, value, _ := strings.Cut(strings.TrimSpace(s), "=")
		found[name] = append(found[name], value)
	}
	if got := strings.Join(found["TOKEN"], " "); got != "2" {
		t.Errorf("TOKEN is %q", got)
	}
	if got := strings.Join(found["LOCK"], " "); got != "a" {
		t.Errorf("LOCK is %q", got)
	}
	r.wait()
}

// TestStreams gives the command our very descriptors, and no others: those that
// it would have without us.
func TestStreams(t *testing.T) {
	const list = `for i in 0 1 2; do readlink /proc/$$/fd/$i; done; set -- /proc/$$/fd/*; echo "${@##*/}"`
	in, _ := pipe(t)
	bare := exec.Command("bash", "-c", list)
	bare.Stdin, bare.Stderr = in, os.Stderr
	out, err := bare.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(out)), "\n")
	cmd := exec.Command(executablePath(t), "bash", "-c", "readlink /proc/$PPID/fd/1;"+list)
	cmd.Stdin = in
	r := startFrom(t, cmd, []string{"COMMAND_ROLE=run"})
	want[1] = r.line() // our stdout
	for i, w := range want {
		if got := r.line(); got != w {
			t.Errorf("descriptor %d: %s, want %s", i, got, w)
		}
	}
	r.wait()
}

// TestSignals has each one reach the whole group once, however often it is sent.
func TestSignals(t *testing.T) {
	for _, end := range []string{"TERM", "cancel"} {
		r := startRun(t, nil, "env", "COMMAND_ROLE=echo", executablePath(t))
		r.expect(2, "ready")
		for _, s := range []unix.Signal{unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGINT, unix.SIGINT} {
			r.signal(s)
			r.expect(2, strings.TrimPrefix(unix.SignalName(s), "SIG"))
		}
		if end == "TERM" {
			r.signal(unix.SIGTERM)
		} else {
			r.order("cancel")
		}
		r.expect(2, "TERM")
		if got := r.wait(); got.Code != 7 || got.Lost {
			t.Errorf("%+v", got)
		}
	}
}

// TestIgnored leaves what our caller ignores ignored, as nohup wants it.
func TestIgnored(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap '' HUP; exec "$@"`, "sh", executablePath(t), "sh", "-c", `kill -HUP $PPID; kill -HUP $$; echo alive`)
	r := startFrom(t, cmd, []string{"COMMAND_ROLE=run"})
	r.expect(1, "alive")
	if got := r.wait(); got.Code != 0 {
		t.Errorf("%+v", got)
	}
}

const stubborn = `trap '' TERM INT HUP; echo ready; exec sleep 1000`

// TestLeaseEnds stops a command whose lease is not renewed: by SIGTERM, and by
// SIGKILL before the lease ends if it does not care, also if it hangs in a full
// pipe or is stopped.
func TestLeaseEnds(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		code   int
	}{
		"obeys":                    {`trap 'exit 5' TERM; echo ready; while :; do read -r _ <> "$0"; done`, 5},
		"does not care":            {stubborn, 137},
		"full pipe":                {`echo ready; exec cat /dev/zero`, 143},
		"full pipe, does not care": {`trap '' TERM; echo ready; exec cat /dev/zero`, 137},
		"stopped":                  {`trap 'exit 6' TERM; echo ready; kill -STOP $$; while :; do read -r _ <> "$0"; done`, 6},
	} {
		t.Run(name, func(t *testing.T) {
			fifo := t.TempDir() + "/fifo"
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			r := startRun(t, []string{"COMMAND_TTL=900ms"}, "bash", "-c", c.script, fifo)
			r.expect(1, "ready")
			r.order("stay")
			var rep report
			if err := r.reports.Decode(&rep); err != nil {
				t.Fatal(err)
			}
			if rep.Code != c.code {
				t.Errorf("%+v, want code %d", rep, c.code)
			}
			r.inTime(rep)
			r.Wait()
			r.ended = true
			if strings.HasPrefix(name, "full") {
				if _, err := r.out.Discard(65536); err != nil {
					t.Errorf("the pipe was not full: %v", err)
				}
			}
			r.gone()
		})
	}
}

// TestLeaseRenewed lets a command be whose lease is renewed, in time or late.
func TestLeaseRenewed(t *testing.T) {
	fifo := t.TempDir() + "/fifo"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r := startRun(t, []string{"COMMAND_TTL=3s"}, "bash", "-c", `trap 'echo TERM' TERM; exec 3<> "$0"; echo ready; until read -r _ <&3; do :; done; exit 2`, fifo)
	r.expect(1, "ready")
	r.order("stay")
	r.expect(1, "TERM")
	began := time.Now()
	r.order("renew")
	// It is alive after the time at which it would have been killed.
	eventually(t, "a second passes", func() bool { return time.Since(began) > 1200*time.Millisecond })
	if err := os.WriteFile(fifo, []byte("go on\n"), 0); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(); got.Code != 2 {
		t.Errorf("%+v", got)
	}
}

// TestHoldEnds ends the command at once, with a lease or without.
func TestHoldEnds(t *testing.T) {
	for _, ttl := range []string{"0s", "10m"} {
		for script, code := range map[string]int{`echo ready; exec sleep 1000`: 143, stubborn: 137} {
			r := startRun(t, []string{"COMMAND_TTL=" + ttl, "COMMAND_KILL_AFTER=200ms"}, "sh", "-c", script)
			r.expect(1, "ready")
			r.order("end")
			if got := r.wait(); got.Code != code || !got.Lost {
				t.Errorf("lease of %s: %+v, want code %d", ttl, got, code)
			}
		}
	}
}

// daemons start twenty processes that leave the group, and the parent, and do not
// care for signals.
const daemons = `
	for i in $(seq 20); do
		setsid -f sh -c 'trap "" TERM INT HUP; echo ready; exec sleep 1000'
	done`

// TestDaemons ends also those that left the group, in time, whether the command
// that started them lives or not.
func TestDaemons(t *testing.T) {
	for _, then := range []string{"exec sleep 1000", "exit 0"} {
		r := startRun(t, []string{"COMMAND_TTL=1500ms"}, "bash", "-c", daemons+"\n"+then)
		r.expect(20, "ready")
		r.order("stay")
		r.inTime(r.wait())
	}
}

// TestForks ends also those that run away by forking, each in a session of its own.
func TestForks(t *testing.T) {
	const fork = `trap '' TERM; export self='for i in 1 2 3; do :; done; setsid -f sh -c "$self"'
		for i in $(seq 10); do setsid -f sh -c "$self"; done; echo ready; exec sleep 1000`
	r := startRun(t, []string{"COMMAND_TTL=1500ms"}, "bash", "-c", fork)
	r.expect(1, "ready")
	r.order("stay")
	r.inTime(r.wait())
}

// TestLeftBehind waits for what the command left in the background, says so, and
// ends it when the user wants that.
func TestLeftBehind(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		signal unix.Signal // none: it ends by itself
	}{
		"in the group":               {`sleep 1000 & exit 3`, unix.SIGINT},
		"outside":                    {`setsid -f sleep 1000; exit 3`, unix.SIGTERM},
		"outside, and does not care": {`setsid -f sh -c 'trap "" TERM INT; exec sleep 1000'; exit 3`, unix.SIGINT},
		"ends by itself":             {`setsid -f sleep 0.5; exit 3`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRun(t, []string{"COMMAND_TTL=1s", "COMMAND_KILL_AFTER=200ms"}, "sh", "-c", c.script)
			if got := r.warning(); !strings.HasPrefix(got, "waiting for sleep (") || !strings.HasSuffix(got, "left in the background by the command") {
				t.Errorf("it says: %s", got)
			}
			if c.signal != 0 {
				r.signal(c.signal)
			}
			if got := r.wait(); got.Code != 3 || got.Lost {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestTermination ends what a command leaves behind that was told to end.
func TestTermination(t *testing.T) {
	r := startRun(t, nil, "bash", "-c", `setsid -f sleep 1000; echo ready; exec sleep 1000`)
	r.expect(1, "ready")
	r.signal(unix.SIGTERM)
	if got := r.wait(); got.Code != 143 || got.Lost {
		t.Errorf("%+v", got)
	}
}

// TestKilled has the command die with us. What it has started lives on: only a
// cgroup could help there. That this is so is written in the package's comment.
func TestKilled(t *testing.T) {
	r := startRun(t, nil, "bash", "-c", `sleep 1000 >/dev/null & echo $!; echo $$; `+stubborn)
	child, command := r.pid(), r.pid()
	defer unix.Kill(child, unix.SIGKILL)
	r.expect(1, "ready")
	r.Process.Kill()
	r.Wait()
	r.ended = true
	eventually(t, "the command is dead", func() bool { return state(command) == 0 || state(command) == 'Z' })
	r.gone()
	if s := state(child); s == 0 || s == 'Z' {
		t.Error("its child is dead, too: say so in the package's comment")
	}
}

// TestStrangers neither waits for children that we had before the command nor
// ends them: a script may start something and then become us.
func TestStrangers(t *testing.T) {
	t.Run("ends by itself", func(t *testing.T) {
		r := startFrom(t, exec.Command("sh", "-c", `sleep 1000 >/dev/null & echo $!; exec "$@"`, "sh", executablePath(t), "true"), []string{"COMMAND_ROLE=run"})
		stranger := r.pid()
		defer unix.Kill(stranger, unix.SIGKILL)
		if got := r.wait(); got.Code != 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("is ended", func(t *testing.T) {
		r := startFrom(t, exec.Command("sh", "-c", `sleep 1000 >/dev/null & echo $!; exec "$@"`, "sh", executablePath(t), "bash", "-c", daemons), []string{"COMMAND_ROLE=run", "COMMAND_TTL=1500ms"})
		stranger := r.pid()
		defer unix.Kill(stranger, unix.SIGKILL)
		r.expect(20, "ready")
		r.order("stay")
		r.inTime(r.wait())
		if s := state(stranger); s == 0 || s == 'Z' {
			t.Error("the stranger is dead")
		}
	})
}

// TestStopWithoutJobControl: where no shell could continue it, Ctrl-Z and the like
// do not stop a command, as without us; who sends SIGSTOP means it.
func TestStopWithoutJobControl(t *testing.T) {
	cmd := exec.Command(executablePath(t), "sh", "-c", `kill -TSTP $$; echo on; kill -STOP $$; echo on; exit 4`)
	r := startFrom(t, cmd, []string{"COMMAND_ROLE=run", "COMMAND_TTL=900ms"})
	r.expect(1, "on")
	var command int
	eventually(t, "the command has stopped", func() bool {
		for _, p := range processes() {
			if p.parent == r.Process.Pid {
				command = p.pid
				return p.stopped
			}
		}
		return false
	})
	began := time.Now() // it stays so, and keeps its lease
	eventually(t, "two leases pass", func() bool { return time.Since(began) > 1800*time.Millisecond })
	if s := state(command); s != 'T' {
		t.Errorf("its state is %c", s)
	}
	r.signal(unix.SIGCONT)
	r.expect(1, "on")
	if got := r.wait(); got.Code != 4 || got.Lost {
		t.Errorf("%+v", got)
	}
}

// TestNotStarted: what is over before it began is not started.
func TestNotStarted(t *testing.T) {
	c, err := Spec{Args: []string{"touch", t.TempDir() + "/started"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	over := &leaseHold{}
	over.ctx, over.end = contextEnded()
	if got := c.Run(t.Context(), over); !got.Lost || got.Err == nil || got.Code != 143 {
		t.Errorf("the hold has ended: %+v", got)
	}
	ctx, cancel := contextEnded()
	defer cancel()
	if got := c.Run(ctx, &leaseHold{ctx: t.Context()}); got.Lost || got.Err == nil || got.Code != 143 {
		t.Errorf("the context has ended: %+v", got)
	}
	if _, err := os.Stat(c.argv[1]); err == nil {
		t.Error("it was started")
	}
}
