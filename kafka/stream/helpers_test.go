package stream

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded/kafkatest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// patience is the deadline of every wait in the tests.
const patience = 60 * time.Second

// brokers returns a cluster: the one of DWELL_TEST_BROKERS when set, and an in-process fake else.
func brokers(t *testing.T) site {
	t.Helper()
	if b := os.Getenv("DWELL_TEST_BROKERS"); b != "" {
		return site{addrs: strings.Split(b, ",")}
	}
	return inProcess(t)
}

// inProcess is a fake cluster, whatever DWELL_TEST_BROKERS says.
func inProcess(t *testing.T, opts ...kfake.Opt) site {
	t.Helper()
	c := kafkatest.Start(t, opts...)
	return site{c.ListenAddrs(), c}
}

// fake is brokers for tests that make the cluster misbehave.
func fake(t *testing.T) site {
	t.Helper()
	if os.Getenv("DWELL_TEST_BROKERS") != "" {
		t.Skip("injects faults into a fake cluster")
	}
	return brokers(t)
}

// world is a cluster with the topics of one test. Names are unique, so that a real cluster can serve
// many tests.
type world struct {
	t    *testing.T
	id   string
	cfg  kafka.Config
	cl   *kgo.Client
	adm  *kadm.Client
	fake *kafkatest.Cluster // nil on a real cluster
}

var worlds atomic.Int64

// site is where a world is.
type site struct {
	addrs []string
	fake  *kafkatest.Cluster
}

func newWorld(t *testing.T, at site) *world {
	t.Helper()
	w := &world{t: t, id: fmt.Sprintf("t%d-%d", time.Now().UnixNano()/1e6, worlds.Add(1)), cfg: kafka.DefaultConfig(), fake: at.fake}
	w.cfg.Brokers, w.cfg.Partitions = at.addrs, 4
	cl, err := w.cfg.NewClient("test", kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	w.cl, w.adm = cl, kadm.NewClient(cl)
	w.ensure(topics.Actions.Spec, topics.DeadLetters.Spec)
	return w
}

func (w *world) name(s string) string { return w.id + "." + s }

func (w *world) ensure(specs ...*topics.Spec) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := kafka.Ensure(ctx, w.cfg, specs...); err != nil {
		w.t.Fatal(err)
	}
}

// config is a fast one.
func (w *world) config(instance string) Config {
	c := DefaultConfig()
	c.Kafka, c.InstanceID = w.cfg, instance
	c.SessionTimeout = 6 * time.Second
	c.Logger = slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	return c
}

// running is a processor that runs until stop.
type running struct {
	*Processor
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	over   bool
}

func (w *world) run(cfg Config, def *processors.Def) *running {
	w.t.Helper()
	p, err := New(cfg, def)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.start(p)
}

func (w *world) start(p *Processor) *running {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Processor: p, t: w.t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = p.Run(ctx)
	}()
	w.t.Cleanup(func() {
		if !r.over {
			r.stop()
		}
	})
	return r
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := r.wait(); err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

// wait returns how Run ended.
func (r *running) wait() error {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("Run does not end")
	}
	r.over = true
	return r.err
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

func (r *running) untilReady() {
	r.t.Helper()
	until(r.t, "ready", func() bool {
		select {
		case <-r.done:
			r.t.Fatalf("Run ended: %v", r.err)
		default:
		}
		return r.Ready()
	})
}

// send produces records and waits for their acknowledgement.
func (w *world) send(recs ...*kgo.Record) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// ends are the offsets after the last decided record of each partition.
func (w *world) ends(topic string) map[int32]int64 {
	w.t.Helper()
	l, err := w.adm.ListCommittedOffsets(context.Background(), topic)
	if err == nil {
		err = l.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	m := map[int32]int64{}
	l.Each(func(o kadm.ListedOffset) { m[o.Partition] = o.Offset })
	return m
}

// read returns what is committed in a topic, in order per partition. It shares no code with the
// processor.
func (w *world) read(topic string) []*kgo.Record {
	w.t.Helper()
	ends := w.ends(topic)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := w.cfg.NewClient("reader", kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	var all []*kgo.Record
	at := map[int32]int64{}
	for {
		behind := false
		for p, end := range ends {
			behind = behind || at[p] < end
		}
		if !behind {
			return all
		}
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("read %s: at %v of %v", topic, at, ends)
		}
		fs.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
}

// rows are the newest states in a group's table.
func (w *world) rows(def *processors.Def) map[string][]byte {
	w.t.Helper()
	m := map[string][]byte{}
	for _, r := range w.read("dwell." + def.Name + "-table") {
		if r.Value == nil {
			delete(m, string(r.Key))
			continue
		}
		row := &schemas.Row{}
		if err := row.UnmarshalVT(r.Value); err != nil {
			w.t.Fatalf("row %s: %v", r.Key, err)
		}
		m[string(r.Key)] = row.State
	}
	return m
}

// letters are the dead letters of a processor.
func (w *world) letters(def *processors.Def) []*schemas.DeadLetter {
	w.t.Helper()
	var all []*schemas.DeadLetter
	for _, r := range w.read(topics.DeadLetters.Name) {
		d, err := topics.DeadLetters.Codec.Decode(r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		if d.By == def.Name {
			all = append(all, d)
		}
	}
	return all
}

// committed is the sum of the offsets that a processor's group committed in a topic.
func (w *world) committed(def *processors.Def, topic string) int64 {
	w.t.Helper()
	o, err := w.adm.FetchOffsets(context.Background(), "dwell."+def.Name)
	if err != nil {
		return -1
	}
	sum := int64(0)
	o.Each(func(r kadm.OffsetResponse) {
		if r.Topic == topic {
			sum += max(r.At, 0)
		}
	})
	return sum
}

// tally is a row that counts: events, and the sum of their numbers.
type tally struct{ N, Sum uint64 }

type tallyCodec struct{}

func (tallyCodec) Append(dst []byte, v *tally) ([]byte, error) {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, v.N), v.Sum), nil
}

func (tallyCodec) Decode(b []byte) (*tally, error) {
	if len(b) != 16 {
		return nil, fmt.Errorf("%w: tally of %d bytes", schemas.ErrUndecodable, len(b))
	}
	return &tally{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
}

// number is an event: 8 bytes.
type number struct{}

func (number) Append(dst []byte, v uint64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, v), nil
}

func (number) Decode(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: number of %d bytes", schemas.ErrUndecodable, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// numbers is a topic of numbers.
func numbers(name string) topics.Topic[uint64] {
	return topics.Of(topics.Spec{Name: name}, schemas.Codec[uint64](number{}))
}

func numberRecord(topic, key string, v uint64) *kgo.Record {
	b, _ := number{}.Append(nil, v)
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: b}
}

func offsets(topic string, partition int32, at int64) kadm.Offsets {
	o := kadm.Offsets{}
	o.Add(kadm.Offset{Topic: topic, Partition: partition, At: at})
	return o
}
