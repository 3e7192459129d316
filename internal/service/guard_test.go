package service

import (
	"strings"
	"testing"

	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// A web page gets no lock, neither from its own origin nor by a name that leads here.
func TestWebPages(t *testing.T) {
	s := New(join(t))
	defer s.Close()
	for _, tt := range []struct {
		header []string
		want   string // part of the refusal; none if empty
	}{
		{nil, ""},
		{[]string{"Host", "localhost:7420"}, ""},
		{[]string{"Host", "LOCALHOST"}, ""},
		{[]string{"Host", "127.0.0.1:7420"}, ""},
		{[]string{"Host", "127.1.2.3"}, ""},
		{[]string{"Host", "[::1]:7420"}, ""},
		{[]string{"Host", "[::1]"}, ""},
		{[]string{"Origin", "http://localhost"}, ""}, // a page of its own, if ever there is one
		{[]string{"Sec-Fetch-Site", "same-origin"}, ""},
		{[]string{"Sec-Fetch-Site", "none"}, ""}, // typed by the user

		{[]string{"Host", "evil.example:7420"}, `host "evil.example:7420"`},
		{[]string{"Host", "evil.example", "Origin", "http://evil.example", "Sec-Fetch-Site", "same-origin"}, `host "evil.example"`},
		{[]string{"Host", "127.0.0.1.evil.example"}, "ask for localhost"},
		{[]string{"Host", "localhost.evil.example"}, "ask for localhost"},
		{[]string{"Host", "192.168.1.1"}, "ask for localhost"},
		{[]string{"Host", ""}, "ask for localhost"},
		{[]string{"Origin", "http://evil.example"}, "web page of another origin (http://evil.example)"},
		{[]string{"Origin", "null"}, "web page of another origin (null)"},
		{[]string{"Origin", "http://localhost:3000"}, "web page of another origin"},
		{[]string{"Sec-Fetch-Site", "cross-site"}, "web page of another origin (Sec-Fetch-Site: cross-site)"},
		{[]string{"Sec-Fetch-Site", "same-site"}, "web page of another origin"},
	} {
		before := s.sessions.count()
		for _, kind := range []string{"application/json", "application/grpc-web+proto", "text/plain"} {
			w := post(s, "/conch.v1.Locks/Open", kind, "{}", tt.header...)
			opened := s.sessions.count() - before
			switch {
			case tt.want != "" && opened > 0:
				t.Errorf("%v as %s opens a session", tt.header, kind)
			case kind != "application/json":
			case tt.want == "" && (w.Code != 200 || opened != 1):
				t.Errorf("%v: HTTP status %d, %s", tt.header, w.Code, w.Body)
			case tt.want != "":
				if f := failed(t, w); w.Code != 403 || f.Code != "permission_denied" || !strings.Contains(f.Message, tt.want) {
					t.Errorf("%v: HTTP status %d, %+v; want %q", tt.header, w.Code, f, tt.want)
				}
			}
		}
	}
}

// No web page reaches a unix socket, so any host may be asked for there.
func TestHostAtSocket(t *testing.T) {
	_, path := serve(t, join(t))
	if _, err := lockCalls(t, path).Open(t.Context(), &conchv1.OpenRequest{}); err != nil {
		t.Error(err)
	}
	if status, _ := request(t, path, "/conch.v1.Locks/Open", "{}"); status != 200 {
		t.Errorf("HTTP status %d", status)
	}
}
