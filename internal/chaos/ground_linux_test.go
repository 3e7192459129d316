package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// ground is where the peers of a run live. With cuts, each has a network
// namespace, all joined by a router in one more: it forwards what goes from one
// peer to another, so a rule in it cuts one direction of a link, silently, as a
// broken cable or a wrong filter does. Without, they share the loopback.
type ground struct {
	dir   string // holds a small file system for the state of each peer, if disks
	names []string
	cuts  bool
	disks bool
	rules [][]string // of the router, in force
}

// prefix begins the names of namespaces and folders; the process id follows.
const prefix = "conch-chaos-"

// port is where every peer listens, at an address of its own.
const port = 7400

// gossipPort is where they gossip, if they do.
const gossipPort = 7946

// diskSize is enough for what a peer keeps, and filled at once.
const diskSize = 512 << 10

// newGround prepares a place for peers; without, it says why there are no cuts.
func newGround(t *testing.T, dir string, names []string) (g *ground, without string) {
	g = &ground{dir: dir, names: names}
	t.Cleanup(func() {
		if err := g.remove(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range names {
		if err := os.MkdirAll(g.disk(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	switch _, err := exec.LookPath("ip"); {
	case os.Geteuid() != 0:
		return g, "it needs root to make network namespaces"
	case err != nil:
		return g, "it needs the command ip, of iproute2"
	}
	if err := sweep(); err != nil {
		t.Logf("what earlier runs have left: %v", err)
	}
	g.disks = true
	for _, name := range names {
		if err := syscall.Mount("tmpfs", g.disk(name), "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
			t.Fatalf("a small file system for %s: %v", name, err)
		}
	}
	if err := ip("netns", "add", g.space("router")); err != nil {
		return g, fmt.Sprintf("network namespaces cannot be made here: %v", err)
	}
	g.cuts = true
	if err := g.lay(); err != nil {
		t.Fatal(err)
	}
	return g, ""
}

// lay makes the namespaces of the peers, and the ways between them.
func (g *ground) lay() error {
	router := g.space("router")
	errs := []error{ip("netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")}
	for i, name := range g.names {
		space, near := g.space(name), fmt.Sprintf("10.77.%d.1", i+1)
		errs = append(errs,
			ip("netns", "add", space),
			ip("-n", router, "link", "add", "to-"+name, "type", "veth", "peer", "name", "eth0", "netns", space),
			ip("-n", router, "addr", "add", near+"/30", "dev", "to-"+name),
			ip("-n", router, "link", "set", "to-"+name, "up"),
			ip("-n", space, "link", "set", "lo", "up"),
			ip("-n", space, "addr", "add", g.host(i)+"/30", "dev", "eth0"),
			ip("-n", space, "link", "set", "eth0", "up"),
			ip("-n", space, "route", "add", "default", "via", near))
	}
	return errors.Join(errs...)
}

// remove takes everything away again. No process may be left.
func (g *ground) remove() error {
	var errs []error
	for _, name := range g.names {
		if g.disks {
			if err := syscall.Unmount(g.disk(name), syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
				errs = append(errs, fmt.Errorf("unmount %s: %w", g.disk(name), err))
			}
		}
	}
	if g.cuts {
		for _, name := range append([]string{"router"}, g.names...) {
			if _, err := os.Stat(filepath.Join(spaces, g.space(name))); err == nil {
				errs = append(errs, ip("netns", "del", g.space(name)))
			}
		}
	}
	return errors.Join(errs...)
}

// spaces is where ip keeps network namespaces by name.
const spaces = "/run/netns"

// sweep removes what runs have left that were killed before they could: their
// namespaces, with the processes in them, and their small file systems. Folders
// stay; they hold traces.
func sweep() error {
	var errs []error
	left, _ := filepath.Glob(filepath.Join(spaces, prefix+"*"))
	for _, path := range left {
		if name := filepath.Base(path); abandoned(name) {
			pids, _ := exec.Command("ip", "netns", "pids", name).Output()
			for _, pid := range strings.Fields(string(pids)) {
				if n, err := strconv.Atoi(pid); err == nil {
					syscall.Kill(n, syscall.SIGKILL)
				}
			}
			errs = append(errs, ip("netns", "del", name))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	errs = append(errs, err)
	for line := range strings.Lines(string(mounts)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "tmpfs" {
			continue
		}
		_, rest, ok := strings.Cut(words[1], "/"+prefix)
		if run, _, _ := strings.Cut(rest, "/"); ok && abandoned(prefix+run) {
			errs = append(errs, syscall.Unmount(words[1], syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}

// abandoned says that a name carries the id of a process that is gone.
func abandoned(name string) bool {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "-")
	pid, err := strconv.Atoi(id)
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// ip runs the command of that name.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (g *ground) space(name string) string { return fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), name) }

// disk is the directory that holds a peer's state.
func (g *ground) disk(name string) string { return filepath.Join(g.dir, "disk", name) }

// host is the address of the i-th peer. On the loopback it carries the process
// id, so that runs at the same time do not meet.
func (g *ground) host(i int) string {
	if g.cuts {
		return fmt.Sprintf("10.77.%d.2", i+1)
	}
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+pid>>8%254, pid%256, i+1)
}

func (g *ground) addr(i int) string { return fmt.Sprintf("%s:%d", g.host(i), port) }

// command returns a command of this binary at a peer's place. Its process ends
// with this one.
func (g *ground) command(name string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	if g.cuts {
		cmd = exec.Command("ip", "netns", "exec", g.space(name), os.Args[0]) // it becomes what it executes
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// cut lets nothing more go from one peer to another.
func (g *ground) cut(from, to int) error {
	rule := []string{"pref", "50", "from", g.host(from), "to", g.host(to), "blackhole"}
	g.rules = append(g.rules, rule)
	return ip(append([]string{"-n", g.space("router"), "rule", "add"}, rule...)...)
}

// cutGossip lets no gossip go from one peer to another.
func (g *ground) cutGossip(from, to int) error {
	var errs []error
	for _, proto := range []string{"udp", "tcp"} {
		rule := []string{"pref", "50", "from", g.host(from), "to", g.host(to), "ipproto", proto, "dport", strconv.Itoa(gossipPort), "blackhole"}
		g.rules = append(g.rules, rule)
		errs = append(errs, ip(append([]string{"-n", g.space("router"), "rule", "add"}, rule...)...))
	}
	return errors.Join(errs...)
}

// heal ends all cuts.
func (g *ground) heal() error {
	var errs []error
	for _, rule := range g.rules {
		errs = append(errs, ip(append([]string{"-n", g.space("router"), "rule", "del"}, rule...)...))
	}
	g.rules = nil
	return errors.Join(errs...)
}

// fill leaves no room on a peer's disk.
func (g *ground) fill(name string) error {
	f, err := os.Create(filepath.Join(g.disk(name), "full"))
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 4096)
	for range 2 * diskSize / len(block) {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return fmt.Errorf("the disk of %s does not get full", name)
}

// empty takes away what fill has put there.
func (g *ground) empty(name string) error {
	err := os.Remove(filepath.Join(g.disk(name), "full"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
