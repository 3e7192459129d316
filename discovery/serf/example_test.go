package serf_test

import (
	"context"
	"fmt"

	"github.com/conchlock/conch/discovery"
	"github.com/conchlock/conch/discovery/serf"
)

// Two peers on one machine find each other; b knows where a gossips. A program
// gives a Source to conch.Config.Discovery, which calls Find.
func Example() {
	find := func(name, addr string, join ...string) (discovery.Search, <-chan discovery.News) {
		news := make(chan discovery.News, 10)
		source := serf.Source{Join: join, Bind: "127.0.0.1:0", Network: serf.Loopback}
		self := discovery.Self{Name: name, Addr: addr, Incarnation: 1, Cluster: "example", Algorithm: "relay", Voter: true}
		search, err := source.Find(context.Background(), self, func(n discovery.News) { news <- n })
		if err != nil {
			panic(err)
		}
		return search, news
	}
	a, atA := find("a", "127.0.0.1:7401")
	b, atB := find("b", "127.0.0.1:7402", a.Addr())
	for _, n := range []discovery.News{<-atA, <-atB} {
		fmt.Println(n.Kind, n.Name, n.Addr)
	}
	b.Leave()
	n := <-atA
	fmt.Println(n.Kind, n.Name)
	a.Leave()
	// Output:
	// found b 127.0.0.1:7402
	// found a 127.0.0.1:7401
	// left b
}
