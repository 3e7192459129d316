//go:build unix

package command

import "syscall"

func init() {
	signalNames["USR1"], signalNames["USR2"] = syscall.SIGUSR1, syscall.SIGUSR2
}
