package fence

import (
	"context"
	"fmt"
	"sync"
)

// turns lets one at a time in, for each key. A key that nobody uses costs nothing.
// The zero value is ready.
type turns struct {
	mu   sync.Mutex
	keys map[string]*turn
}

type turn struct {
	free  chan struct{} // has an element while nobody is in
	users int           // who is in, and who waits
}

// enter waits for the key's turn until ctx ends. Who comes out calls leave, once.
func (t *turns) enter(ctx context.Context, key string) (leave func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	t.mu.Lock()
	k := t.keys[key]
	if k == nil {
		k = &turn{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		if t.keys == nil {
			t.keys = make(map[string]*turn)
		}
		t.keys[key] = k
	}
	k.users++
	t.mu.Unlock()
	select {
	case <-k.free:
		return func() { k.free <- struct{}{}; t.forget(key, k) }, nil
	case <-ctx.Done():
		t.forget(key, k)
		return nil, context.Cause(ctx)
	}
}

// forget counts a user less.
func (t *turns) forget(key string, k *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(t.keys, key)
	}
}

// Memory keeps the highest tokens in memory. It forgets them when the process
// ends, so it is for what ends with the process too: a cache, a device, a
// connection. It takes some 100 bytes for each lock that was ever used. The zero
// value is ready; its methods are safe for concurrent use.
type Memory struct {
	turns turns

	mu      sync.Mutex
	highest map[string]Token
}

// Do implements Store. Writes of different locks run at the same time.
func (m *Memory) Do(ctx context.Context, lock string, token Token, write func() error) error {
	if err := check(lock, token); err != nil {
		return err
	}
	leave, err := m.turns.enter(ctx, lock)
	if err != nil {
		return waited(lock, err)
	}
	defer leave()
	if err := m.raise(lock, token); err != nil {
		return err
	}
	return write()
}

func (m *Memory) raise(lock string, token Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := admit(lock, token, m.highest[lock]); err != nil {
		return err
	}
	if m.highest == nil {
		m.highest = make(map[string]Token)
	}
	m.highest[lock] = token
	return nil
}

// Highest returns the highest token seen for the lock, 0 if there was none.
func (m *Memory) Highest(lock string) Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.highest[lock]
}

// waited is the error of a call whose context ended before its turn came.
func waited(lock string, cause error) error {
	return fmt.Errorf("fence: lock %q: this write has not begun, it waited for others to end: %w", lock, cause)
}
