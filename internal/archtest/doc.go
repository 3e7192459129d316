// Package archtest has no code, only tests: they hold the rules about who may
// import whom, how long things may get, and where documents may link to, and say
// why when one is broken.
package archtest
