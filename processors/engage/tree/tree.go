// Package tree is a map by two strings that is never changed, for views that many steps hold at once.
package tree

import "slices"

const (
	fanBits   = 4
	fan       = 1 << fanBits
	maxBucket = 8
)

// Tree is a map by two strings that is never changed: With and Without return another one, which
// shares with it what stayed the same. The zero value is empty. A change costs the logarithm of
// what the tree holds, so a worker may keep a view of it for each step without copying it.
type Tree[V any] struct{ root *node[V] }

// node is a bucket of leaves or, once they were too many, a fork by fanBits bits of the hash.
type node[V any] struct {
	forks  *[fan]*node[V]
	leaves []leaf[V]
}

type leaf[V any] struct {
	hash  uint64
	a, b  string
	value V
}

// Get returns the value of a key; the zero value when there is none.
func (t Tree[V]) Get(a, b string) (V, bool) {
	var none V
	n := t.root
	if n == nil {
		return none, false
	}
	h := place(a, b)
	for rest := h; n != nil && n.forks != nil; rest >>= fanBits {
		n = n.forks[rest%fan]
	}
	if n != nil {
		if i := n.find(h, a, b); i >= 0 {
			return n.leaves[i].value, true
		}
	}
	return none, false
}

// With returns a tree in which the key has the value.
func (t Tree[V]) With(a, b string, v V) Tree[V] {
	return Tree[V]{t.root.with(leaf[V]{place(a, b), a, b, v}, 0)}
}

// Without returns a tree that does not hold the key.
func (t Tree[V]) Without(a, b string) Tree[V] {
	if _, ok := t.Get(a, b); !ok {
		return t
	}
	return Tree[V]{t.root.without(place(a, b), a, b, 0)}
}

// Each calls f for every key, in no order that means anything.
func (t Tree[V]) Each(f func(a, b string, v V)) { t.root.each(f) }

func (n *node[V]) find(h uint64, a, b string) int {
	for i := range n.leaves { // in the way of every event: no call for each leaf
		if l := &n.leaves[i]; l.hash == h && l.b == b && l.a == a {
			return i
		}
	}
	return -1
}

func (n *node[V]) with(l leaf[V], depth int) *node[V] {
	switch {
	case n == nil:
		return &node[V]{leaves: []leaf[V]{l}}
	case n.forks != nil:
		forks := *n.forks
		i := l.hash >> (depth * fanBits) % fan
		forks[i] = forks[i].with(l, depth+1)
		return &node[V]{forks: &forks}
	}
	leaves := slices.Clone(n.leaves)
	if i := n.find(l.hash, l.a, l.b); i >= 0 {
		leaves[i] = l
		return &node[V]{leaves: leaves}
	}
	leaves = append(leaves, l)
	if len(leaves) <= maxBucket || depth >= 64/fanBits {
		return &node[V]{leaves: leaves}
	}
	fork := &node[V]{forks: &[fan]*node[V]{}}
	for _, l := range leaves {
		fork = fork.with(l, depth)
	}
	return fork
}

func (n *node[V]) without(h uint64, a, b string, depth int) *node[V] {
	if n.forks != nil {
		forks := *n.forks
		i := h >> (depth * fanBits) % fan
		forks[i] = forks[i].without(h, a, b, depth+1)
		return &node[V]{forks: &forks}
	}
	i := n.find(h, a, b)
	return &node[V]{leaves: slices.Delete(slices.Clone(n.leaves), i, i+1)}
}

func (n *node[V]) each(f func(a, b string, v V)) {
	if n == nil {
		return
	}
	if n.forks != nil {
		for _, sub := range n.forks {
			sub.each(f)
		}
	}
	for _, l := range n.leaves {
		f(l.a, l.b, l.value)
	}
}

// place is the hash that says where a key lies in a tree. Nothing remembers it, so it may be another one
// tomorrow; it takes eight bytes at a time, several times as fast as Hash.
func place(a, b string) uint64 {
	return over(over(uint64(len(a))<<32^uint64(len(b)), a), b)
}

// over goes on with a hash over a text.
func over(h uint64, s string) uint64 {
	const odd = 0x9fb21c651e98df25
	for ; len(s) >= 8; s = s[8:] {
		h = turned((h ^ eight(s)) * odd)
	}
	var last uint64
	for i := range len(s) {
		last = last<<8 | uint64(s[i])
	}
	return turned((h ^ last) * odd)
}

// turned brings the upper bits, which a multiplication mixes best, to the lower ones.
func turned(h uint64) uint64 { return h ^ h>>29 ^ h>>47 }

// eight are the first eight bytes of a text.
func eight(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// Hash is a 64-bit hash of two strings, the same everywhere and for ever: rows remember it.
// FNV-1a with a separator that no text contains, and a last mix for even bits.
func Hash(a, b string) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for i := range len(a) {
		h = (h ^ uint64(a[i])) * prime
	}
	h = (h ^ 0xff) * prime
	for i := range len(b) {
		h = (h ^ uint64(b[i])) * prime
	}
	h ^= h >> 32
	h *= 0x9fb21c651e98df25
	return h ^ h>>28
}
