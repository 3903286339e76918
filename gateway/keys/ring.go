// Package keys holds every write key in memory: who may come in, from which pages, how often.
package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Scopes of a key.
const (
	// Ingest may send events and frames.
	Ingest = "ingest"
	// Push may open the push channel.
	Push = "push"
	// Command may mint tokens for a tenant's users: a secret key, for servers only.
	Command = "command"
)

// Hash is the SHA-256 of a key, all that is stored of it.
type Hash [sha256.Size]byte

// Key is one write key. It is never changed; a newer version of it is another Key.
type Key struct {
	// ID is the public name for logs and records.
	ID     string
	Tenant string
	Hash   Hash

	scopes  []string
	origins []string
	bucket  *bucket
}

// May says whether the key has the scope.
func (k *Key) May(scope string) bool { return slices.Contains(k.scopes, scope) }

// Allows says whether a page of that origin may use the key.
func (k *Key) Allows(origin string) bool {
	return slices.Contains(k.origins, "*") || slices.Contains(k.origins, canonical(origin))
}

// canonical is the form in which a browser sends an origin.
func canonical(origin string) string { return strings.ToLower(strings.TrimRight(origin, "/")) }

// Ring is every key in force. The zero value is ready and empty; it may be used by many goroutines.
type Ring struct {
	mu      sync.RWMutex
	keys    map[Hash]*Key
	origins map[string]int // how many keys allow it
}

// Find returns the key whose secret is given.
func (r *Ring) Find(secret string) (*Key, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, ok := r.keys[sha256.Sum256([]byte(secret))]
	return k, ok
}

// AllowsOrigin says whether any key allows the origin: a preflight request does not name its key.
func (r *Ring) AllowsOrigin(origin string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.origins["*"] > 0 || r.origins[canonical(origin)] > 0
}

// Apply takes one record of topics.WriteKeys: its key is the hash in hex, a nil value revokes. It
// returns the key that was in force before and the one that is now, nil for none. A record that
// makes no sense revokes, and says why: a door that cannot be read stays shut.
func (r *Ring) Apply(key string, value []byte) (before, now *Key, err error) {
	hash, err := parseHash(key)
	if err != nil {
		return nil, nil, err
	}
	if value != nil {
		if now, err = parseKey(hash, value); err != nil {
			err = fmt.Errorf("write key %s: %w", key, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.keys, r.origins = map[Hash]*Key{}, map[string]int{}
	}
	if before = r.keys[hash]; before != nil {
		r.count(before, -1)
		delete(r.keys, hash)
	}
	if now != nil {
		if before != nil {
			now.bucket = before.bucket // a changed key does not come with fresh tokens
		}
		r.count(now, 1)
		r.keys[hash] = now
	}
	return before, now, err
}

func (r *Ring) count(k *Key, n int) {
	for _, o := range k.origins {
		if r.origins[o] += n; r.origins[o] == 0 {
			delete(r.origins, o)
		}
	}
}

func parseHash(key string) (h Hash, err error) {
	b, err := hex.DecodeString(key)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("write key: record key %q is no SHA-256 in hex", key)
	}
	return Hash(b), nil
}

func parseKey(hash Hash, value []byte) (*Key, error) {
	rec, err := topics.WriteKeys.Codec.Decode(value)
	if err != nil {
		return nil, err
	}
	var faults []error
	if !strings.EqualFold(rec.Hash, hex.EncodeToString(hash[:])) {
		faults = append(faults, errors.New("its hash is not the record's key"))
	}
	if rec.Tenant == "" || strings.Contains(rec.Tenant, "/") || len(rec.Tenant) > schemas.MaxIDBytes {
		faults = append(faults, fmt.Errorf("tenant %q: must be 1 to %d bytes without a slash", rec.Tenant, schemas.MaxIDBytes))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	k := &Key{ID: rec.Id, Tenant: rec.Tenant, Hash: hash, scopes: rec.Scopes, bucket: &bucket{}}
	for _, o := range rec.Origins {
		k.origins = append(k.origins, canonical(o))
	}
	return k, nil
}
