package serf

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	maxSaid    = 256         // things that are remembered as said
	maxUnsaid  = 64          // things that wait to be said
	libraryGap = time.Minute // between two lines of the libraries
	noticeTime = time.Minute // in which at most so many things are said:
	maxNotices = 60          // whoever reaches the port can give reason for any number
)

// notices are warnings for people, each once. They are kept until the goroutine
// takes them that calls Self.Warn: whoever finds something wrong may hold locks.
type notices struct {
	wake chan struct{}

	mu      sync.Mutex
	said    map[string]bool
	order   []string // of said, oldest first
	queue   []string
	library time.Time // when one of the libraries' own lines was last let through
	began   time.Time // the present noticeTime
	count   int       // of what was said in it
	hidden  int       // and of what was not, as it was too much
}

func newNotices() *notices {
	return &notices{wake: make(chan struct{}, 1), said: make(map[string]bool)}
}

// once says something, unless it was said under that key.
func (n *notices) once(key, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said[key] || len(n.queue) >= maxUnsaid || n.crowded(time.Now()) {
		return
	}
	if len(n.order) >= maxSaid {
		delete(n.said, n.order[0])
		n.order = n.order[1:]
	}
	n.said[key] = true
	n.order = append(n.order, key)
	n.queue = append(n.queue, text)
	hint(n.wake)
}

// crowded says that too much was said lately. N.mu is held.
func (n *notices) crowded(now time.Time) bool {
	if now.Sub(n.began) >= noticeTime {
		if n.hidden > 0 {
			n.queue = append(n.queue, fmt.Sprintf("%d more warnings were left out: somebody gives reason for very many", n.hidden))
		}
		n.began, n.count, n.hidden = now, 0, 0
	}
	if n.count >= maxNotices {
		n.hidden++
		return true
	}
	n.count++
	return false
}

// has says whether something was said under the key.
func (n *notices) has(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.said[key]
}

// over says that what was said under the key is not so any more: if it comes back,
// it is said again.
func (n *notices) over(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.said[key] {
		return
	}
	delete(n.said, key)
	for i, k := range n.order {
		if k == key {
			n.order = append(n.order[:i], n.order[i+1:]...)
			break
		}
	}
}

// take returns what is to be said.
func (n *notices) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	queue := n.queue
	n.queue = nil
	return queue
}

// lines is where the libraries log to. Most of what they say is for those who
// write them, or is said better elsewhere.
type lines struct {
	said   *notices
	doubts chan<- string // peers that seem not to answer by UDP
}

// known are parts of the libraries' lines that need no word: they mend themselves,
// or the gate has told.
var known = []string{
	"Refuting", "Shutdown without a Leave", "timeout waiting", "timeout while waiting", "ignoring alive message",
	"Failed push/pull merge", "onflict", "Failed fallback TCP ping", "Push/Pull with", "failed to resolve", "unexpected node",
	"Failed to send UDP", "Failed to send gossip", "Failed to send indirect", "Bad state when leave", "Failed to send ack",
	"Error reading UDP packet",
}

// Write takes a line of a library.
func (l *lines) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level, rest, ok := strings.Cut(text, "] ")
	if level == "[DEBUG" || level == "[INFO" || !ok {
		return len(line), nil
	}
	const tcpOnly = "Was able to connect to "
	switch _, after, found := strings.Cut(rest, tcpOnly); {
	case found:
		name, _, _ := strings.Cut(after, " ")
		select { // one late packet is no reason to alarm anybody
		case l.doubts <- name:
		default:
		}
	case isKeyTrouble(rest):
		from := origin(rest)
		l.said.once("key "+from, keyTrouble(from))
	default:
		for _, k := range known {
			if strings.Contains(rest, k) {
				return len(line), nil
			}
		}
		l.said.line(rest)
	}
	return len(line), nil
}

// line says what a library says, if it begins in a way that was not heard before.
func (n *notices) line(text string) {
	key := text
	if words := strings.Fields(text); len(words) > 4 {
		key = strings.Join(words[:4], " ")
	}
	n.mu.Lock()
	quiet := !n.library.IsZero() && time.Since(n.library) < libraryGap
	if !quiet && !n.said["line "+key] {
		n.library = time.Now()
	}
	n.mu.Unlock()
	if !quiet {
		n.once("line "+key, "gossip: "+shorten(text, 300))
	}
}

// isKeyTrouble says that an error of memberlist is about keys.
func isKeyTrouble(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "decrypt") || strings.Contains(text, "encrypt")
}

func keyTrouble(from string) string {
	return "somebody gossips at " + from + " whom this peer does not understand, as the keys differ: " +
		"compare the keyrings (Source.Keyring, --keyring), or is that another cluster?"
}

// origin finds the address at the end of a line of memberlist, without the port,
// which is another for each connection.
func origin(line string) string {
	_, from, _ := strings.Cut(line, "from=")
	from, _, _ = strings.Cut(from, " ")
	if host, _, err := net.SplitHostPort(from); err == nil {
		return host
	}
	return "an unknown address"
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
