// Package topics says where records live: the typed name of each topic, its key, partitions,
// retention and compaction. It talks to no broker; kafka makes what is declared here.
package topics

import (
	"fmt"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// Forever keeps records until compaction or erasure removes them.
const Forever time.Duration = -1

// Spec declares a topic.
type Spec struct {
	Name string
	// Partitions; zero means as many as the cluster's configuration says (all topics keyed by
	// user have the same number, so that they meet in one place).
	Partitions int
	// Retention by record time; zero means the broker's default.
	Retention time.Duration
	// Compact keeps the newest record of each key instead of a time span.
	Compact bool
	// CompactionLag is how long at least every version of a key stays in a compacted topic after a newer
	// one took its place; zero leaves it to the brokers. It has no meaning without Compact.
	CompactionLag time.Duration
	// LagAs names topics for whose retention every version stays, too, where that is longer than
	// CompactionLag: the journals that say which versions were in force. It has no meaning without Compact.
	LagAs []string
	// NamedBy names the journals that say which versions of a table's rows were in force. Where they are kept
	// longer than versions stay, Plan warns and changes nothing: all versions of all rows are a lot to keep,
	// and to read back. It has no meaning without Compact.
	NamedBy []string
	// MaxMessageBytes bounds a record batch; zero means the broker's default (1 MiB).
	MaxMessageBytes int
	// Framed says that records may come in the wire format of Confluent's schema registry too, when one
	// is configured. It takes a codec whose records never open with a zero byte: protobuf's and JSON's do
	// not.
	Framed bool
	// Message is the name, without its package, that the schema of such a record in Protobuf must have;
	// empty means any.
	Message string
	// Pack, if set, makes this a topic of blocks: what a transaction emits in one partition is
	// packed into few records, which lie in the partition they came from.
	Pack func(items []any) ([][]byte, error)
}

// Topic is a Spec with the type of its records.
type Topic[T any] struct {
	*Spec
	Codec schemas.Codec[T]
}

// Stream declares a topic of T as JSON, keyed by tenant/user.
func Stream[T any](name string) Topic[T] {
	return Topic[T]{&Spec{Name: name, Framed: true}, schemas.JSON[T]{}}
}

// LoopName is the topic through which a processor reaches other keys of its own.
func LoopName(processor string) string { return "dwell." + processor + "-loop" }

// loopRetention outlives an outage: a message that is gone before it is stepped is lost.
const loopRetention = 7 * day

// Loop declares the topic, of T as JSON, through which a processor reaches other keys of its own. It must
// be among the processor's inputs.
func Loop[T any](processor string) Topic[T] {
	return Topic[T]{&Spec{Name: LoopName(processor), Retention: loopRetention}, schemas.JSON[T]{}}
}

// Of declares a topic whose records another codec makes.
func Of[T any](spec Spec, codec schemas.Codec[T]) Topic[T] {
	return Topic[T]{&spec, codec}
}

// Blocks is a topic of facts in blocks.
type Blocks struct{ *Spec }

func packFacts(items []any) ([][]byte, error) {
	facts := make([]*schemas.Fact, len(items))
	for i, v := range items {
		f, ok := v.(*schemas.Fact)
		if !ok {
			return nil, fmt.Errorf("pack facts: item %d is a %T", i, v)
		}
		facts[i] = f
	}
	return schemas.FactBlocks{}.Pack(facts)
}

// codec is the protobuf codec of a generated record.
func codec[M any, T schemas.Message[M]]() schemas.Codec[T] { return schemas.Proto[M, T]{} }
