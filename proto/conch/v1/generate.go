// Package conchv1 is what a running peer says to the programs on its machine: the
// schema, and what is generated from it.
package conchv1

//go:generate go tool -modfile=../../../tools/go.mod buf generate ../.. --template ../../buf.gen.yaml -o ../..
//go:generate go run github.com/conchlock/conch/internal/openapi -root ../../..
