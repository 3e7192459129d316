package command

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
	waitStates = unix.WUNTRACED | unix.WCONTINUED
)
