package command

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// process is one of the machine, as /proc tells.
type process struct {
	pid, parent, group, session int
	name                        string
	stopped, dead               bool
}

// tree finds the command's processes: our descendants, in its group or not. While
// it is open, those that lose their parent become our children, so that none is
// missing but who joined the group from elsewhere; that one gets its signals.
type tree struct {
	group     int
	adopts    bool         // orphans become ours
	before    bool         // they did before
	strangers map[int]bool // children that we had before: a shell may start something and then become us
}

// attributes has the system kill the command when the thread that has started it
// dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
}

// adopt opens a tree before the command is started.
func adopt() *tree {
	t := &tree{strangers: make(map[int]bool)}
	var before int32
	if unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&before)), 0, 0, 0) == nil {
		t.before = before != 0
	}
	t.adopts = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == nil
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err == unix.ECHILD {
		return t // the usual case, and quick
	}
	self := os.Getpid()
	for _, p := range processes() {
		if p.parent == self && !p.dead {
			t.strangers[p.pid] = true
		}
	}
	return t
}

func (t *tree) close() {
	if t.adopts && !t.before {
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
}

// again says when to look again for those that left the group without a signal
// telling of it: never, as the last of each family is our child.
func (t *tree) again(now time.Time) time.Time {
	if t.adopts && len(t.strangers) == 0 {
		return time.Time{}
	}
	return now.Add(50 * time.Millisecond)
}

// survey returns who of the command's processes lives. It is no snapshot: who
// forks and ends meanwhile may be missed, and is found when looked for again.
func (t *tree) survey() []process {
	all := processes()
	children := make(map[int][]int, len(all))
	for i, p := range all {
		children[p.parent] = append(children[p.parent], i)
	}
	var found []process
	seen := make(map[int]bool)
	add := func(p process) {
		if !seen[p.pid] && !p.dead {
			found = append(found, p)
		}
		seen[p.pid] = true
	}
	self := os.Getpid()
	seen[self] = true
	for queue := []int{self}; len(queue) > 0; queue = queue[1:] {
		for _, i := range children[queue[0]] {
			if p := all[i]; !seen[p.pid] && !t.strangers[p.pid] {
				add(p)
				queue = append(queue, p.pid)
			}
		}
	}
	return found
}

// orphans returns our children, the command among them. Where the kernel has no
// such lists there are none, and a survey has to find them.
func (t *tree) orphans() []int {
	threads, _ := os.ReadDir("/proc/self/task")
	var found []int
	for _, thread := range threads {
		list, _ := os.ReadFile("/proc/self/task/" + thread.Name() + "/children")
		for _, field := range bytes.Fields(list) {
			if pid, err := strconv.Atoi(string(field)); err == nil && !t.strangers[pid] {
				found = append(found, pid)
			}
		}
	}
	return found
}

// processes lists those of the machine. One that ends meanwhile is left out.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var list []process
	buf := make([]byte, 1024)
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		if p, ok := readStat("/proc/"+name+"/stat", buf); ok {
			list = append(list, p)
		}
	}
	return list
}

// readStat reads "PID (NAME) STATE PARENT GROUP SESSION ...". The name may have
// blanks and parentheses. It goes by raw calls since there can be thousands.
func readStat(path string, buf []byte) (process, bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return process{}, false
	}
	n, err := unix.Read(fd, buf)
	unix.Close(fd)
	if err != nil || n <= 0 {
		return process{}, false
	}
	return parseStat(buf[:n])
}

func parseStat(line []byte) (p process, ok bool) {
	from, to := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if from < 1 || to < from {
		return p, false
	}
	fields := bytes.Fields(line[to+1:])
	if len(fields) < 4 {
		return p, false
	}
	p.name = string(line[from+1 : to])
	switch fields[0][0] {
	case 'Z', 'X':
		p.dead = true
	case 'T', 't':
		p.stopped = true
	}
	for _, f := range []struct {
		text []byte
		to   *int
	}{{bytes.TrimSpace(line[:from]), &p.pid}, {fields[1], &p.parent}, {fields[2], &p.group}, {fields[3], &p.session}} {
		n, err := strconv.Atoi(string(f.text))
		if err != nil {
			return p, false
		}
		*f.to = n
	}
	return p, true
}

// canStop says that somebody is there who continues us when we stop: as the
// system has it, a member of our group has a parent of the same session outside.
func canStop() bool {
	group := unix.Getpgrp()
	all := processes()
	byPID := make(map[int]process, len(all))
	for _, p := range all {
		byPID[p.pid] = p
	}
	for _, p := range all {
		if parent, ok := byPID[p.parent]; ok && p.group == group && !p.dead && parent.group != group && parent.session == p.session {
			return true
		}
	}
	return false
}

// stopOthers stops the rest of our group, so that the shell sees that the whole
// job has stopped.
func stopOthers() {
	group, self := unix.Getpgrp(), os.Getpid()
	for _, p := range processes() {
		if p.group == group && p.pid != self && !p.stopped {
			unix.Kill(p.pid, unix.SIGTSTP)
		}
	}
}

// stopSelf stops us, and returns when we are continued. To be sure of that it
// sends the signal to its own thread: one to the process may be taken by another,
// and this one would go on for a moment.
func stopSelf() { unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) }

// pause waits until those that were sent SIGSTOP should have stopped.
func pause() { time.Sleep(time.Millisecond) }
