package gate

import (
	"crypto/sha256"
	"encoding/binary"
)

// Buckets is how many parts an experiment cuts its users into; a holdout of 10 % is 1000 of them.
const Buckets = 10_000

// Experiment splits the users of a campaign. The zero value treats everybody alike.
type Experiment struct {
	// Holdout is the share of users that the campaign never reaches, in parts of Buckets.
	Holdout uint32
	// Salt makes the split another one than other campaigns'. With the same salt, campaigns hold out
	// the same users.
	Salt string
	// Variants share the users that are not held out by their weights; none: there is one way only.
	Variants []Variant
}

// Variant is one of the ways to reach a user.
type Variant struct {
	Name string
	// Weight is its share among the weights of all; 0: nobody gets it.
	Weight uint32
}

// Bucket is where a user falls, from 0 to Buckets-1: the first 8 bytes of SHA-256(salt|user),
// big-endian, modulo Buckets. Users are spread evenly, and two salts have nothing to do with each other.
func Bucket(salt, user string) uint32 {
	sum := sha256.Sum256([]byte(salt + "|" + user))
	return uint32(binary.BigEndian.Uint64(sum[:8]) % Buckets)
}

// Control says whether a user is held out, and the bucket that says so. Only Holdout and Salt
// matter: a raised Holdout moves users out of treatment, and no change of weights moves any.
func (e *Experiment) Control(user string) (bucket uint32, control bool) {
	bucket = Bucket(e.Salt, user)
	return bucket, bucket < e.Holdout
}

// Variant is the user's variant, empty without any, and the bucket that says so, on a salt of its own.
func (e *Experiment) Variant(user string) (name string, bucket uint32) {
	total := uint64(0)
	for _, v := range e.Variants {
		total += uint64(v.Weight)
	}
	if total == 0 {
		return "", 0
	}
	bucket = Bucket(e.Salt+"/variant", user)
	reached := uint64(0)
	for _, v := range e.Variants {
		if reached += uint64(v.Weight); uint64(bucket)*total < reached*Buckets {
			return v.Name, bucket
		}
	}
	return "", bucket // never: a bucket is below Buckets
}
