package trace

import "io"

// feed reads a Source ahead in a goroutine of its own.
type feed struct {
	full chan []Line
	free chan []Line
	err  error // why full was closed
	done chan struct{}
	last []Line // handed out by next
}

// feedBatch is how many events change hands at once, feedDepth how often that
// can happen before the reader waits for the merge.
const (
	feedBatch = 256
	feedDepth = 3
)

// startFeed starts to read; the goroutine ends with the source, or soon after
// stop is closed.
func startFeed(s Source, stop <-chan struct{}) *feed {
	f := &feed{full: make(chan []Line, feedDepth), free: make(chan []Line, feedDepth+1), done: make(chan struct{})}
	for range feedDepth {
		f.free <- nil
	}
	go func() {
		defer close(f.done)
		defer close(f.full)
		if closer, ok := s.(io.Closer); ok {
			defer closer.Close()
		}
		for f.err == nil {
			var batch []Line
			select {
			case batch = <-f.free:
			case <-stop:
				return
			}
			if batch == nil {
				batch = make([]Line, feedBatch)
			}
			n := 0
			for n < feedBatch && f.err == nil {
				if f.err = s.Next(&batch[n]); f.err == nil {
					n++
				}
			}
			f.full <- batch[:n] // never blocks: there are only feedDepth of them
		}
	}()
	return f
}

// next returns the next events; those before are given back.
func (f *feed) next() ([]Line, error) {
	if f.last != nil {
		f.free <- f.last[:feedBatch]
	}
	var ok bool
	if f.last, ok = <-f.full; !ok {
		return nil, f.err
	}
	return f.last, nil
}
