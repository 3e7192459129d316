// Package archtest has no code, only tests: they hold the rules about who may
// import whom and how long things may get, and say why when one is broken.
package archtest
