package placement

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

func TestHasherAgreesWithTheKafkaClient(t *testing.T) {
	if err := Verify(); err != nil {
		t.Fatal(err)
	}
	client := kgo.StickyKeyPartitioner(nil).ForTopic("")
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		n := rapid.IntRange(1, 1000).Draw(t, "partitions")
		h := Hasher()
		h.Write(key)
		if ours, theirs := int(h.Sum32())%n, client.Partition(&kgo.Record{Key: append([]byte{}, key...)}, n); ours != theirs {
			t.Fatalf("partition %d, the client says %d", ours, theirs)
		}
	})
}

// Kafka's own test vectors (org.apache.kafka.common.utils.UtilsTest), with the sign bit off.
func TestHasherKnowsKafkasVectors(t *testing.T) {
	for key, want := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971} {
		h := Hasher()
		h.Write([]byte(key))
		if got := h.Sum32(); got != uint32(want)&0x7fffffff {
			t.Errorf("%s: %d, want %d", key, got, uint32(want)&0x7fffffff)
		}
		if got := Of(key, 12); got != (want&0x7fffffff)%12 {
			t.Errorf("%s: partition %d", key, got)
		}
		h.Reset()
		h.Write([]byte(key[:1]))
		h.Write([]byte(key[1:]))
		if got := h.Sum32(); got != uint32(want)&0x7fffffff {
			t.Errorf("%s in two writes: %d", key, got)
		}
	}
}

func TestPinnedTopicsKeepTheirPartition(t *testing.T) {
	p := Partitioner(func(topic string) bool { return topic == "table" })
	r := &kgo.Record{Key: []byte("acme/ann"), Partition: 5}
	if got := p.ForTopic("table").Partition(r, 8); got != 5 {
		t.Errorf("pinned: partition %d, want 5", got)
	}
	if got, want := p.ForTopic("actions").Partition(r, 8), kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(r, 8); got != want {
		t.Errorf("by key: partition %d, want %d", got, want)
	}
}
