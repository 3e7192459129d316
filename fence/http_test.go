package fence_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch/fence"
)

// ledger names the lock as a server would: by the path, whatever a client says.
func ledger(r *http.Request) string { return "ledger" + strings.TrimSuffix(r.URL.Path, "/") }

// request is one to a path with headers NAME: VALUE.
func request(path string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPut, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHTTP(t *testing.T) {
	h := fence.HTTP{Lock: ledger, Store: new(fence.Memory)}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock, token, _ := fence.FromContext(r.Context())
		fmt.Fprint(w, lock, " ", token)
	}))
	for _, c := range []struct {
		path    string
		headers []string
		code    int
		body    string
	}{
		{"/", []string{"Conch-Token: 33"}, 200, "ledger/ 33"},
		{"/", []string{"conch-token: 33", "Conch-Lock: ledger%2F"}, 200, "ledger/ 33"},
		{"/", []string{"Conch-Token: 34"}, 200, "ledger/ 34"},
		{"/", []string{"Conch-Token: 33"}, 412, "token 33 is refused, as 34 was here"},
		{"/", []string{"Conch-Token: 33", "Conch-Lock: mine"}, 400, "guarded by lock ledger%2F"}, // a client cannot choose
		{"/", []string{"Conch-Token: 35", "Conch-Lock: "}, 400, "guarded by lock"},
		{"/", []string{"Conch-Token: 35", "Conch-Lock: %zz"}, 400, "guarded by lock"},
		{"/a", []string{"Conch-Token: 1"}, 200, "ledger/a 1"},
		{"/", nil, 428, "in the header Conch-Token"},
		{"/", []string{"Conch-Token: "}, 400, "no token"},
		{"/", []string{"Conch-Token: 0"}, 400, "no token"},
		{"/", []string{"Conch-Token: 9007199254740992"}, 400, "no token"},
		{"/", []string{"Conch-Token: 034"}, 400, "no token"},
		{"/", []string{"Conch-Token: 34, 35"}, 400, "no token"},
		{"/", []string{"Conch-Token: 34", "Conch-Token: 35"}, 400, "several"},
		{"/", []string{"Conch-Token: 35", "Conch-Lock: ledger%2F", "Conch-Lock: ledger%2F"}, 400, "several"},
		{"/" + strings.Repeat("x", 200), []string{"Conch-Token: 1"}, 400, "guarded by no lock"},
		{"/", []string{"Conch-Token: 34"}, 200, "ledger/ 34"},
	} {
		c.path = strings.Replace(c.path, "/", "//", 1) // ledger cuts one
		w := serve(h, request(c.path, c.headers...))
		if w.Code != c.code || !strings.Contains(strings.ReplaceAll(w.Body.String(), "//", "/"), c.body) {
			t.Errorf("%s %q: %d %q, want %d %q", c.path, c.headers, w.Code, w.Body, c.code, c.body)
		}
		if highest := w.Header().Get(fence.HighestHeader); (c.code == 412) != (highest == "34") {
			t.Errorf("%s %q: highest is %q", c.path, c.headers, highest)
		}
		if kind := w.Header().Get("Content-Type"); c.code != 200 && kind != "text/plain; charset=utf-8" {
			t.Errorf("%s %q: %s", c.path, c.headers, kind)
		}
	}
}

// What a client sets, a server reads.
func TestSetHeader(t *testing.T) {
	const name = "Ein Schloß / 100%"
	h := fence.HTTP{Lock: func(*http.Request) string { return name }, Store: new(fence.Memory)}.Handler(http.NotFoundHandler())
	r := request("/")
	fence.SetHeader(r.Header, name, 33)
	if w := serve(h, r); w.Code != 404 {
		t.Errorf("%v: %d %s", r.Header, w.Code, w.Body)
	}
}

// While a handler runs, no other of its lock does: what handlers write is in the
// order of tokens.
func TestHTTPCrowd(t *testing.T) {
	var written []fence.Token // guarded by the fence alone
	h := fence.HTTP{Lock: ledger, Store: new(fence.Memory)}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, token, _ := fence.FromContext(r.Context())
		written = append(written, token)
	}))
	var crowd sync.WaitGroup
	for i := range 16 {
		crowd.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			for turn := range 50 {
				if w := serve(h, request("/", fmt.Sprintf("Conch-Token: %d", 1+10*turn+rng.IntN(30)))); w.Code != 200 && w.Code != 412 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	crowd.Wait()
	if !slices.IsSorted(written) || len(written) == 0 {
		t.Errorf("written with tokens %v", written)
	}
}

// A handler that hangs keeps the others of its lock waiting: for as long as their
// requests last, and no more of them than the limit.
func TestHTTPBusy(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	h := fence.HTTP{Lock: ledger, Store: new(fence.Memory), Limit: 2}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, token, _ := fence.FromContext(r.Context()); token == 1 {
			close(inside)
			<-leave
		}
	}))
	var hangs sync.WaitGroup
	hangs.Go(func() { serve(h, request("/a", "Conch-Token: 1")) })
	<-inside
	if w := serve(h, request("/b", "Conch-Token: 2")); w.Code != 200 {
		t.Errorf("another lock: %d %s", w.Code, w.Body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	answers := make(chan *httptest.ResponseRecorder, 2)
	for range 2 { // one waits, and one is too many
		go func() { answers <- serve(h, request("/a", "Conch-Token: 2").WithContext(ctx)) }()
	}
	check := func(w *httptest.ResponseRecorder, want string) {
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	check(<-answers, "too many")
	cancel()
	check(<-answers, "ended while others")
	close(leave)
	hangs.Wait()
	if w := serve(h, request("/a", "Conch-Token: 1", "Conch-Lock: ledger%2Fb")); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := serve(h, request("/a", "Conch-Token: 2")); w.Code != 200 {
		t.Errorf("the places were not given back: %d %s", w.Code, w.Body)
	}
}

// A Store that fails is told to the operator; the client learns no paths.
func TestHTTPBroken(t *testing.T) {
	var log bytes.Buffer
	broken := storeFunc(func(write func() error) error { return errors.New("secret path") })
	h := fence.HTTP{Lock: ledger, Store: broken, Logger: slog.New(slog.NewTextHandler(&log, nil))}.Handler(http.NotFoundHandler())
	w := serve(h, request("/", "Conch-Token: 1"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || !strings.Contains(log.String(), "secret path") {
		t.Errorf("%d %q, log %q", w.Code, w.Body, &log)
	}
	late := storeFunc(func(write func() error) error { write(); return errors.New("secret path") })
	h = fence.HTTP{Lock: ledger, Store: late}.Handler(http.NotFoundHandler())
	if w := serve(h, request("/", "Conch-Token: 1")); w.Code != 404 || strings.Contains(w.Body.String(), "fence") {
		t.Errorf("after the handler has answered: %d %q", w.Code, w.Body)
	}
}

type storeFunc func(write func() error) error

func (f storeFunc) Do(_ context.Context, _ string, _ fence.Token, write func() error) error {
	return f(write)
}

// Without a Store the handler checks, and answers with what it found.
func TestHTTPHandlerChecks(t *testing.T) {
	h := fence.HTTP{Lock: ledger}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock, token, ok := fence.FromContext(r.Context())
		err := fmt.Errorf("in the handler: %w", &fence.StaleError{Lock: lock, Token: token, Highest: 40})
		if !ok || fence.WriteError(w, io.EOF) || !fence.WriteError(w, err) {
			t.Error("not told apart")
		}
	}))
	if w := serve(h, request("/", "Conch-Token: 7")); w.Code != 412 || w.Header().Get(fence.HighestHeader) != "40" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := serve(h, request("/")); w.Code != 428 {
		t.Errorf("%d", w.Code)
	}
}

// Whatever is in the headers, a request gets in only with the token and the lock
// of the server, and never breaks anything.
func FuzzHTTP(f *testing.F) {
	f.Add("33", "ledger")
	f.Add("0", "%6cedger")
	f.Add("9007199254740992", "\x00")
	f.Fuzz(func(t *testing.T, token, lock string) {
		in := false
		h := fence.HTTP{Lock: func(*http.Request) string { return "ledger" }, Store: new(fence.Memory)}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			l, n, _ := fence.FromContext(r.Context())
			in = l == "ledger" && n.String() == token && n.Check() == nil
		}))
		r := request("/")
		r.Header[fence.TokenHeader] = []string{token}
		r.Header[fence.LockHeader] = []string{lock}
		if w := serve(h, r); (w.Code == 200) != in || !in && w.Code != 400 {
			t.Errorf("token %q, lock %q: %d, in is %v", token, lock, w.Code, in)
		}
	})
}
