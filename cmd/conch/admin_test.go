package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/conchlock/conch"
)

// adminPeer runs conch peer --admin in this process, as peer a, and returns where it
// tells operators, and what ends it.
func adminPeer(t *testing.T, peers conch.Peers, flags ...string) (url string, end func() int) {
	t.Helper()
	args := []string{"peer", "--name", "a", "--admin", "127.0.0.1:0", "--socket", "none", "--log-level", "off"}
	for name, addr := range peers {
		args = append(args, "--peer", name+"="+addr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, done := &screen{}, make(chan int, 1)
	go func() { done <- run(ctx, append(args, flags...), strings.NewReader(""), out, out) }()
	says := regexp.MustCompile(`a tells operators at (http://127\.0\.0\.1:\d+): `)
	wait(t, "the address", func() bool {
		select {
		case code := <-done:
			t.Fatalf("exit %d, %s", code, out)
		default:
		}
		return says.MatchString(out.String())
	})
	end = func() int {
		cancel()
		code := <-done
		done <- code
		return code
	}
	t.Cleanup(func() { end() })
	return says.FindStringSubmatch(out.String())[1], end
}

// get asks, and returns the answer.
func get(t *testing.T, method, url string) (code int, body string, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

// threePeers returns free addresses.
func threePeers(t *testing.T) conch.Peers {
	t.Helper()
	addrs, err := freeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	return conch.Peers{"a": addrs[0], "b": addrs[1], "c": addrs[2]}
}

// A peer tells whether it lives, and whether it is ready: with one of three peers
// missing it is, with two it says whom it misses.
func TestAdminHealth(t *testing.T) {
	peers := threePeers(t)
	var others []*conch.Peer
	for _, name := range []string{"b", "c"} {
		p, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: peers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		others = append(others, p)
	}
	url, end := adminPeer(t, peers)
	ready := func(code int, want string) {
		t.Helper()
		var got int
		var body string
		wait(t, fmt.Sprint(code, " ", want), func() bool {
			got, body, _ = get(t, "GET", url+"/readyz")
			return got == code && strings.Contains(body, want) && strings.Count(body, "\n") == 1
		})
	}
	ready(200, "locks can be had here")
	others[1].Close()
	down := func() bool {
		_, body, _ := get(t, "GET", url+"/metrics")
		return strings.Contains(body, `conch_peer_up{peer="c",voter="true"} 0`)
	}
	wait(t, "c to be down", down)
	ready(200, "locks can be had here")
	others[0].Close()
	ready(503, "1 of 3 voters are up, and 2 are needed; missing: b (")
	if code, body, _ := get(t, "GET", url+"/healthz"); code != 200 || body != "the peer runs\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code := end(); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
		c.Close()
		t.Error("the address is still served after the peer's end")
	}
}

// What is there is read only, and what is not there is not.
func TestAdminPaths(t *testing.T) {
	peers := threePeers(t)
	url, _ := adminPeer(t, conch.Peers{"a": peers["a"]})
	for _, tt := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"POST", "/metrics", 405}, {"DELETE", "/healthz", 405},
		{"HEAD", "/healthz", 200}, {"PUT", "/readyz", 405}, {"POST", "/debug/pprof/symbol", 405}, {"GET", "/debug/pprof/", 200},
		{"GET", "/debug/pprof/goroutine?debug=1", 200}, {"GET", "/debug/pprof/cmdline", 404}, {"GET", "/", 404}, {"GET", "/debug/", 404},
	} {
		code, body, header := get(t, tt.method, url+tt.path)
		if code != tt.code || code == 405 && header.Get("Allow") != "GET, HEAD" || tt.method == "HEAD" && body != "" {
			t.Errorf("%s %s: %d, allowed %q, %d bytes; want %d", tt.method, tt.path, code, header.Get("Allow"), len(body), tt.code)
		}
	}
	r, err := http.NewRequest("GET", url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 32<<10))
	if answer, err := http.DefaultClient.Do(r); err == nil {
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a long header: %s", answer.Status)
		}
	}
}

// There are never more connections than the bound, and room again once some end.
func TestAdminConnections(t *testing.T) {
	peers := threePeers(t)
	url, _ := adminPeer(t, conch.Peers{"a": peers["a"]})
	ask := func(c net.Conn) bool {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		return err == nil && strings.Contains(line, "200")
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var open []net.Conn
	for i := range adminConns {
		open = append(open, dial())
		if !ask(open[i]) {
			t.Fatalf("connection %d is not served", i+1)
		}
	}
	if ask(dial()) {
		t.Errorf("more than %d connections are served", adminConns)
	}
	open[0].Close()
	wait(t, "room for another connection", func() bool { return ask(dial()) })
}

// Nothing is served without the flag; what is wrong with it is said of it.
func TestAdminBadUsage(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		flags string
		code  int
		want  string
	}{
		{"--admin 7430", exitUsage, `--admin "7430": write HOST:PORT`},
		{"--admin 127.0.0.1:", exitUsage, `--admin "127.0.0.1:": write HOST:PORT`},
		{"--admin 127.0.0.1:65536", exitUsage, `--admin "127.0.0.1:65536": write HOST:PORT`},
		{"--admin 127.0.0.1:http", exitUsage, `--admin "127.0.0.1:http": write HOST:PORT`},
		{"--admin ::1:7430", exitUsage, `--admin "::1:7430": write HOST:PORT`},
		{"--admin-locks 5", exitUsage, "--admin-locks needs an address to serve at: --admin HOST:PORT"},
		{"--admin 127.0.0.1:0 --admin-locks -1", exitUsage, "--admin-locks -1: it cannot be negative"},
		{"--admin 203.0.113.1:1", exitFalse, "--admin: listen tcp 203.0.113.1:1: bind"}, // an address that this machine has not, or not yet
		{"--admin " + taken.Addr().String(), exitFalse, "--admin: listen tcp " + taken.Addr().String()},
	} {
		args := append([]string{"peer", "--name", "a", "--peer", "a=127.0.0.1:1", "--log-level", "off"}, strings.Fields(tt.flags)...)
		if code, _, stderr := runConch(t, args...); code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: exit %d, %s", tt.flags, code, stderr)
		}
	}
}

// docs/metrics.md names what a peer's /metrics has, with its labels, and nothing
// else; and Prometheus's own linter finds nothing wrong with it.
func TestMetricsAreDocumented(t *testing.T) {
	peers := threePeers(t)
	b, err := conch.Join(t.Context(), conch.Config{Name: "b", Peers: peers})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := conch.Join(t.Context(), conch.Config{Name: "c", Peers: peers})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	url, _ := adminPeer(t, peers, "--enter-every", "1ms", "--entries", "3", "--lock", `a "b" \c`)
	var body string
	wait(t, "three entries", func() bool {
		_, body, _ = get(t, "GET", url+"/metrics")
		return strings.Contains(body, `conch_lock_hold_seconds_count{lock="a \"b\" \\c"} 3`)
	})
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("the linter says %v, %v", problems, err)
	}
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, series := range regexp.MustCompile(`\bconch_\w+`).FindAllString(string(text), -1) {
		if !strings.Contains(body, "\n"+series) && !strings.Contains(body, "# TYPE "+series+" ") {
			t.Errorf("docs/metrics.md asks for %s, which a peer does not have", series)
		}
	}
	for _, bucket := range regexp.MustCompile(`\bconch_\w+_bucket\{le="([^"]*)"\}`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(body, bucket[0]) || !strings.Contains(bucket[1], ".") {
			t.Errorf("docs/metrics.md asks for %s, which a peer does not have, or which Prometheus 2 and 3 write differently", bucket[0])
		}
	}
	exposed, described := exposedMetrics(body), describedMetrics(t, string(text))
	for name, labels := range exposed {
		if described[name] != labels {
			t.Errorf("docs/metrics.md has %s{%s}, a peer %s{%s}", name, described[name], name, labels)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("docs/metrics.md has %s, and /metrics has not", name)
	}
	for _, other := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total "} {
		if !strings.Contains(body, other) {
			t.Errorf("there is no %q", other)
		}
	}
}

// exposedMetrics returns the labels of our metrics, in a text for Prometheus.
func exposedMetrics(text string) map[string]string {
	found := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (conch_\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		name, sample := m[1], m[1]
		if m[2] == "histogram" {
			sample += "_sum"
		}
		line := regexp.MustCompile(`(?m)^` + sample + `(?:\{(.*)\})? \S+$`).FindStringSubmatch(text)
		if line == nil {
			continue
		}
		var labels []string
		for _, l := range regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`).FindAllStringSubmatch(line[1], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		found[name] = strings.Join(labels, ",")
	}
	return found
}

// describedMetrics returns the labels of the metrics in the table.
func describedMetrics(t *testing.T, text string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `(conch_\\w+)` \\|([^|]*)\\| [^|]{20,} \\|.*\\|$").FindAllStringSubmatch(text, -1) {
		var labels []string
		for _, l := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		found[row[1]] = strings.Join(labels, ",")
	}
	if len(found) < 15 {
		t.Fatalf("only %d metrics are described", len(found))
	}
	return found
}
