// Package recovery measures how fast a worker gets its rows back: read whole from the table's topic, from
// a local store after a restart, and from a standby's copy after a kill -9. What enters is a
// configuration; what leaves is a table of figures. Nothing is left behind.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Config of both benches. The tags are for cmd.
type Config struct {
	Broker     string `help:"embedded (kfake, in memory), real (Apache Kafka of one node; needs Java, and Maven once), or host:port." default:"embedded"`
	Rows       int    `help:"Rows in the table." short:"n" default:"1000000"`
	RowBytes   int    `help:"Bytes of a row, its key besides." default:"200"`
	Partitions int32  `help:"Partitions." default:"8"`
	Cache      string `help:"Folder that keeps what was fetched; empty: the user's cache folder." env:"DWELL_CACHE" type:"path"`

	// Child is the command line of a child process, without its job.
	Child []string `kong:"-"`
	// Say prints a line for people.
	Say func(string) `kong:"-"`
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.Rows < 1 || c.Rows > 1e9 {
		faults = append(faults, fmt.Errorf("rows: %d is not within 1 to 1e9", c.Rows))
	}
	if c.RowBytes < 32 || c.RowBytes > 100_000 {
		faults = append(faults, fmt.Errorf("row bytes: %d is not within 32 to 100000", c.RowBytes))
	}
	if c.Partitions < 1 || c.Partitions > 1000 {
		faults = append(faults, fmt.Errorf("partitions: %d is not within 1 to 1000", c.Partitions))
	}
	return errors.Join(faults...)
}

// ground is a broker with a table on it that a run of its own has made.
type ground struct {
	Config
	broker *child.Broker
	kafka  kafka.Config
	cl     *kgo.Client
	adm    *kadm.Client
	name   string
	dir    string
}

// newGround starts the broker and fills the table.
func newGround(ctx context.Context, c Config) (g *ground, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	g = &ground{Config: c, name: fmt.Sprintf("bench-recovery-%d", time.Now().UnixNano())}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.dir, err = os.MkdirTemp("", "dwell-bench-recovery-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	self, err := job{Broker: true}.argv(c.Child)
	if err != nil {
		return nil, err
	}
	if g.broker, err = child.StartBroker(ctx, c.Broker, g.dir, c.Cache, self, c.Say); err != nil {
		return nil, err
	}
	g.kafka = kafka.DefaultConfig()
	g.kafka.Brokers, g.kafka.Partitions = g.broker.Addrs, c.Partitions
	if g.cl, err = g.kafka.NewClient("bench", kgo.TransactionalID(g.name), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchCompression(kgo.SnappyCompression())); err != nil {
		return nil, err
	}
	g.adm = kadm.NewClient(g.cl)
	if err := kafka.Ensure(ctx, g.kafka, topics.Actions.Spec, topics.DeadLetters.Spec, events(g.name).Spec, topics.Table(g.name, processors.DefaultMaxRowBytes)); err != nil {
		return nil, err
	}
	c.Say(fmt.Sprintf("writing %d rows of %d bytes", c.Rows, c.RowBytes))
	return g, g.fill(ctx)
}

// perTransaction is how many rows one transaction of fill writes.
const perTransaction = 50_000

// fill writes each row once, as a worker would have. One in ten has a deadline, in a far future.
func (g *ground) fill(ctx context.Context) error {
	far := time.Now().Add(1000 * time.Hour).UnixMilli()
	for first := 0; first < g.Rows; first += perTransaction {
		if err := g.cl.BeginTransaction(); err != nil {
			return fmt.Errorf("fill the table: %w", err)
		}
		var failed error
		for i := first; i < min(first+perTransaction, g.Rows); i++ {
			row := schemas.Row{TimeMs: 1, State: make([]byte, g.RowBytes-12)}
			for j := range row.State {
				row.State[j] = byte(i*31 + j*j*7)
			}
			if i%10 == 0 {
				row.WakeMs = far + int64(i)
			}
			value, err := row.MarshalVT()
			if err != nil {
				return fmt.Errorf("fill the table: %w", err)
			}
			g.cl.Produce(ctx, &kgo.Record{Topic: table(g.name), Key: key(i), Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err // called one after the other
				}
			})
		}
		if err := g.cl.Flush(ctx); err != nil {
			return fmt.Errorf("fill the table: %w", err)
		}
		if failed != nil {
			return fmt.Errorf("fill the table: %w", failed)
		}
		if err := g.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return fmt.Errorf("fill the table: %w", err)
		}
	}
	return nil
}

func (g *ground) close() error {
	var faults []error
	if g.adm != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := g.adm.DeleteTopics(ctx, events(g.name).Name, table(g.name))
		faults = append(faults, err)
	}
	if g.cl != nil {
		g.cl.Close()
	}
	if g.broker != nil {
		faults = append(faults, g.broker.Stop())
	}
	return errors.Join(append(faults, os.RemoveAll(g.dir))...)
}

func key(i int) []byte { return []byte("bench/user-" + strconv.Itoa(i)) }

func table(name string) string { return topics.Table(name, 0).Name }

func events(name string) topics.Topic[[]byte] {
	return topics.Of(topics.Spec{Name: name + ".events"}, schemas.Codec[[]byte](raw{}))
}

// raw is a codec of bytes as they are.
type raw struct{}

// Append implements schemas.Codec.
func (raw) Append(dst, b []byte) ([]byte, error) { return append(dst, b...), nil }

// Decode implements schemas.Codec.
func (raw) Decode(b []byte) ([]byte, error) { return append([]byte{}, b...), nil }

// rows is a codec of a state of bytes.
type rows struct{}

// Append implements schemas.Codec.
func (rows) Append(dst []byte, b *[]byte) ([]byte, error) { return append(dst, *b...), nil }

// Decode implements schemas.Codec.
func (rows) Decode(b []byte) (*[]byte, error) {
	c := append([]byte{}, b...)
	return &c, nil
}

// definition is a processor whose rows are bytes, with deadlines.
func definition(name string) *processors.Def {
	return processors.Define(processors.Processor[[]byte]{
		Name: name, Row: rows{}, Interval: 20 * time.Millisecond, Wake: func(*processors.Turn[[]byte]) {},
		Inputs: []processors.Input[[]byte]{processors.On(events(name), func(t *processors.Turn[[]byte], e []byte) {
			*t.State = e
		})},
	})
}

// config of a worker of the group.
func workerConfig(k kafka.Config, instance, dir string, standbys int) stream.Config {
	c := stream.DefaultConfig()
	c.Kafka, c.InstanceID, c.Dir, c.Standbys = k, instance, dir, standbys
	if standbys == 0 {
		c.Standbys = -1
	}
	return c
}
