// Package wire is the schema of what peers say to each other, peers.proto, and
// the code generated from it.
package wire

//go:generate go tool -modfile=../../../tools/go.mod buf generate
