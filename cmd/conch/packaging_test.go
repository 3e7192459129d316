package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const packaging = "../../packaging/"

// packaged reads a file of packaging.
func packaged(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(packaging + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The command lines in files for containers and service managers are right.
func TestPackagedCommands(t *testing.T) {
	var lines [][]string
	for _, name := range []string{"docker/Dockerfile", "docker/compose.yaml"} {
		for _, found := range regexp.MustCompile(`(?:CMD|command:) (\[[^\]]*\])`).FindAllStringSubmatch(packaged(t, name), -1) {
			var words []string
			if err := json.Unmarshal([]byte(found[1]), &words); err != nil {
				t.Fatalf("%s: %s: %v", name, found[1], err)
			}
			lines = append(lines, words)
		}
	}
	start := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(packaged(t, "systemd/conch.service"))
	lines = append(lines, strings.Fields(strings.NewReplacer("%S", "/var/lib", "%t", "/run").Replace(start[1])))
	peers := 0
	for _, words := range lines {
		if strings.HasSuffix(words[0], "conch") {
			words = words[1:]
		}
		cmd, args, err := rootCommand().Find(words)
		if err != nil {
			t.Errorf("%q: %v", words, err)
			continue
		}
		if err := cmd.ParseFlags(args); err != nil {
			t.Errorf("%q: %v", words, err)
		}
		if cmd.Name() != "peer" {
			continue
		}
		peers++
		var o peerOptions
		cmd = peerCommand(&o)
		cmd.ParseFlags(args)
		if o.config.path != "" {
			o.config.path = packaging + "conch.toml"
			err = o.checkConfig(cmd)
		} else {
			err = o.verify(cmd)
		}
		if err != nil {
			t.Errorf("%q: %v", words, err)
		}
	}
	if len(lines) != 7 || peers != 5 {
		t.Errorf("there are %d command lines, %d of them of peers: %q", len(lines), peers, lines)
	}
}

// Images are built from what is named, with the Go that the module asks for.
func TestPackagedImages(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go ([0-9]+\.[0-9]+)`).FindSubmatch(mod)[1]
	dockerfile := packaged(t, "docker/Dockerfile")
	if want := "FROM golang:" + string(version) + " AS build"; !strings.Contains(dockerfile, want) {
		t.Errorf("the Dockerfile has no line %q", want)
	}
	stages := map[string]bool{"scratch": true}
	for _, found := range regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`).FindAllStringSubmatch(dockerfile, -1) {
		if _, tag, _ := strings.Cut(found[1], ":"); !stages[found[1]] && (tag == "" || tag == "latest") {
			t.Errorf("%s: say which version", found[0])
		}
		stages[found[2]] = true
	}
	for _, found := range regexp.MustCompile(`target: ([a-z]+)`).FindAllStringSubmatch(packaged(t, "docker/compose.yaml"), -1) {
		if !stages[found[1]] {
			t.Errorf("compose.yaml wants %q, which the Dockerfile does not make", found[1])
		}
	}
}

// systemd understands the unit.
func TestPackagedUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze to read the unit with")
	}
	unit := filepath.Join(t.TempDir(), "conch.service")
	text := strings.Replace(packaged(t, "systemd/conch.service"), "/usr/bin/conch", os.Args[0], 1) // which exists
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--offline=yes", "--threshold=20", unit).CombinedOutput()
	if strings.Contains(string(out), "unrecognized option") || strings.Contains(string(out), "Unknown option") {
		t.Skip("this systemd-analyze judges no unit that is not loaded")
	}
	if err != nil {
		t.Errorf("the unit is more exposed than 2.0: %v\n%s", err, out)
	}
}
