package archtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/conchlock/conch"

// pkg is what the rules know of a package, and part of what go list says.
type pkg struct {
	ImportPath   string
	Name         string
	Imports      []string // of the package itself, not of its tests
	TestImports  []string
	XTestImports []string
}

// rule says which imports of one part of the tree are wrong, and why.
type rule struct {
	name  string
	why   string
	wrong func(from, to string) bool // paths below the module start with "./"
}

var rules = []rule{
	{
		name: "algorithms are pure",
		why: "a machine is a function of its inputs: time, chance, network and disk come in as inputs and go out as outputs, " +
			"so that the explorer and the simulator run the very code that runs in production",
		wrong: func(from, to string) bool {
			return pure(from) && (impure(to) || outside(to) || local(to) && !under(to, "./algo"))
		},
	},
	{
		name: "algorithms stand alone",
		why:  "each algorithm can be read, replaced or removed without another; only algo/roster knows them all",
		wrong: func(from, to string) bool {
			return pure(from) && from != "./algo/roster" && under(to, "./algo") && to != "./algo"
		},
	},
	{
		name: "the vocabulary comes first",
		why:  "algo is what everybody shares, so it may depend on nobody",
		wrong: func(from, to string) bool {
			return from == "./algo" && local(to)
		},
	},
	{
		name: "judges know no algorithm",
		why:  "a verdict, a simulation or a picture rests on events and promises, never on how one algorithm works",
		wrong: func(from, to string) bool {
			judge := under(from, "./internal/check") || under(from, "./internal/compare") || under(from, "./internal/trace") ||
				under(from, "./internal/sim") || under(from, "./internal/report")
			return judge && under(to, "./algo") && to != "./algo"
		},
	},
	{
		name: "the runtime knows no gRPC",
		why:  "internal/node declares the Transport it needs, so that memory links and tests serve it as well as the network",
		wrong: func(from, to string) bool {
			return under(from, "./internal/node") && (under(to, "./internal/transport") || under(to, "google.golang.org"))
		},
	},
	{
		name: "the command is a leaf",
		why:  "cmd/conch is flags, wiring and exit codes; what others need belongs elsewhere",
		wrong: func(from, to string) bool {
			return under(to, "./cmd") && !under(from, "./cmd")
		},
	},
	{
		name: "the command uses the public API",
		why:  "what `conch peer` can do, every program can do; cmd/conch imports beyond that only what reads a run's folder",
		wrong: func(from, to string) bool {
			allowed := []string{
				"./", "./algo", "./algo/roster", "./discovery", "./discovery/serf",
				"./client", "./internal/command", "./internal/local", "./internal/service", "./internal/viewcodec", "./proto/conch/v1", "./proto/conch/v1/conchv1connect", "./view", "./metrics",
				"./docs", "./internal/check", "./internal/compare", "./internal/sim", "./internal/state", "./internal/trace", "./internal/trace/export",
			}
			return under(from, "./cmd") && local(to) && !under(to, "./cmd") && !under(to, "./internal/report") && !slices.Contains(allowed, to)
		},
	},
	{
		name: "gossip is optional",
		why:  "only who wants gossip pays for serf and what comes with it: programs and cmd/conch import discovery/serf, the library never",
		wrong: func(from, to string) bool {
			return under(to, "./discovery/serf") && !under(from, "./discovery/serf") && !under(from, "./cmd") && !under(from, "./bench")
		},
	},
	{
		name: "metrics are optional",
		why:  "only who wants metrics pays for prometheus and what comes with it: programs and cmd/conch import metrics, the library never",
		wrong: func(from, to string) bool {
			return (under(to, "./metrics") || under(to, "github.com/prometheus")) && !under(from, "./metrics") && !under(from, "./cmd") && !under(from, "./bench")
		},
	},
	{
		name: "metrics use the public API",
		why:  "what package metrics sees of a peer, an observer of anybody's can see",
		wrong: func(from, to string) bool {
			return under(from, "./metrics") && local(to) && to != "./"
		},
	},
	{
		name: "tracing is optional",
		why: "only who wants spans pays for OpenTelemetry, and only for its API: programs import tracing, the library and cmd/conch never; " +
			"which SDK records is the program's choice, and ours in tests only",
		wrong: func(from, to string) bool {
			return (under(to, "./tracing") || under(to, "go.opentelemetry.io")) && !under(from, "./tracing") && !under(from, "./bench") ||
				under(to, "go.opentelemetry.io/otel/sdk")
		},
	},
	{
		name: "tracing uses the public API",
		why:  "what package tracing knows of a lock, a program of anybody's can know",
		wrong: func(from, to string) bool {
			return under(from, "./tracing") && local(to) && to != "./" && to != "./view"
		},
	},
	{
		name: "what runs a command knows no lock",
		why:  "internal/command ends processes in time, for whatever is held; to try that, nothing of Conch is needed",
		wrong: func(from, to string) bool {
			return under(from, "./internal/command") && local(to) && !under(to, "./internal/command")
		},
	},
	{
		name: "gossip knows nothing of locks",
		why:  "it finds peers and decides nothing, so it needs names and addresses, and could serve another program",
		wrong: func(from, to string) bool {
			return under(from, "./discovery/serf") && local(to) && to != "./algo" && to != "./discovery"
		},
	},
	{
		name: "the fence stands alone",
		why:  "who only guards a resource joins no cluster: package fence is the standard library and nothing else, and what needs gRPC is in fencegrpc",
		wrong: func(from, to string) bool {
			return under(from, "./fence") && (local(to) && to != "./fence" || outside(to) && from != "./fence/fencegrpc")
		},
	},
	{
		name: "dependencies have one home",
		why:  "each outside module is used in few places, listed here, and explained in docs/dependencies.md",
		wrong: func(from, to string) bool {
			return outside(to) && !under(from, "./bench") && !atHome(from, to)
		},
	},
}

// homes says where each outside module is used. (Tests may use any.)
var homes = map[string]string{
	"codeberg.org/go-pdf/fpdf":            "./internal/report/document",
	"connectrpc.com/connect":              "./internal/service ./internal/local ./client ./proto ./cmd/conch",
	"connectrpc.com/grpcreflect":          "./internal/service",
	"github.com/anishathalye/porcupine":   "./internal/chaos",
	"github.com/cockroachdb/datadriven":   "./algo/algotest",
	"github.com/hashicorp/memberlist":     "./discovery/serf",
	"github.com/hashicorp/serf":           "./discovery/serf",
	"github.com/pelletier/go-toml":        "./cmd/conch",
	"github.com/prometheus/client_golang": "./metrics ./cmd/conch",
	"github.com/spf13/cobra":              "./cmd/conch",
	"github.com/spf13/pflag":              "./cmd/conch",
	"github.com/yuin/goldmark":            "./internal/report/document",
	"go.etcd.io/bbolt":                    "./internal/state",
	"go.opentelemetry.io/otel":            "./tracing",
	"golang.org/x/image":                  "./internal/report/document",
	"golang.org/x/sys":                    "./internal/clock ./internal/command",
	"golang.org/x/term":                   "./cmd/conch",
	"google.golang.org/genproto":          "./fence/fencegrpc",
	"google.golang.org/grpc":              "./internal/transport ./internal/service ./fence/fencegrpc",
	"google.golang.org/protobuf":          "./internal/transport ./internal/service ./internal/viewcodec ./internal/openapi ./client ./proto ./cmd/conch ./internal/local",
}

func atHome(from, to string) bool {
	for mod, home := range homes {
		if under(to, mod) {
			return slices.ContainsFunc(strings.Fields(home), func(h string) bool { return under(from, h) })
		}
	}
	return false
}

// pure says that a package is an algorithm, or what algorithms are made of.
func pure(from string) bool { return under(from, "./algo") && !under(from, "./algo/algotest") }

// impure says that a package of the standard library brings in what a machine
// must not have.
func impure(to string) bool {
	for _, p := range []string{"context", "crypto/rand", "log", "math/rand", "net", "os", "runtime", "sync", "syscall", "time", "unsafe"} {
		if under(to, p) {
			return true
		}
	}
	return false
}

// under says that p is root or below it.
func under(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

func local(p string) bool { return strings.HasPrefix(p, "./") }

// outside says that p is neither of this module nor of the standard library.
func outside(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !local(p) && strings.Contains(first, ".")
}

// short writes a path of this module as "./path".
func short(p string) string {
	if under(p, module) {
		return "./" + strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
	}
	return p
}

// emptyNames are names that say nothing about what a package gives.
var emptyNames = []string{"base", "common", "helper", "helpers", "misc", "shared", "util", "utils"}

// violations lists what the rules find wrong with the packages.
func violations(pkgs []pkg) []string {
	var found []string
	for _, p := range pkgs {
		from := short(p.ImportPath)
		for _, imported := range p.Imports {
			for _, r := range rules {
				if to := short(imported); r.wrong(from, to) {
					found = append(found, fmt.Sprintf("%s imports %s\n\t%s: %s", from, to, r.name, r.why))
				}
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if to := short(imported); under(to, "./cmd") && !under(from, "./cmd") {
				found = append(found, fmt.Sprintf("a test of %s imports %s\n\tthe command is a leaf, for tests too", from, to))
			}
		}
		if slices.Contains(emptyNames, p.Name) || slices.Contains(emptyNames, path.Base(from)) {
			found = append(found, fmt.Sprintf("%s: package %s\n\ta package is named after what it gives; a little copying beats a drawer of odds and ends", from, p.Name))
		}
	}
	return found
}

// TestImports holds the rules on every platform, as files can differ.
func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			pkgs := list(t, goos)
			if len(pkgs) < 5 {
				t.Fatalf("go list knows only %d packages", len(pkgs))
			}
			for _, v := range violations(pkgs) {
				t.Error(v)
			}
		})
	}
}

// TestHomesAreExplained holds docs/dependencies.md to what is used.
func TestHomesAreExplained(t *testing.T) {
	doc, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for mod := range homes {
		if !bytes.Contains(doc, []byte(mod)) {
			t.Errorf("docs/dependencies.md says nothing about %s", mod)
		}
	}
}

// list asks go for the packages of the module. What it reads is not seen by
// the test cache; TestSources reads every file as well, and is.
func list(t *testing.T, goos string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS="+goos)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := d.Decode(&p); err {
		case nil:
			pkgs = append(pkgs, p)
		case io.EOF:
			return pkgs
		default:
			t.Fatal(err)
		}
	}
}

// bites are imports that each break one rule, and imports that break none.
var bites = []struct{ from, to, want string }{
	{"algo", "time", "algorithms are pure"},
	{"algo/ring", "sync/atomic", "algorithms are pure"},
	{"algo/ring", "log/slog", "algorithms are pure"},
	{"algo/ring", "math/rand/v2", "algorithms are pure"},
	{"algo/roster", "os", "algorithms are pure"},
	{"algo/ring", module + "/internal/trace", "algorithms are pure"},
	{"algo/ring", module + "/algo/epoch", "algorithms stand alone"},
	{"algo/epoch", module + "/algo/ring", "algorithms stand alone"},
	{"algo", module + "/algo/ring", "the vocabulary comes first"},
	{"internal/check", module + "/algo/ring", "judges know no algorithm"},
	{"internal/compare", module + "/algo/roster", "judges know no algorithm"},
	{"internal/sim", module + "/algo/roster", "judges know no algorithm"},
	{"internal/node", "google.golang.org/grpc/codes", "the runtime knows no gRPC"},
	{"internal/node", module + "/internal/transport/memory", "the runtime knows no gRPC"},
	{"internal/report", module + "/cmd/conch/story", "the command is a leaf"},
	{"cmd/conch", module + "/internal/node", "the command uses the public API"},
	{"internal/command", module, "what runs a command knows no lock"},
	{"", module + "/discovery/serf", "gossip is optional"},
	{"internal/node", module + "/discovery/serf", "gossip is optional"},
	{"discovery", module + "/discovery/serf", "gossip is optional"},
	{"", module + "/metrics", "metrics are optional"},
	{"internal/node", "github.com/prometheus/client_golang/prometheus", "metrics are optional"},
	{"client", module + "/metrics", "metrics are optional"},
	{"metrics", module + "/internal/trace", "metrics use the public API"},
	{"", module + "/tracing", "tracing is optional"},
	{"cmd/conch", module + "/tracing", "tracing is optional"},
	{"internal/node", "go.opentelemetry.io/otel/trace", "tracing is optional"},
	{"tracing", "go.opentelemetry.io/otel/sdk/trace", "tracing is optional"},
	{"tracing", module + "/internal/locker", "tracing uses the public API"},
	{"discovery/serf", module, "gossip knows nothing of locks"},
	{"discovery/serf", module + "/internal/node", "gossip knows nothing of locks"},
	{"discovery/serf", module + "/algo/ring", "gossip knows nothing of locks"},
	{"fence", module, "the fence stands alone"},
	{"fence", module + "/fence/fencegrpc", "the fence stands alone"},
	{"fence", "google.golang.org/grpc", "the fence stands alone"},
	{"fence/fencegrpc", module, "the fence stands alone"},
	{"fence", "google.golang.org/grpc", "dependencies have one home"},
	{"discovery", "google.golang.org/grpc", "dependencies have one home"},
	{"discovery", "github.com/hashicorp/serf/serf", "dependencies have one home"},
	{"internal/state", "example.org/brand-new", "dependencies have one home"},
	{"internal/node", "go.etcd.io/bbolt", "dependencies have one home"},

	{"algo/ring", "slices", ""},
	{"algo/ring", module + "/algo", ""},
	{"algo/roster", module + "/algo/ring", ""},
	{"algo/algotest", "time", ""},
	{"algo/algotest", module + "/algo/roster", ""},
	{"internal/check", module + "/algo", ""},
	{"internal/node", "time", ""},
	{"internal/transport/grpc", "google.golang.org/grpc/status", ""},
	{"internal/nodes", module + "/internal/transport", ""},
	{"internal/command", "golang.org/x/sys/unix", ""},
	{"bench", "google.golang.org/grpc", ""},
	{"fence", "database/sql", ""},
	{"fence/fencegrpc", "google.golang.org/grpc", ""},
	{"fence/fencegrpc", module + "/fence", ""},
	{"discovery/serf", "github.com/hashicorp/serf/serf", ""},
	{"discovery/serf", "github.com/hashicorp/memberlist", ""},
	{"discovery/serf", module + "/discovery", ""},
	{"discovery/serf", module + "/algo", ""},
	{"cmd/conch", module + "/discovery/serf", ""},
	{"metrics", module, ""},
	{"metrics", "github.com/prometheus/client_golang/prometheus", ""},
	{"cmd/conch", module + "/metrics", ""},
	{"cmd/conch", "github.com/prometheus/client_golang/prometheus/promhttp", ""},
	{"tracing", module, ""},
	{"tracing", module + "/view", ""},
	{"tracing", "go.opentelemetry.io/otel/trace", ""},
	{"cmd/conch", module, ""},
	{"cmd/conch", module + "/internal/check", ""},
}

// TestImportRulesBite shows that each rule can fail, and that it does not fail
// for what it should leave alone.
func TestImportRulesBite(t *testing.T) {
	bitten := make(map[string]bool)
	for _, c := range bites {
		found := violations([]pkg{{ImportPath: module + "/" + c.from, Name: "p", Imports: []string{c.to}}})
		hit := slices.ContainsFunc(found, func(v string) bool { return strings.Contains(v, c.want) })
		if c.want == "" && len(found) > 0 || !hit && c.want != "" {
			t.Errorf("%s imports %s: want %q, got %q", c.from, c.to, c.want, found)
		}
		bitten[c.want] = true
	}
	for _, r := range rules {
		if !bitten[r.name] {
			t.Errorf("nothing shows that the rule %q can fail", r.name)
		}
	}
	for _, p := range []pkg{
		{ImportPath: module + "/internal/util", Name: "strange"},
		{ImportPath: module + "/internal/strange", Name: "helpers"},
		{ImportPath: module + "/internal/node", Name: "node", XTestImports: []string{module + "/cmd/conch"}},
	} {
		if len(violations([]pkg{p})) != 1 {
			t.Errorf("%s, package %s: want one violation", p.ImportPath, p.Name)
		}
	}
}
