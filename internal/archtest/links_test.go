package archtest

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	inline  = regexp.MustCompile("`[^`\n]*`")
)

// links returns where a document links to. What is set as code has no links.
func links(text string) []string {
	var targets []string
	for _, m := range link.FindAllStringSubmatch(inline.ReplaceAllString(fenced.ReplaceAllString(text, ""), "code"), -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// anchors returns the headings that one can link to.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		found[anchor(m[1])] = true
	}
	return found
}

// anchor is what GitHub makes of a heading: small letters and digits, a hyphen
// for each blank, and no other signs.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// missing returns the links of a document that lead nowhere. Those to other sites
// are not looked at.
func missing(path, text string) []string {
	var list []string
	for _, target := range links(text) {
		u, err := url.Parse(target)
		if err != nil {
			list = append(list, target)
			continue
		}
		if u.Scheme != "" {
			continue
		}
		to := path
		if u.Path != "" {
			to = filepath.Join(filepath.Dir(path), filepath.FromSlash(u.Path))
		}
		if _, err := os.Stat(to); err != nil {
			list = append(list, target)
			continue
		}
		if u.Fragment == "" {
			continue
		}
		if there, err := os.ReadFile(to); err != nil || !anchors(string(there))[u.Fragment] {
			list = append(list, target)
		}
	}
	return list
}

// TestLinks follows every link from one document to another, and to the code.
func TestLinks(t *testing.T) {
	const root = "../.."
	documents := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || path == filepath.Join(root, "runs")) { // runs are those of conch demo
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" || filepath.Base(filepath.Dir(path)) == "testdata" {
			return nil
		}
		documents++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, target := range missing(path, string(text)) {
			t.Errorf("%s links to %s, which is not there", path, target)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if documents < 10 {
		t.Errorf("there are %d documents", documents)
	}
}

// TestAsides reads the chapters as reports have them, without what a chapter sets
// aside, and wants that to point at nothing that is left out.
func TestAsides(t *testing.T) {
	asides := regexp.MustCompile(`(?s)<!-- aside:.*?<!-- end of aside -->\n`)
	paths, err := filepath.Glob("../../docs/algorithms/*.md")
	if err != nil || len(paths) < 9 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		left := asides.ReplaceAllString(string(text), "")
		there := anchors(left)
		for _, target := range links(left) {
			if at, ok := strings.CutPrefix(target, "#"); ok && !there[at] {
				t.Errorf("%s links to %s, which a report leaves out", path, target)
			}
		}
	}
}

// TestLinksBite wants links that lead nowhere to be noticed.
func TestLinksBite(t *testing.T) {
	const text = "# A run, or two\n[a](doc.go) [b](nowhere.go) [c](#a-run-or-two) [d](#a-run) ![e](../archtest/doc.go) [f](https://example.org/x)\n" +
		"`[g](code)`\n```\n[h](code)\n# No heading\n```\n[i](#no-heading) [j](doc.go#there)\n"
	path := filepath.Join(t.TempDir(), "x.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "doc.go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(missing(path, text), " ")
	if want := "nowhere.go #a-run ../archtest/doc.go #no-heading doc.go#there"; got != want {
		t.Errorf("missing are %q, want %q", got, want)
	}
}
