package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// docs/api/openapi.yaml says what the schema says. go generate ./proto/conch/v1
// writes it anew.
func TestFresh(t *testing.T) {
	if testing.Short() {
		t.Skip("runs buf")
	}
	const root = "../.."
	files, err := schema(root)
	if err != nil {
		t.Fatal(err)
	}
	want := describe(files)
	got, err := os.ReadFile(root + "/docs/api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/api/openapi.yaml is not what the schema says; go generate ./proto/conch/v1 writes it anew")
	}
	for _, call := range []string{"Locks/Open", "Locks/KeepAlive", "Locks/Close", "Locks/Acquire", "Locks/Cancel", "Locks/Release", "Peers/Get"} {
		if !strings.Contains(string(want), "\n  /conch.v1."+call+":\n") {
			t.Errorf("nothing is said of %s", call)
		}
	}
	for _, text := range []string{"Release gives a lock back. It may be repeated", "the fencing token", "a secret: whoever knows it"} {
		if !strings.Contains(string(want), text) {
			t.Errorf("the comment %q is lost", text)
		}
	}
}
