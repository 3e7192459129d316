package service

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
)

// guard stands before all calls: it turns web pages away, and gives each request a
// time to arrive in.
//
// A browser runs the programs of strangers, and lets them send requests to this
// machine. Their answers it keeps from a page of another origin, but a lock would be
// taken all the same. Two things show such a page: the browser says that the request
// crosses origins (Sec-Fetch-Site, Origin), or, where the page's own name was made to
// lead to this machine (DNS rebinding), the request asks for that name as its host.
func guard(next http.Handler) http.Handler {
	var origins http.CrossOriginProtection
	writer := connecthttp.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := checkHost(r)
		if err == nil {
			if crossed := origins.Check(r); crossed != nil {
				err = fmt.Errorf("the request comes from a web page of another origin (%s), and such pages get no locks of this machine", origin(r))
			}
		}
		if err != nil {
			writer.Write(w, r, connect.NewError(connect.CodePermissionDenied, err.Error()))
			return
		}
		if !lasting(r) {
			limitBody(w, r)
		}
		next.ServeHTTP(w, r)
	})
}

// checkHost wants a request over TCP to ask for this machine by a name that nobody
// else can own. No web page reaches a unix socket, so what is asked for there is all
// the same.
func checkHost(r *http.Request) error {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && at.Network() == "unix" {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if ip := net.ParseIP(host); ip.IsLoopback() || strings.EqualFold(host, "localhost") {
		return nil
	}
	return fmt.Errorf("the request asks for host %q, which a web page could have made to lead here: ask for localhost or 127.0.0.1", r.Host)
}

// origin says where a request comes from, as far as the browser tells.
func origin(r *http.Request) string {
	if o := r.Header.Get("Origin"); o != "" {
		return o
	}
	return "Sec-Fetch-Site: " + r.Header.Get("Sec-Fetch-Site")
}

// lasting says that a client may go on sending for as long as it likes: tools that
// look around with reflection do.
func lasting(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/grpc.reflection.") }

// limitBody bounds the time in which a request has to arrive. Once it has, waiting
// for the answer may take for ever.
func limitBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	conn := http.NewResponseController(w)
	if conn.SetReadDeadline(time.Now().Add(arriveTime)) == nil {
		r.Body = &arriving{r.Body, conn, w, r.ProtoMajor}
	}
}

// arriving is a body with a deadline, which ends with it: on HTTP/1 it would end
// the connection, too, and with it the call.
type arriving struct {
	io.ReadCloser
	conn  *http.ResponseController
	w     http.ResponseWriter
	proto int
}

func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		a.conn.SetReadDeadline(time.Time{})
	case err != nil && a.proto == 1:
		// What comes late must not be taken for the next request.
		a.w.Header().Set("Connection", "close")
	}
	return n, err
}
