package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func hash(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

func bytesOf(t *testing.T, k *schemas.WriteKey) []byte {
	t.Helper()
	b, err := topics.WriteKeys.Codec.Append(nil, k)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put applies a key, or a tombstone.
func put(t *testing.T, r *Ring, secret string, k *schemas.WriteKey) *Key {
	t.Helper()
	var v []byte
	if k != nil {
		k.Hash = hash(secret)
		v = bytesOf(t, k)
	}
	_, now, err := r.Apply(hash(secret), v)
	if err != nil {
		t.Error(err)
	}
	return now
}

func TestKeyIsInForceUntilItIsRevoked(t *testing.T) {
	var r Ring
	if _, ok := r.Find("s"); ok || r.AllowsOrigin("https://a.example") {
		t.Fatal("an empty ring lets somebody in")
	}
	v := bytesOf(t, &schemas.WriteKey{Id: "k", Tenant: "acme", Hash: hash("s"), Scopes: []string{Ingest}, Origins: []string{"https://A.example/"}})
	before, now, err := r.Apply(hash("s"), v)
	k, ok := r.Find("s")
	if before != nil || now != k || err != nil || !ok || k.ID != "k" || k.Tenant != "acme" || !k.May(Ingest) || k.May(Push) || k.May("") {
		t.Fatalf("%v %v %v", before, now, err)
	}
	if !k.Allows("https://a.example") || k.Allows("https://b.example") || k.Allows("http://a.example") || !r.AllowsOrigin("https://a.example") {
		t.Error("origins")
	}
	before, now, err = r.Apply(hash("s"), nil)
	if _, ok := r.Find("s"); ok || before != k || now != nil || err != nil || r.AllowsOrigin("https://a.example") {
		t.Errorf("revoked: %v %v %v", before, now, err)
	}
	if before, _, err = r.Apply(hash("s"), nil); before != nil || err != nil {
		t.Errorf("revoked twice: %v %v", before, err)
	}
}

func TestOriginStaysAllowedWhileAnyKeyAllowsIt(t *testing.T) {
	var r Ring
	for _, s := range []string{"a", "b"} {
		put(t, &r, s, &schemas.WriteKey{Tenant: "t", Origins: []string{"https://x.example"}})
	}
	put(t, &r, "a", &schemas.WriteKey{Tenant: "t", Origins: []string{"https://y.example"}})
	if !r.AllowsOrigin("https://x.example") || !r.AllowsOrigin("https://y.example") {
		t.Error("after a changed")
	}
	put(t, &r, "b", nil)
	if r.AllowsOrigin("https://x.example") {
		t.Error("after b went")
	}
}

func TestRecordThatMakesNoSenseRevokes(t *testing.T) {
	for name, v := range map[string][]byte{
		"no protobuf":  {0xff, 0xff},
		"no tenant":    bytesOf(t, &schemas.WriteKey{Hash: hash("s")}),
		"slash":        bytesOf(t, &schemas.WriteKey{Hash: hash("s"), Tenant: "a/b"}),
		"another hash": bytesOf(t, &schemas.WriteKey{Hash: hash("x"), Tenant: "a"}),
	} {
		var r Ring
		put(t, &r, "s", &schemas.WriteKey{Id: "k", Tenant: "acme"})
		before, now, err := r.Apply(hash("s"), v)
		if _, ok := r.Find("s"); ok || before == nil || now != nil || err == nil {
			t.Errorf("%s: %v %v %v", name, before, now, err)
		}
	}
	var r Ring
	if _, _, err := r.Apply("what", nil); err == nil {
		t.Error("a record key that is no hash")
	}
}

func TestChangedKeyKeepsItsSpentTokens(t *testing.T) {
	var r Ring
	at, rate := time.Unix(1000, 0), Rate{PerSecond: 1, Burst: 2}
	if put(t, &r, "s", &schemas.WriteKey{Id: "1", Tenant: "acme"}).Take(at, 2, rate) != 0 {
		t.Error("a full bucket")
	}
	if wait := put(t, &r, "s", &schemas.WriteKey{Id: "2", Tenant: "acme"}).Take(at, 1, rate); wait != time.Second {
		t.Errorf("wait = %s", wait)
	}
}

func TestTokensComeBackAtTheRate(t *testing.T) {
	k, at := &Key{bucket: &bucket{}}, time.Unix(1000, 0)
	rate := Rate{PerSecond: 10, Burst: 10}
	if k.Take(at, 10, rate) != 0 {
		t.Fatal("a full bucket")
	}
	if wait := k.Take(at, 5, rate); wait != 500*time.Millisecond {
		t.Errorf("wait = %s", wait)
	}
	if k.Take(at.Add(500*time.Millisecond), 5, rate) != 0 {
		t.Error("after the wait")
	}
	if k.Take(at, 1, rate) == 0 { // a clock that goes back gives nothing
		t.Error("a token from the past")
	}
	if k.Take(at.Add(time.Hour), 1000, rate) != 0 {
		t.Error("more than a burst, from a full bucket")
	}
	if k.Take(at.Add(time.Hour), 1, rate) == 0 {
		t.Error("more than a burst costs a burst")
	}
	if k.Take(at, 1<<30, Rate{}) != 0 {
		t.Error("no limit")
	}
}

func TestRingIsSharedByManyGoroutines(t *testing.T) {
	var r Ring
	var g sync.WaitGroup
	for i := range 4 {
		g.Go(func() {
			for n := range 200 {
				s := fmt.Sprint(i, n%5)
				put(t, &r, s, &schemas.WriteKey{Tenant: "t", Origins: []string{"*"}})
				r.Find(s)
				r.AllowsOrigin("x")
				put(t, &r, s, nil)
			}
		})
	}
	g.Wait()
	if r.AllowsOrigin("x") || len(r.keys) != 0 {
		t.Errorf("%d keys are left", len(r.keys))
	}
}
