//go:build !linux

package clock

import (
	"time"

	"github.com/conchlock/conch/algo"
)

var start = time.Now()

func now() algo.Instant { return algo.Instant(time.Since(start)) }

func boot() string { return "" }
