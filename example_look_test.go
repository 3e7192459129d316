package conch_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/view"
)

func ExamplePeer_Look() {
	peer := join()
	defer peer.Close()
	ctx := context.Background()
	hold, err := peer.Mutex("nightly-report").Lock(ctx, conch.WithLabel("the nightly job"))
	if err != nil {
		log.Fatal(err)
	}
	defer hold.Unlock()

	seen, err := peer.Look(ctx, "nightly-report")
	if err != nil {
		log.Fatal(err)
	}
	lock := seen.Lock("nightly-report")
	fmt.Printf("held at peer %s by %s, %d wait\n", lock.Holder.Peer, lock.Holder.Label, len(lock.Waiters))
	// Output: held at peer a by the nightly job, 0 wait
}

func ExampleWithProgress() {
	peer := join()
	defer peer.Close()
	mutex := peer.Mutex("nightly-report")
	first, err := mutex.Lock(context.Background(), conch.WithLabel("the nightly job"))
	if err != nil {
		log.Fatal(err)
	}
	defer first.Unlock()

	ctx, giveUp := context.WithCancel(context.Background())
	told := false
	_, err = mutex.Lock(ctx, conch.WithProgress(func(place int, l view.Lock) {
		if place > 0 && l.Holder != nil && !told {
			told = true
			fmt.Printf("number %d, behind %s\n", place, l.Holder.Label)
			giveUp()
		}
	}))
	fmt.Println("gave up:", errors.Is(err, context.Canceled))
	// Output:
	// number 1, behind the nightly job
	// gave up: true
}

func ExampleHold_Asked() {
	peer := join()
	defer peer.Close()
	ctx := context.Background()
	hold, err := peer.Mutex("nightly-report").Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	go peer.Ask(ctx, "nightly-report", "the operator", "the disk is needed")

	select { // between two steps of the work
	case <-hold.Asked():
		by, reason := hold.AskedBy()
		fmt.Printf("%s asks: %s\n", by, reason)
	case <-hold.Context().Done():
	}
	fmt.Println("gave way:", hold.Unlock() == nil)
	// Output:
	// the operator asks: the disk is needed
	// gave way: true
}

func ExamplePeer_End() {
	peer := join()
	defer peer.Close()
	ctx := context.Background()
	hold, err := peer.Mutex("nightly-report").Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := peer.End(ctx, "nightly-report", hold.Token(), "the operator", "it hangs"); err != nil {
		log.Fatal(err)
	}
	<-hold.Context().Done()
	fmt.Println(context.Cause(hold.Context()))
	fmt.Println("lost:", errors.Is(hold.Unlock(), conch.ErrLost)) // the lock goes on now, not when the lease ends
	// Output:
	// the hold is lost: the operator has ended it: it hangs
	// lost: true
}
