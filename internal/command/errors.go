package command

import (
	"errors"
	"fmt"
	"runtime"
)

var (
	errNotFound    = errors.New("not found")
	errDirectory   = errors.New("is a directory")
	errBinary      = errors.New("cannot be run on this machine")
	errInterpreter = errors.New("its interpreter is not found")
	errUnsupported = fmt.Errorf("running a command is %w on %s", errors.ErrUnsupported, runtime.GOOS)
	errEnded       = errors.New("not started: the hold has ended")
)
