package drawing

import (
	"strings"
	"unicode/utf8"
)

// Escape makes a text safe to stand in XML or HTML, and in an attribute between
// double quotes. What these cannot hold, and signs that turn the direction of
// what follows, become U+FFFD.
func Escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < ' ', r >= 0x7f && r < 0xa0, turns(r), r&0xfffe == 0xfffe:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// turns says that r changes the direction in which text runs.
func turns(r rune) bool {
	return r == 0x061c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
