package transport

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/board"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/wire"
)

// sights is a board.Local that knows one thing, and never anything new.
type sights struct {
	report board.Report
	wishes []node.Wish
}

func (s *sights) Look(string) board.Report       { return s.report }
func (s *sights) Changed(string) <-chan struct{} { return nil }
func (s *sights) Peers() []node.PeerStatus       { return nil }
func (s *sights) PeersChanged() <-chan struct{}  { return nil }
func (s *sights) Steer(_ string, w node.Wish) (*node.HoldSight, error) {
	s.wishes = append(s.wishes, w)
	if w.Token != 1 {
		return nil, nil
	}
	return full().Locks[0].Hold, nil
}

func full() board.Report {
	return board.Report{More: 3, Locks: []node.Sight{{
		Name: "x", More: 2, Stamp: 7, WaitsFor: []algo.PeerName{"b", "c"}, LentTo: "b", LentFor: 5,
		Hold:    &node.HoldSight{About: node.About{Label: "l", Trace: "t", ID: 9}, Token: 1, For: 2, Lease: 3, Ended: "e"},
		Waiters: []node.WaiterSight{{About: node.About{Label: "w", Trace: "u", ID: 8}, For: 4}},
	}}}
}

// What a peer tells arrives as it was told.
func TestReportCodec(t *testing.T) {
	r := full()
	back := decodeReport(encodeReport(&r))
	if got, want := fmt.Sprintf("%+v %+v", back, back.Locks[0].Hold), fmt.Sprintf("%+v %+v", r, r.Locks[0].Hold); strings.ReplaceAll(got, fmt.Sprintf("%p", back.Locks[0].Hold), "") != strings.ReplaceAll(want, fmt.Sprintf("%p", r.Locks[0].Hold), "") {
		t.Errorf("got %s, want %s", got, want)
	}
	strange := &wire.Report{Locks: []*wire.Sight{{Lock: "a\n"}, {Lock: "x", Held: &wire.Held{About: &wire.About{Label: "\x1b[2J"}}}}}
	back = decodeReport(strange)
	if len(back.Locks) != 1 || back.Locks[0].Hold.Label != `"\x1b[2J"` {
		t.Errorf("what could not be shown: %+v", back)
	}
}

// A report that is too large for a message tells of as many locks as there is room for.
func TestReportFits(t *testing.T) {
	var r board.Report
	names := make([]algo.PeerName, 60)
	for i := range names {
		names[i] = algo.PeerName(fmt.Sprintf("%0200d", i))
	}
	for i := range 1000 {
		r.Locks = append(r.Locks, node.Sight{Name: fmt.Sprint(i), WaitsFor: names})
	}
	to := encodeReport(&r)
	n := len(to.Locks)
	if got := int(to.More) + n; n == 0 || n == 1000 || got != 1000 {
		t.Errorf("%d locks are told, %d more", n, to.More)
	}
	next := proto.Size(encodeSight(&r.Locks[n]))
	if size := proto.Size(to); size > maxReport || size < maxReport-2*next {
		t.Errorf("%d bytes, of %d", size, maxReport)
	}
}

// Views cross the network; who is not meant, or not ready, or older, says so.
func TestViewsOverNetwork(t *testing.T) {
	to, err := New(Config{Self: "b", Incarnation: 1, Listen: "127.0.0.1:0", Cluster: "one", TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Start(nobody{}); err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	from := newViews(Config{Self: "a", Cluster: "one"}, func(p algo.PeerName) string {
		if p == "lost" {
			return ""
		}
		return to.Addr().String()
	})
	watch := func(peer algo.PeerName) (got board.Report, err error) {
		ctx, cancel := context.WithCancel(t.Context())
		err = from.Watch(ctx, peer, "x", func(r board.Report) {
			got = r
			cancel()
		})
		return got, err
	}
	for peer, want := range map[algo.PeerName]string{"b": "it has just started", "c": `this is peer b of cluster "one", not "c"`, "lost": "nobody has said where lost is"} {
		if _, err := watch(peer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", peer, err, want)
		}
	}
	local := &sights{report: full()}
	to.Views().Answer(local)
	if got, _ := watch("b"); len(got.Locks) != 1 || got.Locks[0].Name != "x" {
		t.Errorf("got %+v", got)
	}
	for token, want := range map[algo.Token]bool{1: true, 2: false} {
		if told, err := from.Steer(t.Context(), "b", "x", node.Wish{Token: token, By: "me", Reason: "r", End: true}); err != nil || (told != nil) != want || want && told.Lease != 3 {
			t.Errorf("token %d: told %+v, %v", token, told, err)
		}
	}
	if _, err := from.Steer(t.Context(), "b", "x", node.Wish{By: "a\x00"}); err == nil {
		t.Error("a name that cannot be printed is taken")
	}
	if len(local.wishes) != 2 || local.wishes[0].By != "me" || !local.wishes[0].End {
		t.Errorf("b was told %+v", local.wishes)
	}
	if len(from.conns) != 0 {
		t.Errorf("%d connections are left", len(from.conns))
	}
}

// Who looks at locks and vanishes, without a word, does not keep its place.
func TestFollowerVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViews(Config{Self: "b", Cluster: "one"}, nil)
		v.Answer(&sights{report: full()})
		server, listener := newServer(5*time.Second), bufconn.Listen(1<<16)
		wire.RegisterViewsServer(server, viewsServer{Views: v})
		go server.Serve(listener)
		gone := make(chan struct{})
		conn, err := grpc.NewClient("passthrough:///b", append(dialOptions(), grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			c, err := listener.Dial()
			return &vanishing{Conn: c, gone: gone}, err
		}))...)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := wire.NewViewsClient(conn).Watch(t.Context(), &wire.WatchRequest{Party: &wire.Party{Cluster: "one", To: "b"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := v.followers.Load(); n != 1 {
			t.Errorf("%d followers, while one answers", n)
		}
		close(gone)
		time.Sleep(11 * time.Second)
		if n := v.followers.Load(); n != 0 {
			t.Errorf("%d followers, though it has vanished", n)
		}
		conn.Close()
		server.Stop()
	})
}

// vanishing is a connection of a machine that is gone at some time.
type vanishing struct {
	net.Conn
	gone chan struct{}
}

func (c *vanishing) Write(b []byte) (int, error) {
	select {
	case <-c.gone:
		return len(b), nil
	default:
		return c.Conn.Write(b)
	}
}

// nobody is a Handler that nobody calls.
type nobody struct{ node.Handler }

func (nobody) BeforeSend() {}

// FuzzViews sends what it likes to a peer that tells of its locks, and reads what another
// may tell.
func FuzzViews(f *testing.F) {
	r := full()
	for _, m := range []proto.Message{
		encodeReport(&r),
		&wire.SteerRequest{Party: &wire.Party{Cluster: "one", To: "b"}, Lock: "x", Token: 1, By: "me", Reason: "r", End: true},
		&wire.SteerRequest{Party: &wire.Party{Cluster: "one", To: "b"}, Lock: "\x01", By: strings.Repeat("x", 300)},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var report wire.Report
		if proto.Unmarshal(b, &report) == nil {
			for _, s := range decodeReport(&report).Locks {
				if err := algo.CheckLock(s.Name); err != nil {
					t.Error(err)
				}
				if s.Hold != nil && algo.CheckText("label", s.Hold.Label) != nil && len(s.Hold.Label) <= algo.MaxLockName {
					t.Errorf("label %q", s.Hold.Label)
				}
			}
		}
		var steer wire.SteerRequest
		if proto.Unmarshal(b, &steer) != nil {
			return
		}
		local := &sights{}
		v := newViews(Config{Self: "b", Cluster: "one"}, nil)
		v.Answer(local)
		_, err := viewsServer{Views: v}.Steer(t.Context(), &steer)
		fits := algo.CheckText("", steer.GetBy()) == nil && algo.CheckText("", steer.GetReason()) == nil && algo.CheckText("", steer.GetLock()) == nil &&
			steer.GetParty().GetTo() == "b" && steer.GetParty().GetCluster() == "one"
		if fits != (len(local.wishes) == 1) || !fits && status.Code(err) == codes.OK {
			t.Errorf("told %d, %v", len(local.wishes), err)
		}
	})
}
