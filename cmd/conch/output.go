package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/conchlock/conch/internal/trace"
)

// output is a file that a command writes. It is there before the work begins,
// so that a path that cannot be written is found out first; what was at the
// path is replaced at the end, whole, or stays.
type output struct {
	*bufio.Writer
	path string
	file *os.File
	temp bool // file is to be renamed
}

// createOutput opens what the flag names.
func createOutput(flag, path string) (*output, error) {
	info, err := os.Stat(path)
	switch {
	case path == "":
		return nil, usage("%s: name a file", flag)
	case strings.Contains(filepath.Base(path), trace.Suffix):
		// It may be one of those that are about to be read, and there is no other copy.
		return nil, usage("%s %s is what a trace is called; choose another name", flag, path)
	case err == nil && info.IsDir():
		return nil, usage("%s %s is a directory; name a file", flag, path)
	case err == nil && !info.Mode().IsRegular(): // a pipe, a terminal
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, unwritable(flag, path, err)
		}
		return &output{bufio.NewWriter(file), path, file, false}, nil
	case err == nil:
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, unwritable(flag, path, err)
		}
		file.Close()
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".conch-*")
	if err != nil {
		return nil, unwritable(flag, path, err)
	}
	return &output{bufio.NewWriter(file), path, file, true}, nil
}

func unwritable(flag, path string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return usage("%s %s cannot be written: %w", flag, path, err)
}

// discard ends the work without a file, unless commit has.
func (o *output) discard() {
	if o.file == nil {
		return
	}
	o.file.Close()
	if o.temp {
		os.Remove(o.file.Name())
	}
	o.file = nil
}

// commit puts what was written at the path.
func (o *output) commit() error {
	defer o.discard()
	err := o.Flush()
	if err == nil && o.temp {
		err = o.file.Chmod(0o644)
	}
	if closeErr := o.file.Close(); err == nil {
		err = closeErr
	}
	if err == nil && o.temp {
		err = os.Rename(o.file.Name(), o.path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.path, err)
	}
	if o.temp {
		o.file = nil
	}
	return nil
}
