package fence

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
)

// The headers. TokenHeader is what a request needs. LockHeader says of which lock
// the token is, and HighestHeader, in an answer 412, what the token should have
// been at least. A lock's name is escaped as in a path.
const (
	TokenHeader   = "Conch-Token"
	LockHeader    = "Conch-Lock"
	HighestHeader = "Conch-Highest"
)

// SetHeader puts a hold into the header of a request. The name of the lock decides
// nothing there; a server refuses the request if it guards what is asked for with
// another lock, rather than compare tokens that do not know each other.
func SetHeader(h http.Header, lock string, token Token) {
	h.Set(TokenHeader, token.String())
	h.Set(LockHeader, url.PathEscape(lock))
}

// DefaultLimit is the Limit of an HTTP that names none.
const DefaultLimit = 1000

// HTTP fences handlers. Requests must carry a token:
//
//	412 Precondition Failed    the token is stale; Conch-Highest has the highest one
//	428 Precondition Required  there is no Conch-Token
//	400 Bad Request            it is malformed, or of another lock
//	503 Service Unavailable    too many wait, or the request ended while it waited
//	500 Internal Server Error  the Store cannot keep tokens; the Logger is told why
//
// Bodies are plain text. Put it around what writes only: reading needs no token.
//
// A check before the handler alone would be no fence: while the handler runs, a
// newer token may be checked and its handler overtake the older one. So with a
// Store the handlers of a lock run one at a time, each inside the Store's Do. A
// handler that hangs keeps that lock's others waiting, with newer tokens too: give
// handlers a timeout that ends what they write. What a handler leaves behind when
// it returns (goroutines, a hijacked connection) is not fenced.
//
// Without a Store nothing is compared here: the handler takes the hold from
// FromContext and checks where it writes, e.g. with InTx, and answers with
// WriteError what that returns. That is better wherever the writes are in a
// database.
//
// Whoever sends a token is believed, and one of 2^53-1 shuts everybody else out
// for ever: let strangers in no further than to your own authentication.
type HTTP struct {
	// Lock returns the name of the lock that guards what a request writes. It is
	// the server's choice, e.g. a constant, or made from the path of a resource. A
	// request for which it is no name of a lock gets 400.
	Lock func(*http.Request) string

	// Store keeps the highest tokens; nil leaves the check to the handler. A
	// *Memory forgets when the process ends: take a *Directory if what handlers
	// write stays.
	Store Store

	// Limit bounds how many requests are in the Store or in the handler at a time,
	// of all locks. The default is DefaultLimit.
	Limit int

	// Logger is told what goes wrong with the Store, at Error. The default is
	// silence.
	Logger *slog.Logger
}

// Handler returns next behind the fence. It panics if there is no Lock.
func (h HTTP) Handler(next http.Handler) http.Handler {
	if h.Lock == nil {
		panic("fence: HTTP.Lock is missing: say which lock guards what a request writes")
	}
	if h.Limit == 0 {
		h.Limit = DefaultLimit
	}
	if h.Logger == nil {
		h.Logger = slog.New(slog.DiscardHandler)
	}
	return &fenced{HTTP: h, next: next}
}

// fenced is a handler behind the fence.
type fenced struct {
	HTTP
	next   http.Handler
	inside atomic.Int64 // requests in the Store or in the handler
}

func (f *fenced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	lock := f.Lock(r)
	token, refusal := f.shown(r, lock)
	if refusal != nil {
		http.Error(w, refusal.text, refusal.code)
		return
	}
	r = r.WithContext(NewContext(r.Context(), lock, token))
	if f.Store == nil {
		f.next.ServeHTTP(w, r)
		return
	}
	defer f.inside.Add(-1)
	if f.inside.Add(1) > int64(f.Limit) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "fence: too many requests wait; this one has not begun", http.StatusServiceUnavailable)
		return
	}
	begun := false
	err := f.Store.Do(r.Context(), lock, token, func() error {
		begun = true
		f.next.ServeHTTP(w, r)
		return nil
	})
	switch {
	case err == nil:
	case begun: // the handler has answered
		f.Logger.Error("the fence has failed after the write", "lock", lock, "token", token, "error", err)
	case WriteError(w, err):
	case r.Context().Err() != nil:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "fence: the request ended while others were being served; it has not begun", http.StatusServiceUnavailable)
	default:
		f.Logger.Error("the fence cannot keep a token", "lock", lock, "token", token, "error", err)
		http.Error(w, "fence: the token cannot be checked, so the request has not begun", http.StatusInternalServerError)
	}
}

// refusal is an answer to a request that shows no hold of the lock.
type refusal struct {
	code int
	text string
}

// shown returns the token that came with a request.
func (f *fenced) shown(r *http.Request, lock string) (Token, *refusal) {
	if err := checkLock(lock); err != nil {
		return 0, &refusal{http.StatusBadRequest, "fence: what is asked for is guarded by no lock, since its name can be none"}
	}
	tokens, locks := r.Header.Values(TokenHeader), r.Header.Values(LockHeader)
	switch {
	case len(tokens) == 0:
		return 0, &refusal{http.StatusPreconditionRequired, "fence: this needs the token of a hold of lock " + url.PathEscape(lock) + ", in the header " + TokenHeader}
	case len(tokens) > 1 || len(locks) > 1:
		return 0, &refusal{http.StatusBadRequest, "fence: there are several tokens or locks; send those of one hold"}
	}
	token, err := ParseToken(tokens[0])
	if err != nil {
		return 0, &refusal{http.StatusBadRequest, err.Error()}
	}
	if len(locks) == 1 {
		if name, err := url.PathUnescape(locks[0]); err != nil || name != lock {
			return 0, &refusal{http.StatusBadRequest, "fence: this is guarded by lock " + url.PathEscape(lock) + ", and the token is of another one"}
		}
	}
	return token, nil
}

// WriteError answers a request with what a Store, Check or InTx has returned, if
// that says that the token is stale: with 412, the highest token in the header
// Conch-Highest, and the error's text. Otherwise it does nothing and returns false.
func WriteError(w http.ResponseWriter, err error) bool {
	var stale *StaleError
	if !errors.As(err, &stale) {
		return false
	}
	w.Header().Set(HighestHeader, stale.Highest.String())
	http.Error(w, stale.Error(), http.StatusPreconditionFailed)
	return true
}
