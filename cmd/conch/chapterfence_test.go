package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The picture in docs/fence.md is drawn from the traces beside it, which
// go test ./internal/pause -rewrite makes anew. That run was sound.
func TestChaptersFence(t *testing.T) {
	const fence = "../../docs/fence"
	dir := filepath.Join(fence, "pause")
	if code, out, stderr := runConch(t, "check", dir); code != exitOK {
		t.Fatalf("%s: exit %d, %s%s", dir, code, out, stderr)
	}
	svg := filepath.Join(t.TempDir(), "pause.svg")
	if code, _, stderr := runConch(t, "diagram", dir, "-o", svg); code != exitOK {
		t.Fatalf("%s: exit %d, %s", dir, code, stderr)
	}
	got, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, fence+"/pause.svg", string(got))
}
