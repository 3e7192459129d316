package document

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func page1(t *testing.T, d *Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldenPage(t *testing.T) {
	got := page1(t, small())
	path := filepath.Join("testdata", "small.html")
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s", path, got)
	}
}

var (
	tags       = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)[^<>]*?(/?)>`)
	attributes = regexp.MustCompile(`\b(id|href)="([^"]*)"`)
)

// TestPageIsWhole looks at the tags and at the names.
func TestPageIsWhole(t *testing.T) {
	void := map[string]bool{"meta": true, "br": true, "li": true}
	for name, build := range documents {
		text := page1(t, build())
		var open []string
		ids := map[string]bool{}
		for _, m := range tags.FindAllStringSubmatch(text, -1) {
			switch closing, tag, empty := m[1] != "", m[2], m[3] != ""; {
			case void[tag] || empty:
			case !closing:
				open = append(open, tag)
			case len(open) == 0 || open[len(open)-1] != tag:
				t.Fatalf("%s: </%s> within %v", name, tag, open)
			default:
				open = open[:len(open)-1]
			}
			if m[1] == "" {
				if strings.EqualFold(m[2], "script") {
					t.Errorf("%s: a script", name)
				}
				for _, a := range attributes.FindAllStringSubmatch(m[0], -1) {
					if a[1] == "id" && ids[a[2]] {
						t.Errorf("%s: the ID %q is there twice", name, a[2])
					}
					ids[a[2]] = ids[a[2]] || a[1] == "id"
				}
			}
		}
		if len(open) != 0 {
			t.Errorf("%s: %v are not closed", name, open)
		}
		for _, a := range attributes.FindAllStringSubmatch(text, -1) {
			if id, ok := strings.CutPrefix(a[2], "#"); ok && a[1] == "href" && !ids[id] {
				t.Errorf("%s: a link to %q", name, id)
			}
		}
		for _, bad := range []string{"\u202e", "\u2066", "\x07", "\xff", "<script", "http-equiv", "@import", "url(http"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: has %q", name, bad)
			}
		}
	}
}
