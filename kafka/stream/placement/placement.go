// Package placement says which partition a record goes to: by Kafka's murmur2 of the key, as every
// Kafka client does it, or the partition that it already names.
package placement

import (
	"fmt"
	"hash"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Hasher is murmur2 for goka, with the sign bit off, as Kafka takes it: goka's default sends most
// keys elsewhere than every other client does.
func Hasher() hash.Hash32 { return &murmur2{} }

type murmur2 struct{ b []byte }

func (m *murmur2) Write(p []byte) (int, error) { m.b = append(m.b, p...); return len(p), nil }
func (m *murmur2) Reset()                      { m.b = m.b[:0] }
func (m *murmur2) Size() int                   { return 4 }
func (m *murmur2) BlockSize() int              { return 4 }
func (m *murmur2) Sum(b []byte) []byte {
	s := m.Sum32()
	return append(b, byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
}

func (m *murmur2) Sum32() uint32 { return sum(m.b) & 0x7fffffff }

// sum is Austin Appleby's MurmurHash2 (public domain) with Kafka's seed.
func sum(b []byte) uint32 {
	const (
		seed = 0x9747b28c
		mul  = 0x5bd1e995
	)
	h := seed ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= mul
		k ^= k >> 24
		h = h*mul ^ k*mul
	}
	var tail uint32
	for i := len(b) - 1; i >= 0; i-- {
		tail = tail<<8 | uint32(b[i])
	}
	if len(b) > 0 {
		h = (h ^ tail) * mul
	}
	h = (h ^ h>>13) * mul
	return h ^ h>>15
}

// Of is the partition of a key in a topic with so many partitions, at least one.
func Of(key string, partitions int32) int32 { return int32(sum([]byte(key))&0x7fffffff) % partitions }

// Verify compares Hasher with the partitioner of the Kafka client on sample keys: they must never
// part ways, because a user's row lives where the hash says.
func Verify() error {
	const partitions = 12
	client := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for _, key := range samples() {
		h := Hasher()
		h.Write(key)
		ours := int(h.Sum32()) % partitions
		if theirs := client.Partition(&kgo.Record{Key: key}, partitions); ours != theirs {
			return fmt.Errorf("key %q hashes to partition %d here and %d in the Kafka client", key, ours, theirs)
		}
	}
	return nil
}

// samples are keys of every length modulo four, with bytes above 127 among them.
func samples() [][]byte {
	keys := [][]byte{{}, {0xff}, {0x80, 0xfe, 0x81}, []byte("ünïcödé"), []byte("acme/ann")}
	for i := range 64 {
		keys = append(keys, fmt.Appendf(nil, "tenant-%d/user-%0*d", i%3, i, i*7919))
	}
	return keys
}

// Partitioner honours the partition of records for pinned topics, and hashes the key for the rest.
func Partitioner(pinned func(topic string) bool) kgo.Partitioner {
	return partitioner{pinned: pinned, manual: kgo.ManualPartitioner(), byKey: kgo.StickyKeyPartitioner(nil)}
}

type partitioner struct {
	pinned        func(topic string) bool
	manual, byKey kgo.Partitioner
}

// ForTopic implements kgo.Partitioner.
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if p.pinned(topic) {
		return p.manual.ForTopic(topic)
	}
	return p.byKey.ForTopic(topic)
}
