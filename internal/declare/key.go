package declare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Scopes of a key.
const (
	// ScopeIngest may send events; a key with it alone is public.
	ScopeIngest = "ingest"
	// ScopePush may open a push channel for an anonymous id.
	ScopePush = "push"
	// ScopeCommand may mint tokens and send commands: for servers only.
	ScopeCommand = "command"
)

// Hash is what is stored of a key: SHA-256, hex.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Key publishes a public write key (scopes ingest and push) unless it is there already; fresh says
// that it was not. An empty list of origins admits same-origin pages only.
func Key(ctx context.Context, cluster kafka.Config, tenant, key, id string, origins []string) (fresh bool, err error) {
	return addKey(ctx, cluster, tenant, key, id, origins, ScopeIngest, ScopePush)
}

// SecretKey is Key for a server's key, with all scopes.
func SecretKey(ctx context.Context, cluster kafka.Config, tenant, key, id string, origins []string) (fresh bool, err error) {
	return addKey(ctx, cluster, tenant, key, id, origins, ScopeIngest, ScopePush, ScopeCommand)
}

func addKey(ctx context.Context, cluster kafka.Config, tenant, key, id string, origins []string, scopes ...string) (fresh bool, err error) {
	k := &schemas.WriteKey{Id: id, Tenant: tenant, Hash: Hash(key), Scopes: scopes, Origins: origins, CreatedMs: time.Now().UnixMilli()}
	fresh = true
	err = kafka.Snapshot(ctx, cluster, topics.WriteKeys.Spec, func(e kafka.Entry) {
		if e.Key == k.Hash {
			fresh = e.Value == nil
		}
	})
	if err != nil || !fresh {
		return false, err
	}
	return true, withKeys(cluster, func(out *kafka.Emitter[*schemas.WriteKey]) error { return out.EmitSync(ctx, k.Hash, k) })
}

// RevokeKey ends the keys that have the id; it stops working within a second. It returns how many
// there were.
func RevokeKey(ctx context.Context, cluster kafka.Config, tenant, id string) (int, error) {
	keys, err := Keys(ctx, cluster, tenant)
	if err != nil {
		return 0, err
	}
	n := 0
	err = withKeys(cluster, func(out *kafka.Emitter[*schemas.WriteKey]) error {
		var faults []error
		for _, k := range keys {
			if k.Id == id {
				n++
				faults = append(faults, out.Delete(k.Hash, func(error) {}))
			}
		}
		return errors.Join(faults...)
	})
	return n, err
}

// Keys of a tenant, by hash.
func Keys(ctx context.Context, cluster kafka.Config, tenant string) (map[string]*schemas.WriteKey, error) {
	keys := map[string]*schemas.WriteKey{}
	var faults []error
	err := kafka.Snapshot(ctx, cluster, topics.WriteKeys.Spec, func(e kafka.Entry) {
		delete(keys, e.Key)
		if e.Value == nil {
			return
		}
		k, err := topics.WriteKeys.Codec.Decode(e.Value)
		if err != nil {
			faults = append(faults, fmt.Errorf("key at %s: %w", e.At, err))
		} else if k.Tenant == tenant {
			keys[e.Key] = k
		}
	})
	return keys, errors.Join(append(faults, err)...)
}

func withKeys(cluster kafka.Config, do func(*kafka.Emitter[*schemas.WriteKey]) error) error {
	out, err := kafka.NewEmitter(cluster, "dwell-keys", topics.WriteKeys)
	if err != nil {
		return err
	}
	return errors.Join(do(out), out.Close())
}
