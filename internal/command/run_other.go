//go:build !unix || aix || solaris

package command

import (
	"context"
	"errors"
	"io/fs"
)

// supported: process groups and their signals are needed to end a command with
// what it has started, and to end less would be a promise broken in silence.
const supported = false

func executable(string, fs.FileInfo) bool { return true }

// Run is never reached: Resolve returns an error here.
func (c *Command) Run(context.Context, Hold, ...string) Result {
	return Result{Code: 126, Err: errors.ErrUnsupported}
}
