// Package pause has no code, only a test: it plays the story for which fencing
// tokens were invented, with real processes. A holder is stopped between its last
// look at its hold and its write; its lease ends, another enters and writes; then
// the first goes on and writes. Once without package fence, once with it.
package pause
