package gate

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"testing"
)

func TestHoldoutOfTheWorkedCase(t *testing.T) {
	e := Experiment{Holdout: 1000, Salt: "hot-streak/holdout/1"}
	control := 0
	for i := range 100_000 {
		if _, out := e.Control(fmt.Sprint("u", i)); out {
			control++
		}
	}
	if control != 10_010 {
		t.Errorf("%d of 100000 are held out, want 10010", control)
	}
	for user, want := range map[string]uint32{"u0": 525, "u42": 5936} {
		if bucket, out := e.Control(user); bucket != want || out != (want < 1000) {
			t.Errorf("%s falls into %d, held out: %v", user, bucket, out)
		}
	}
}

// Buckets are held against a modulo over the digest's first 8 bytes as one big number.
func TestBucketsAreTheFirstEightBytesModuloTenThousand(t *testing.T) {
	for i := range 2000 {
		user := fmt.Sprint("user ", i, "|ü")
		sum := sha256.Sum256([]byte("salt|" + user))
		want := new(big.Int).Mod(new(big.Int).SetBytes(sum[:8]), big.NewInt(10_000)).Int64()
		if got := Bucket("salt", user); int64(got) != want {
			t.Fatalf("%q falls into %d, want %d", user, got, want)
		}
	}
}

func TestWeightsMoveNobodyInOrOutOfTheHoldout(t *testing.T) {
	even := Experiment{Holdout: 2500, Salt: "s", Variants: []Variant{{"a", 1}, {"b", 1}}}
	skewed := Experiment{Holdout: 2500, Salt: "s", Variants: []Variant{{"a", 1}, {"off", 0}, {"b", 3}, {"c", 4}}}
	shares := map[string]int{}
	const users = 40_000
	for i := range users {
		user := fmt.Sprint("u", i)
		bucket, out := even.Control(user)
		if b, o := skewed.Control(user); b != bucket || o != out {
			t.Fatalf("%s moved", user)
		}
		name, at := skewed.Variant(user)
		shares[name]++
		// a has one of eight parts, b the next three, c the rest.
		want := "c"
		if at < 1250 {
			want = "a"
		} else if at < 5000 {
			want = "b"
		}
		if name != want || at != Bucket("s/variant", user) {
			t.Fatalf("%s in bucket %d gets %s, want %s", user, at, name, want)
		}
	}
	for name, part := range map[string]float64{"a": 1. / 8, "b": 3. / 8, "c": 4. / 8, "off": 0} {
		if got := float64(shares[name]) / users; math.Abs(got-part) > 0.01 {
			t.Errorf("%s has a share of %.3f, want %.3f", name, got, part)
		}
	}
	// The holdout says nothing about the variant: both are as frequent within it as without.
	inside, a := 0, 0
	for i := range users {
		user := fmt.Sprint("u", i)
		if _, out := even.Control(user); out {
			inside++
			if name, _ := even.Variant(user); name == "a" {
				a++
			}
		}
	}
	if got := float64(a) / float64(inside); math.Abs(got-0.5) > 0.02 {
		t.Errorf("within the holdout variant a has a share of %.3f", got)
	}
}

func TestNobodyGetsAVariantWhereThereIsNone(t *testing.T) {
	for _, e := range []Experiment{{}, {Variants: []Variant{{"a", 0}}}} {
		if name, _ := e.Variant("ann"); name != "" {
			t.Errorf("%+v gives %q", e, name)
		}
		if _, out := e.Control("ann"); out {
			t.Errorf("%+v holds ann out", e)
		}
	}
	whole := Experiment{Holdout: Buckets}
	for i := range 1000 {
		if _, out := whole.Control(fmt.Sprint(i)); !out {
			t.Fatalf("%d is not held out of everything", i)
		}
	}
}
