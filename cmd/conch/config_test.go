package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// writeConfig writes a configuration file.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "conch.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// placed puts the path of a file where a text has F.
func placed(text, path string) string {
	return strings.NewReplacer("F:", path+":", "F is", path+" is").Replace(text)
}

// another is a value for a flag of this kind that is not its default: as on the
// command line, and as in a file.
func another(t *testing.T, flag *pflag.Flag) (arg, inFile string) {
	switch kind := flag.Value.Type(); kind {
	case "string":
		return "x y=#", `"x y=#"`
	case "duration":
		return "1m30s", `"90s"`
	case "bool":
		return "true", "true"
	case "int", "int64", "uint64":
		return "12345", "12_345"
	case "stringArray", "stringSlice":
		return "x", `["x"]`
	default:
		t.Fatalf("--%s is a %s: say how such a flag is written in a file", flag.Name, kind)
		return "", ""
	}
}

// Every flag of conch peer has its key, which does the same.
func TestConfigKeys(t *testing.T) {
	names := 0
	peerCommand(new(peerOptions)).Flags().VisitAll(func(flag *pflag.Flag) {
		arg, inFile := another(t, flag)
		given, read := peerCommand(new(peerOptions)).Flags(), peerCommand(new(peerOptions)).Flags()
		c := config{path: "f"}
		wrong := c.parse(fmt.Appendf(nil, "%s = %s\n", flag.Name, inFile), read)
		if notInFile(flag.Name) {
			if len(wrong) != 1 || !strings.Contains(wrong[0].Error(), "f:1: "+flag.Name+": it can be given on the command line only") {
				t.Errorf("%s: %v", flag.Name, wrong)
			}
			return
		}
		names++
		if err := given.Set(flag.Name, arg); err != nil {
			t.Fatal(err)
		}
		want, got := given.Lookup(flag.Name), read.Lookup(flag.Name)
		if len(wrong) > 0 || got.Value.String() != want.Value.String() || !got.Changed || got.Value.String() == got.DefValue {
			t.Errorf("%s = %s in a file: %v, errors %v; on the command line: %v", flag.Name, inFile, got.Value, wrong, want.Value)
		}
		if len(c.lines) != 1 || c.lines[flag.Name] != 1 {
			t.Errorf("%s is in lines %v", flag.Name, c.lines)
		}
		if wrong := c.parse([]byte(flag.Name+" = 2020-01-02\n"), peerCommand(new(peerOptions)).Flags()); len(wrong) != 1 || !strings.HasPrefix(wrong[0].Error(), "f:1: "+flag.Name+": write ") {
			t.Errorf("a date as %s: %v", flag.Name, wrong)
		}
	})
	if names < 20 {
		t.Errorf("only %d flags were tried", names)
	}
}

// What conch config print prints has all keys, and is right when it is put in force.
func TestConfigPrint(t *testing.T) {
	code, printed, stderr := runConch(t, "config", "print")
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	none := config{path: "printed"}
	if wrong := none.parse([]byte(printed), peerCommand(new(peerOptions)).Flags()); len(wrong) > 0 || len(none.lines) > 0 {
		t.Errorf("as it is printed: %v, errors %v", none.lines, wrong)
	}
	key := regexp.MustCompile(`(?m)^# ([a-z-]+ = |\[peers\])`)
	inForce := key.ReplaceAllString(printed, "$1")
	inForce = strings.Replace(inForce, "peer = []\n", "", 1) // [peers] says so
	var o peerOptions
	cmd := peerCommand(&o)
	all := config{path: "printed"}
	if wrong := all.parse([]byte(inForce), cmd.Flags()); len(wrong) > 0 {
		t.Errorf("in force: %v\n%s", wrong, inForce)
	}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if !notInFile(flag.Name) && all.lines[flag.Name] == 0 {
			t.Errorf("there is no %s", flag.Name)
		}
	})
	o.Name, o.section.every = "a", 1 // defaults go with everything else, but not with each other
	if err := o.check(cmd); err != nil {
		t.Errorf("the defaults are wrong: %v", err)
	}
}

// right is a configuration with nothing wrong.
const right = "name = \"a\"\n[peers]\na = \"127.0.0.1:1\"\nb = \"127.0.0.1:2\"\n"

// checked is a configuration file, and what conch config check says of it.
type checked struct {
	name, text string
	args       string
	want       string // all that is said; F is the file
}

func TestConfigCheck(t *testing.T) {
	checkAll(t, []checked{
		{"right", right, "", "F is right: peer a of cluster conch"},
		{"a byte order mark", "\ufeff" + right, "", "F is right: peer a of cluster conch"},
		{"the command line wins", "ttl = \"1ms\"\ncluster = \"x\"\n" + right, "--ttl 1s --name b --cluster y", "F is right: peer b of cluster y"},
		{"and completes", "[peers]\na = \"127.0.0.1:1\"\n", "--name a", "F is right: peer a of cluster conch"},
		{"syntax", "name = \"a\"\nttl = 5s\n", "", "F:2: strings must be quoted"},
		{"twice", "name = \"a\"\n\nname = \"b\"\n", "", "F:3: key name is already defined"},
		{"encoding", "name = \"a\xff\"\n", "", "F:1: invalid UTF-8 character in basic string"},
		{"empty", "", "", "F: required flag(s) \"name\" not set"},
		{"no peers", "name = \"a\"\n", "", "F: at least one of the flags in the group [peers-file peer join serf-addr] is required"},
		{"all at once",
			"nmae = \"a\"\nttl = \"1ms\"\nvoters = \"a\"\ndrift = 1.5\ntrace = \"yes\"\n[peers]\na = \"127.0.0.1\"\nB = 7\n[tls]\nkey = 1\n", "--name a",
			"F:1: nmae: there is no such key; did you mean name?\n" +
				"F:2: ttl 1ms: the least is 100ms\n" +
				"F:3: voters: write a list of texts, as in [\"a\", \"b\"]\n" +
				"F:4: drift: write a whole number, without quotes\n" +
				"F:5: trace: write true or false, without quotes\n" +
				"F:7: peers: peer a: address \"127.0.0.1\": write HOST:PORT\n" +
				"F:8: peers: B: write the address in quotes, as in \"10.0.0.1:7400\"; a name with dots needs quotes, too\n" +
				"F:9: tls: there is no such key; did you mean ttl?"},
		{"how keys are spelled", "peers_file = \"x\"\nwhatever-this-is = 1\nconfig = \"x\"\n" + right, "",
			"F:1: peers_file: there is no such key; did you mean peers-file?\n" +
				"F:2: whatever-this-is: there is no such key; conch config print shows all\n" +
				"F:3: config: it can be given on the command line only"},
		{"values", "ttl = \"soon\"\nseed = -1\nlisten = \"here\"\nlog-level = \"loud\"\nsocket-mode = \"0777\"\nkeyring = \"k\"\n" + right, "",
			"F:1: ttl: \"soon\": write a time with its unit, in quotes, as in \"5s\"\n" +
				"F:2: seed: \"-1\": write a whole number that is not negative, without quotes\n" +
				"F:3: listen \"here\": write HOST:PORT\n" +
				"F:4: log-level \"loud\": use info, warn, error, or off\n" +
				"F:5: socket-mode: \"0777\": use 0600, 0660 or 0666\n" +
				"F:6: keyring goes with --join or --serf-addr"},
		{"peers exclude each other", "peers-file = \"x\"\n" + right, "",
			"F:1: peers-file: if any flags in the group [peers-file peer join] are set none of the others can be; [peer peers-file] were all set\n" +
				"F:1: peers-file: peers file: stat x: no such file or directory"},
		{"peers twice", "peer = [\"a=127.0.0.1:1\"]\n" + right, "", "F:3: peers: peer in line 1 gives peers, too: leave one of them out"},
		{"peers by flag", right, "--peer a=127.0.0.1:7 --peer c=127.0.0.1:8 --voters c", "F is right: peer a of cluster conch"},
		{"peers as an inline table", "name = \"a\"\npeers = {a = \"127.0.0.1:1\", \"b.c\" = \"127.0.0.1:1\"}\n", "", "F:2: peer \"b.c=127.0.0.1:1\": peers a and b.c have the same address 127.0.0.1:1"},
		{"no table of peers", "name = \"a\"\npeers = \"peers.txt\"\n", "", "F:2: peers: write a table, as in [peers] and below it a = \"10.0.0.1:7400\""},
		{"an empty table of peers", "name = \"a\"\n[peers]\n", "", "F:2: peers: no peers; write one a line, as in a = \"10.0.0.1:7400\""},
		{"one is not among the peers", strings.Replace(right, `"a"`, `"c"`, 1), "", "F: c is not among the peers (a, b)"},
		{"voters", "voters = [\"a\", \"c\"]\n" + right, "", "F:1: voters: \"c\" is not among the peers (a, b)"},
		{"a peers file that is not there", "name = \"a\"\npeers-file = \"nowhere\"\n", "", "F:2: peers-file: peers file: stat nowhere: no such file or directory"},
		{"gossip", "name = \"d\"\njoin = [\"10.0.0.1:7946\"]\nvoters = [\"a\", \"b\", \"c\"]\nnetwork = \"wan\"\n", "", "F is right: peer d of cluster conch"},
		{"gossip without voters", "name = \"d\"\njoin = [\"10.0.0.1:7946\"]\nnetwork = \"mars\"\n", "", "F:2: join needs --voters a,b,c: whose votes count is decided when the cluster is born, and is the same at every peer\n" +
			"F:3: network \"mars\": write lan, wan or loopback"},
	})
}

// What is wrong is looked for at its place, and nowhere else.
func TestConfigCheckPlaces(t *testing.T) {
	checkAll(t, []checked{
		{"a negative ttl", "ttl = \"-5s\"\n" + right, "", "F:1: ttl -5s: the least is 100ms"},
		{"pairs", "log-level = \"loud\"\nlog-format = \"xml\"\nadmin = \"here\"\nadmin-locks = -1\n" + right, "",
			"F:1: log-level \"loud\": use info, warn, error, or off\n" +
				"F:2: log-format \"xml\": use text or json\n" +
				"F:3: admin \"here\": write HOST:PORT, as in 127.0.0.1:7430; port 0 takes a free one\n" +
				"F:4: admin-locks -1: it cannot be negative"},
		{"an empty list of peers", "name = \"a\"\npeer = []\n", "", "F:2: peer: name at least one, this one included, as in a=10.0.0.1:7400"},
		{"an empty peers file", "name = \"a\"\npeers-file = \"\"\n", "", "F:2: peers-file: name the file"},
		{"peers as an inline table of several lines", "name = \"a\"\npeers = {a = \"127.0.0.1:1\",\n\n  b = 7,\n}\n", "", "F:4: peers: b: write the address in quotes, as in \"10.0.0.1:7400\"; a name with dots needs quotes, too"},
		{"a key that looks like a name in a table", "\"peers.b\" = 1\n[peers]\na = \"127.0.0.1:1\"\nb = 7\n", "--name a", "F:1: peers.b: there is no such key; did you mean peers?\n" +
			"F:4: peers: b: write the address in quotes, as in \"10.0.0.1:7400\"; a name with dots needs quotes, too"},
	})
}

// checkAll checks files.
func checkAll(t *testing.T, tests []checked) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeConfig(t, tt.text)
			code, stdout, stderr := runConch(t, append([]string{"config", "check", path}, strings.Fields(tt.args)...)...)
			want := placed(tt.want, path)
			if strings.HasPrefix(tt.want, "F is right") {
				if code != 0 || stdout != want+"\n" || stderr != "" {
					t.Errorf("exit %d, stdout %q, stderr %q; want %q", code, stdout, stderr, want)
				}
				return
			}
			want = "conch: " + want + "\nTry 'conch config check --help'.\n"
			if code != exitUsage || stdout != "" || stderr != want {
				t.Errorf("exit %d, stdout %q, stderr:\n%s\nwant:\n%s", code, stdout, stderr, want)
			}
		})
	}
}

func TestConfigOfPeer(t *testing.T) {
	const peers = "name = \"a\"\n[peers]\na = \"127.0.0.1:1\"\n"
	for _, tt := range []struct {
		text, args string
		code       int
		want       string
	}{
		{"nme = \"a\"\n" + peers, "", exitUsage, "F:1: nme: there is no such key"},
		{"ttl = \"1ms\"\n" + peers, "", exitUsage, "F:1: ttl 1ms: the least is 100ms"},
		{"ttl = \"1s\"\n" + peers, "--ttl 1ms", exitUsage, "conch: --ttl 1ms: the least is 100ms"},
		{"voters = [\"b\"]\n" + peers, "", exitUsage, "F:1: voters: \"b\" is not among the peers (a)"},
		{"cluster = \"" + strings.Repeat("x", 201) + "\"\n" + peers, "", exitUsage, "F:1: cluster has 201 bytes"},
		{"voters = [\"b\"]\n" + peers, "--voters c", exitUsage, "conch: --voters: \"c\" is not among the peers (a)"},
		{"voters = [\"b\"]\n" + peers, "--name b", exitUsage, "conch: b is not among the peers (a)"},
		{"", "--name a", exitUsage, "F: at least one of the flags in the group"},
		{peers, "--join 127.0.0.1:1 --voters a", exitUsage, "F:2: peer: if any flags in the group [peers-file peer join]"},
	} {
		path := writeConfig(t, tt.text)
		code, stdout, stderr := runConch(t, append([]string{"peer", "--config", path}, strings.Fields(tt.args)...)...)
		if want := placed(tt.want, path); code != tt.code || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%q %s: exit %d, stdout %q, stderr %q; want exit %d, %q", tt.text, tt.args, code, stdout, stderr, tt.code, want)
		}
	}
	dir := t.TempDir()
	large := writeConfig(t, strings.Repeat("#", maxConfig+1))
	badUsage(t, []badUse{
		{"peer --config nowhere.toml", exitUsage, "--config: open nowhere.toml: no such file"},
		{"peer --config " + dir, exitUsage, "is a directory"},
		{"peer --config " + large, exitUsage, "is it the right file?"},
		{"config", exitUsage, "conch config check FILE"},
		{"config fly", exitUsage, "unknown command"},
		{"config check", exitUsage, "accepts 1 arg(s)"},
		{"config check nowhere.toml", exitUsage, "nowhere.toml: no such file"},
		{"config check x --config y", exitUsage, "--config: give the file alone"},
		{"config print x", exitUsage, "unknown command"},
	})
}

// To look for the places of keys takes no longer for each of many.
func TestPlacesOfMany(t *testing.T) {
	var keys strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&keys, "k%d=1\n", i)
	}
	for name, text := range map[string]string{"keys": keys.String(), "dots": "a" + strings.Repeat(".a", 500_000) + "=1\n"} {
		began := time.Now()
		at := placesIn([]byte(text))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
		if want := strings.Count(text, "\n"); len(at.keys) != want || name == "keys" && at.keys["k99999"] != want {
			t.Errorf("%s: %d keys, the last in line %d", name, len(at.keys), at.keys["k99999"])
		}
	}
}

// FuzzConfig holds that no text makes a peer panic, that errors name a place in it, and
// that each error is about something of the file.
func FuzzConfig(f *testing.F) {
	var printed bytes.Buffer
	if err := printConfig(&printed, peerCommand(new(peerOptions)).Flags()); err != nil {
		f.Fatal(err)
	}
	f.Add(printed.Bytes())
	f.Add([]byte("name = \"a\"\nttl = \"1ms\"\nvoters = [\"a\", 1]\n[peers]\na = \"10.0.0.1:7400\"\n\"b.c\" = 1\n"))
	f.Add([]byte("peers = {a = \"x\"}\npeer.a.b = [[1, 2.0]]\n[[join]]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var o peerOptions
		cmd := peerCommand(&o)
		cmd.SetErr(&bytes.Buffer{})
		o.config.path = "f"
		lines := bytes.Count(text, []byte("\n")) + 1
		wrong := o.config.parse(text, cmd.Flags())
		if len(wrong) == 0 {
			wrong = single(o.config.locate(o.complete(cmd)))
		}
		for _, err := range wrong {
			var line int
			if strings.HasPrefix(err.Error(), "f:") {
				if _, scan := fmt.Sscanf(err.Error(), "f:%d:", &line); scan != nil || line < 1 || line > lines {
					t.Errorf("%q: %v", text, err)
				}
			}
		}
	})
}
