package command

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// signalNames are the signals that a command can be sent on purpose.
var signalNames = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM,
}

// ParseSignal reads a signal as people write it: TERM, SIGTERM, usr1.
func ParseSignal(text string) (syscall.Signal, error) {
	if s, ok := signalNames[strings.TrimPrefix(strings.ToUpper(text), "SIG")]; ok {
		return s, nil
	}
	var names []string
	for name := range signalNames {
		names = append(names, name)
	}
	slices.Sort(names)
	return 0, fmt.Errorf("signal %q: use one of %s", text, strings.Join(names, ", "))
}
