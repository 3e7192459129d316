package conch_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/conchlock/conch"
)

// join starts a cluster of one, which is a cluster too. Real ones have three
// peers and more, each in a program of its own.
func join() *conch.Peer {
	peer, err := conch.Join(context.Background(), conch.Config{
		Name:   "a",
		Peers:  conch.Peers{"a": "127.0.0.1:7400"},
		Listen: "127.0.0.1:0", // the example may run where 7400 is taken
	})
	if err != nil {
		log.Fatal(err)
	}
	return peer
}

func ExampleJoin() {
	peer, err := conch.Join(context.Background(), conch.Config{
		Name:   "a",
		Peers:  conch.Peers{"a": "127.0.0.1:7400"},
		Listen: "127.0.0.1:0",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	fmt.Println("this is peer", peer.Name())
	// Output: this is peer a
}

func ExampleMutex_Lock() {
	peer := join()
	defer peer.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	hold, err := peer.Mutex("nightly-report").Lock(ctx)
	if err != nil {
		log.Fatal(err) // the lock is certainly not held
	}
	defer hold.Unlock()

	fmt.Println("inside", hold.Lock(), "with a token:", hold.Token() > 0)
	// Output: inside nightly-report with a token: true
}

func ExampleMutex_TryLock() {
	peer := join()
	defer peer.Close()
	ctx := context.Background()
	mutex := peer.Mutex("migration")

	hold, err := mutex.TryLock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer hold.Unlock()

	_, err = mutex.TryLock(ctx)
	fmt.Println("a second time:", errors.Is(err, conch.ErrNotAcquired))
	// Output: a second time: true
}

func ExampleMutex_Do() {
	peer := join()
	defer peer.Close()

	var last conch.Token // what the resource keeps: the largest token it has seen
	for range 2 {
		err := peer.Mutex("ledger").Do(context.Background(), func(ctx context.Context, token conch.Token) error {
			if token <= last {
				return fmt.Errorf("token %d is not larger than %d: somebody was here since", token, last)
			}
			last = token
			fmt.Println("wrote to the ledger")
			return ctx.Err()
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// wrote to the ledger
	// wrote to the ledger
}

func ExamplePeer_Status() {
	peer := join()
	defer peer.Close()
	hold, err := peer.Mutex("ledger").Lock(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer hold.Unlock()

	for _, lock := range peer.Status().Locks {
		fmt.Println(lock.Name, "is held here:", lock.Held)
	}
	// Output: ledger is held here: true
}
