package serf

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	maxKeyringFile = 1 << 16 // bytes
	maxKeys        = 16      // each is tried on every packet that nobody can read
)

// keyring is a file with keys, and what memberlist has of it.
type keyring struct {
	path string
	said *notices
	ring *memberlist.Keyring // nil: no keys
}

// openKeyring reads the keys. No path means no keys.
func openKeyring(path string, said *notices) (*keyring, error) {
	k := &keyring{path: path, said: said}
	if path == "" {
		return k, nil
	}
	keys, err := k.read()
	if err != nil {
		return nil, err
	}
	k.ring, err = memberlist.NewKeyring(keys, keys[0])
	return k, err
}

func (k *keyring) read() ([][]byte, error) {
	info, err := os.Stat(k.path)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if info.IsDir() || info.Size() > maxKeyringFile {
		return nil, fmt.Errorf("keyring %s: is it the right file? It is a directory, or has more than %d bytes", k.path, maxKeyringFile)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		k.said.once("keyring mode", fmt.Sprintf("keyring %s can be read or changed by others on this machine: chmod 600", k.path))
	}
	text, err := os.ReadFile(k.path)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return parseKeyring(k.path, text)
}

// parseKeyring reads the text of a keyring file. Errors have the form FILE:LINE:
// reason, and do not give a key away.
func parseKeyring(name string, text []byte) ([][]byte, error) {
	var keys [][]byte
	n := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		n++
		word, _, _ := strings.Cut(string(line), "#")
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(word)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: this is not base64; make a key with: head -c 32 /dev/urandom | base64", name, n)
		}
		if err := memberlist.ValidateKey(key); err != nil {
			return nil, fmt.Errorf("%s:%d: the key has %d bytes; a key has 16, 24 or 32", name, n, len(key))
		}
		if slices.ContainsFunc(keys, func(old []byte) bool { return bytes.Equal(old, key) }) {
			return nil, fmt.Errorf("%s:%d: this key is there twice", name, n)
		}
		if len(keys) == maxKeys {
			return nil, fmt.Errorf("%s:%d: there are more than %d keys", name, n, maxKeys)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s:%d: no keys; write one a line, 16, 24 or 32 bytes in base64", name, max(n, 1))
	}
	return keys, nil
}

// watch follows the file. It also undoes what others change by serf's own
// commands: the file rules.
func (k *keyring) watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			keys, err := k.read()
			if err != nil {
				k.said.once("keyring", fmt.Sprintf("%v; until that is mended, the keys stay as they were", err))
				continue
			}
			k.said.over("keyring")
			install(k.ring, keys)
		}
	}
}

// install makes the ring have the keys, the first one first.
//
// Memberlist reads the slice of keys without a lock, and RemoveKey moves what is
// behind a key within that slice. So a key is only removed when it is the last
// one: moving each of the others to the front, the first one at the end, leaves
// those that go behind.
func install(ring *memberlist.Keyring, keys [][]byte) {
	if slices.EqualFunc(ring.GetKeys(), keys, bytes.Equal) {
		return
	}
	for _, key := range keys {
		ring.AddKey(key) // its length is right
	}
	for _, key := range slices.Backward(keys) {
		ring.UseKey(key)
	}
	for all := ring.GetKeys(); len(all) > len(keys); all = ring.GetKeys() {
		ring.RemoveKey(all[len(all)-1])
	}
}
