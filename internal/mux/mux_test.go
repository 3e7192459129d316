package mux

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var limits = Limits{
	Request: 1000, Calls: 3, Pending: 4000,
	Arrive: 10 * time.Second, Silence: 10 * time.Second, Close: time.Second,
	Busy: 8, Broken: 3,
}

// world answers calls: echo at once, fail with code 5, hold when release says so.
type world struct {
	held chan *Call
	gone chan uint64
}

func newWorld() *world { return &world{make(chan *Call, 100), make(chan uint64, 100)} }

func (w *world) handle(c *Call, method string, request []byte) {
	switch method {
	case "echo":
		c.Answer(request)
	case "fail":
		c.Fail(&Failure{5, string(request)})
	case "hold":
		c.Gone(func() { w.gone <- c.id })
		w.held <- c
	case "much":
		c.Answer(make([]byte, 3000))
	}
}

// sockets is a pair of connected unix sockets.
func sockets(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// start serves one connection of the two, until the end of the test.
func start(t testing.TB, far net.Conn) (*Server, *world) {
	w := newWorld()
	s := NewServer(w.handle, limits)
	s.Serve(far, bufio.NewReader(far))
	t.Cleanup(s.Close)
	return s, w
}

// Calls are answered in any order, fail with what the server says, and can be given up.
func TestCalls(t *testing.T) {
	near, far := sockets(t)
	_, w := start(t, far)
	c := NewClient(near, bufio.NewReader(near))
	defer c.Close()
	if a, err := c.Call(t.Context(), "echo", []byte("hello")); err != nil || string(a) != "hello" {
		t.Errorf("%q, %v", a, err)
	}
	if a, err := c.Call(t.Context(), "echo", nil); err != nil || len(a) != 0 {
		t.Errorf("an empty answer: %q, %v", a, err)
	}
	var failed *Failure
	if _, err := c.Call(t.Context(), "fail", []byte("so it is")); !errors.As(err, &failed) || *failed != (Failure{5, "so it is"}) {
		t.Errorf("%v", err)
	}
	if _, err := c.Call(t.Context(), strings.Repeat("x", 256), nil); err == nil || !strings.Contains(err.Error(), "at most 255") {
		t.Errorf("a long name: %v", err)
	}
	held := make(chan string, 1)
	go func() {
		a, err := c.Call(t.Context(), "hold", nil)
		if err != nil {
			t.Error(err)
		}
		held <- string(a)
	}()
	first := <-w.held
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, "hold", nil)
		given <- err
	}()
	second := <-w.held
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if id := <-w.gone; id != second.id {
		t.Errorf("call %d is given up, and the server hears of %d", second.id, id)
	}
	second.Answer([]byte("too late"))
	first.Answer([]byte("now"))
	first.Answer([]byte("twice"))
	if a := <-held; a != "now" {
		t.Errorf("%q", a)
	}
	if a, err := c.Call(t.Context(), "echo", []byte("still here")); err != nil || string(a) != "still here" {
		t.Errorf("%q, %v", a, err)
	}
}

// When a connection ends, whichever side ends it, the calls on it do.
func TestEnd(t *testing.T) {
	for _, client := range []bool{true, false} {
		near, far := sockets(t)
		s, w := start(t, far)
		c := NewClient(near, bufio.NewReader(near))
		done := make(chan error, 1)
		go func() {
			_, err := c.Call(t.Context(), "hold", nil)
			done <- err
		}()
		held := <-w.held
		if client {
			c.Close()
		} else {
			s.Close()
		}
		if err := <-done; !errors.Is(err, ErrBroken) {
			t.Errorf("the call: %v", err)
		}
		<-w.gone
		held.Answer(nil)
		if _, err := c.Call(t.Context(), "echo", nil); !errors.Is(err, ErrBroken) || !c.Ended() {
			t.Errorf("the next call: %v", err)
		}
		c.Close()
	}
}

// Only so many calls of a connection wait.
func TestBusy(t *testing.T) {
	near, far := sockets(t)
	_, w := start(t, far)
	c := NewClient(near, bufio.NewReader(near))
	defer c.Close()
	for range limits.Calls {
		go c.Call(t.Context(), "hold", nil)
		<-w.held
	}
	var failed *Failure
	if _, err := c.Call(t.Context(), "echo", nil); !errors.As(err, &failed) || failed.Code != limits.Busy {
		t.Errorf("one more: %v", err)
	}
}

func callFrame(id uint64, method, request string) []byte {
	return appendFrame(nil, call, id, []byte{byte(len(method))}, []byte(method), []byte(request))
}

// readAll returns the frames that a connection sends until its end.
func readAll(in io.Reader) (list []frame) {
	r := reader{in: bufio.NewReader(in), max: 1 << 20}
	for {
		f, err := r.next()
		if err != nil {
			return list
		}
		list = append(list, frame{f.kind, f.id, bytes.Clone(f.body)})
	}
}

// What is not as described ends the connection, and the client hears why.
func TestMalformed(t *testing.T) {
	for _, tt := range []struct {
		name string
		sent []byte
		want string
	}{
		{"no frame", []byte{0, 0, 0, 0}, "a frame has 0 bytes"},
		{"too short", []byte{0, 0, 0, 8}, "a frame has 8 bytes"},
		{"too long", []byte{0xff, 0xff, 0xff, 0xff}, "a frame has 4294967295 bytes"},
		{"large request", callFrame(1, "m", strings.Repeat("x", limits.Request+1)), "at most 1000"},
		{"no kind", appendFrame(nil, 0, 1), "the kind 0"},
		{"another kind", appendFrame(nil, 77, 1), "the kind 77"},
		{"an answer", appendFrame(nil, answer, 1), "the kind 2"},
		{"no method", appendFrame(nil, call, 1), "no room for its method"},
		{"half a method", appendFrame(nil, call, 1, []byte{5, 'a'}), "no room for its method"},
		{"number 0", callFrame(0, "echo", ""), "number 0"},
		{"a number twice", append(callFrame(7, "hold", ""), callFrame(7, "hold", "")...), "two calls have the number 7"},
	} {
		near, far := sockets(t)
		start(t, far)
		near.Write(tt.sent)
		list := readAll(near)
		if len(list) != 1 || list[0].kind != failure || list[0].id != 0 {
			t.Errorf("%s: %v", tt.name, list)
			continue
		}
		if f, err := parseFailure(list[0].body); err != nil || f.Code != limits.Broken || !strings.Contains(f.Message, tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, f, err, tt.want)
		}
	}
}

// A client takes nothing for granted, either.
func TestMalformedAnswer(t *testing.T) {
	for _, tt := range []struct {
		sent []byte
		want string
	}{
		{binary.BigEndian.AppendUint32(nil, maxAnswer+headSize+1), "a frame has"},
		{appendFrame(nil, call, 1), "the kind 1"},
		{appendFrame(nil, failure, 1, []byte{0, 0, 0}), "no code"},
		{appendFrame(nil, failure, 0, (&Failure{3, "go away"}).body()), "go away"},
		{nil, "has closed it"},
		{[]byte{0, 0}, "unexpected EOF"},
	} {
		near, far := sockets(t)
		c := NewClient(near, bufio.NewReader(near))
		go func() {
			io.ReadFull(far, make([]byte, len(callFrame(1, "hold", ""))))
			far.Write(tt.sent)
			far.Close()
		}()
		var failed *Failure
		if _, err := c.Call(t.Context(), "hold", nil); !errors.Is(err, ErrBroken) || errors.As(err, &failed) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.want, err)
		}
		c.Close()
	}
}

// Who falls silent, or says something without end, is cut off in time; who waits and
// runs is not.
func TestSilent(t *testing.T) {
	for _, tt := range []struct {
		name        string
		first, more []byte // more comes every second
		least, most time.Duration
	}{
		{"says nothing", nil, nil, 20 * time.Second, 20 * time.Second},
		{"stops while it waits", callFrame(1, "hold", ""), nil, 20 * time.Second, 20 * time.Second},
		{"byte by byte", callFrame(1, "hold", strings.Repeat("x", 100))[:20], []byte("x"), 10 * time.Second, 11 * time.Second},
		{"a length, and no more", []byte{0, 0, 0, 100}, nil, 10 * time.Second, 10 * time.Second},
		{"answers", nil, appendFrame(nil, pong, 0), time.Hour, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				s, w := start(t, far)
				began := time.Now()
				ended, said := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(said)
					near.Write(tt.first)
					for tt.more != nil && time.Since(began) < tt.least {
						select {
						case <-ended:
							return
						case <-time.After(time.Second):
							near.Write(tt.more)
						}
					}
					if tt.most == 0 {
						near.Close()
					}
				}()
				readAll(near)
				took := time.Since(began)
				if took < tt.least || tt.most > 0 && took > tt.most+time.Second {
					t.Errorf("cut off after %s", took)
				}
				near.Close()
				close(ended)
				<-said
				s.Close()
				if len(w.held) != len(w.gone) {
					t.Errorf("%d calls wait, and %d are given up", len(w.held), len(w.gone))
				}
			})
		})
	}
}

// A client that waits answers pings, so it may wait for ever.
func TestWaitsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s, w := start(t, far)
		c := NewClient(near, bufio.NewReader(near))
		done := make(chan error, 1)
		go func() {
			_, err := c.Call(t.Context(), "hold", nil)
			done <- err
		}()
		held := <-w.held
		time.Sleep(time.Hour)
		held.Answer(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.Close()
		s.Close()
		synctest.Wait()
	})
}

// Who does not read its answers is not listened to any more, so that they do not pile up,
// and is cut off in the end. Nobody else waits for it.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s, _ := start(t, far)
		began := time.Now()
		asked := 0
		for id := uint64(1); ; id++ {
			if _, err := near.Write(callFrame(id, "much", "")); err != nil {
				break
			}
			asked++
		}
		if asked > 5 { // one is being written, limits.Pending wait, one is read
			t.Errorf("%d calls are taken up", asked)
		}
		if took := time.Since(began); took > limits.Silence+2*time.Second {
			t.Errorf("cut off after %s", took)
		}
		near.Close()
		s.Close()
		synctest.Wait()
	})
}

// Who does not read its answers does not hold up the server's end.
func TestCloseSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s, _ := start(t, far)
		go func() {
			for id := uint64(1); ; id++ {
				if _, err := near.Write(callFrame(id, "much", "")); err != nil {
					break
				}
			}
		}()
		time.Sleep(time.Second) // so long it takes up no call more
		began := time.Now()
		s.Close()
		if took := time.Since(began); took > limits.Close {
			t.Errorf("the end took %s", took)
		}
		near.Close()
		synctest.Wait()
	})
}

// What does not fit into the socket is sent later, whole and in order, and who has it
// sent does not wait.
func TestFull(t *testing.T) {
	near, far := sockets(t)
	w := newWriter(far, time.Minute)
	large := bytes.Repeat([]byte("0123456789"), 100_000) // the socket takes a part of it
	bodies := [][]byte{large}
	for range 2000 {
		bodies = append(bodies, large[:1000])
	}
	for i, body := range bodies {
		if err := w.write(answer, uint64(i), body); err != nil {
			t.Fatal(err)
		}
	}
	r := reader{in: bufio.NewReader(near), max: 1 << 20}
	for i, body := range bodies {
		if f, err := r.next(); err != nil || f.id != uint64(i) || !bytes.Equal(f.body, body) {
			t.Fatalf("frame %d: %d, %d bytes, %v", i, f.id, len(f.body), err)
		}
	}
	if err := w.room(0); err != nil {
		t.Error(err)
	}
	w.close(time.Second, net.ErrClosed)
	if err := w.write(answer, 1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// FuzzServer lets a client say anything. The server says nothing but frames, forgets the
// connection, and does not panic.
func FuzzServer(f *testing.F) {
	f.Add(callFrame(1, "echo", "hello"))
	f.Add(append(callFrame(1, "hold", ""), appendFrame(nil, cancel, 1)...))
	f.Add(append(callFrame(1, "fail", "x"), callFrame(1, "echo", "again")...))
	f.Add(append(appendFrame(nil, pong, 0), appendFrame(nil, cancel, 9)...))
	f.Add([]byte{0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, sent []byte) {
		near, far := net.Pipe()
		s := NewServer(newWorld().handle, limits)
		s.Serve(far, bufio.NewReader(far))
		go func() {
			near.Write(sent)
			near.SetReadDeadline(time.Now().Add(time.Millisecond))
		}()
		var got bytes.Buffer
		io.Copy(&got, near)
		near.Close()
		s.Close()
		if len(s.conns) > 0 {
			t.Error("the connection is not forgotten")
		}
		for _, f := range readAll(&got) {
			if f.kind != answer && f.kind != failure && f.kind != ping {
				t.Errorf("the server sends the kind %d", f.kind)
			}
		}
	})
}

// FuzzClient lets a peer say anything. The client's call ends, and no answer is longer
// than what was said.
func FuzzClient(f *testing.F) {
	f.Add(appendFrame(nil, answer, 1, []byte("hello")))
	f.Add(appendFrame(nil, failure, 1, []byte{0, 0, 0, 5, 'x'}))
	f.Add(appendFrame(appendFrame(nil, ping, 0), failure, 0))
	f.Fuzz(func(t *testing.T, sent []byte) {
		near, far := net.Pipe()
		c := NewClient(near, bufio.NewReader(near))
		go func() {
			io.ReadFull(far, make([]byte, len(callFrame(1, "hold", ""))))
			go io.Copy(io.Discard, far)
			far.Write(sent)
			far.Close()
		}()
		a, err := c.Call(t.Context(), "hold", nil)
		if err == nil && !bytes.Contains(sent, a) {
			t.Errorf("answered %q", a)
		}
		c.Close()
	})
}
