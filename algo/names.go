package algo

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// PeerName names a peer: [a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?
type PeerName string

// Check returns an error that says what is wrong with the name, if anything.
func (p PeerName) Check() error {
	if len(p) == 0 {
		return fmt.Errorf("a peer needs a name")
	}
	if len(p) > 63 {
		return fmt.Errorf("peer name %.20q... has %d characters, at most 63 are allowed", p, len(p))
	}
	for i := 0; i < len(p); i++ {
		c := p[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if inner := i > 0 && i < len(p)-1; alnum || inner && (c == '.' || c == '-') {
			continue
		}
		return fmt.Errorf("peer name %q: use lower-case letters and digits, and dots or dashes between them", p)
	}
	return nil
}

// MaxLockName is the length of the longest lock name, in bytes.
const MaxLockName = 200

// CheckLock returns an error that says what is wrong with the name of a lock,
// if anything: it is 1 to MaxLockName bytes of printable UTF-8.
func CheckLock(name string) error {
	if name == "" {
		return fmt.Errorf("a lock needs a name")
	}
	return CheckText("lock name", name)
}

// CheckText does so for a text that people write for people, as a label is: it is at
// most MaxLockName bytes of printable UTF-8. What says what it is.
func CheckText(what, text string) error {
	switch {
	case len(text) > MaxLockName:
		return fmt.Errorf("%s %.20q... has %d bytes, at most %d are allowed", what, text, len(text), MaxLockName)
	case !utf8.ValidString(text):
		return fmt.Errorf("%s %q is not valid UTF-8", what, text)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s %q has a character that cannot be printed, %U", what, text, r)
		}
	}
	return nil
}
