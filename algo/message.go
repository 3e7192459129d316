package algo

import "strings"

// Message is what one peer's machine says to another's. Every kind of message
// of every algorithm is a small struct of its own. A message is a value: once
// sent, nobody changes it, nor what it points to.
type Message interface {
	// Kind names the message in traces, logs and diagrams, e.g. "request".
	Kind() string
	// AppendFields appends what the message says, in a fixed order, for traces
	// and logs.
	AppendFields(dst []Field) []Field
}

// Field is one thing that a message says, in a form for people.
type Field struct{ Key, Value string }

// Reason says why a machine did what it did, in words that make a sentence
// with the peer's name in front: "c" + "holds back its reply, its own request
// % is older". A % stands for About. Machines build reasons on every step, so
// they are only put together when somebody reads them.
type Reason struct {
	Text  string
	About Stamp
}

// String puts the reason together.
func (r Reason) String() string {
	if r.About.IsZero() {
		return r.Text
	}
	return strings.Replace(r.Text, "%", r.About.String(), 1)
}
