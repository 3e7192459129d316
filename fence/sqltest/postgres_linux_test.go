package sqltest

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// openPostgres starts a PostgreSQL server of its own, for one test, that listens
// on a socket in a directory of its own and nowhere else.
func openPostgres(t *testing.T) *sql.DB {
	bin := postgresBin()
	if bin == "" {
		t.Skip("PostgreSQL is not here: apt-get install postgresql, and this test runs")
	}
	// Not t.TempDir: the paths of sockets must be short, and others must get in.
	dir, err := os.MkdirTemp("", "fence-pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	who := owner(t, dir)
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGQUIT} // a server takes that as: end now
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "conch", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50")
	log, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT)
		<-drained
		server.Wait()
	})
	lines, said := bufio.NewReader(log), ""
	for !strings.Contains(said, "ready to accept connections") {
		line, err := lines.ReadString('\n')
		if said += line; err != nil {
			close(drained)
			t.Fatalf("postgres does not start: %s", said)
		}
	}
	go func() {
		defer close(drained)
		io.Copy(io.Discard, lines)
	}()
	db, err := sql.Open("pgx", fmt.Sprintf("host=%s user=conch dbname=postgres sslmode=disable", dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// postgresBin returns the directory of PostgreSQL's programs: where Debian has
// them, or where the path leads to. It is empty if there are none.
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			found = append(found, path)
		}
	}
	found = slices.DeleteFunc(found, func(path string) bool {
		_, err := os.Stat(filepath.Join(filepath.Dir(path), "postgres"))
		return err != nil
	})
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// owner returns who is to run the server, and gives it the directory: PostgreSQL
// refuses to be root.
func owner(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Skip("PostgreSQL refuses to be root, and there is neither postgres nor nobody")
	return nil
}
