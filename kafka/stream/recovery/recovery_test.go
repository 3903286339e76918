package recovery

import (
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/handle"
)

const topic = "table"

func table(t *testing.T) (*kfake.Cluster, kafka.Config) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg := kafka.DefaultConfig()
	cfg.Brokers = c.ListenAddrs()
	return c, cfg
}

// write makes transactions: each holds the keys of one string, committed unless it begins with '!'.
func write(t *testing.T, cfg kafka.Config, transactions ...string) {
	t.Helper()
	cl, err := cfg.NewClient("writer", kgo.TransactionalID("writer"), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, keys := range transactions {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := range keys {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Key: []byte(keys[i : i+1]), Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.EndTransaction(t.Context(), kgo.TransactionEndTry(keys[0] != '!')); err != nil {
			t.Fatal(err)
		}
	}
}

// consume reads from an offset until the message at last, as goka does, and returns the keys.
func consume(t *testing.T, cfg kafka.Config, from, last int64) (keys string) {
	t.Helper()
	var batches handle.Registry[Batch]
	c := New(cfg, "test", slog.New(slog.NewTextHandler(t.Output(), nil)), &batches)
	p, err := c.ConsumePartition(topic, 0, from)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	for at := int64(-1); at < last; {
		select {
		case m := <-p.Messages():
			at = m.Offset
			b, ok := batches.Take(m.Value)
			if !ok || b.Last != m.Offset {
				t.Fatalf("message at %d: batch %+v %v", m.Offset, b, ok)
			}
			for _, r := range b.Records {
				if !r.Attrs.IsControl() {
					keys += string(r.Key)
				}
			}
		case <-deadline:
			t.Fatalf("%s, but no message at %d", keys, last)
		}
	}
	p.AsyncClose()
	for range p.Messages() {
	}
	for range p.Errors() {
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return keys
}

func TestRecoveryEndsAtAMarker(t *testing.T) {
	_, cfg := table(t)
	write(t, cfg, "ab", "!x", "c", "!y")
	if got := consume(t, cfg, 0, 8); got != "abc" {
		t.Errorf("keys %s, want abc", got)
	}
	if got := consume(t, cfg, 3, 8); got != "c" {
		t.Errorf("keys %s, want c", got)
	}
}

// The answer that a real broker gives when compaction took the last records of a log.
func TestRecoveryEndsWhereCompactionTookTheTail(t *testing.T) {
	c, cfg := table(t)
	write(t, cfg, "abcd") // offsets 0 to 3, and a marker at 4
	c.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		if len(req.Topics) == 0 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.HighWatermark, rp.LastStableOffset, rp.RecordBatches = 5, 5, []byte{}
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID, rt.Partitions = req.Topics[0].Topic, req.Topics[0].TopicID, []kmsg.FetchResponseTopicPartition{rp}
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	if got := consume(t, cfg, 3, 4); got != "" {
		t.Errorf("keys %s from an empty tail", got)
	}
}

// Silence of a broker proves nothing: the records come when it answers again.
func TestSilenceIsNoHole(t *testing.T) {
	c, cfg := table(t)
	write(t, cfg, "abcd")
	silent := make(chan struct{})
	time.AfterFunc(3*idle, func() { close(silent) })
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case <-silent:
		default:
			c.KeepControl()
			c.SleepControl(func() { <-silent })
		}
		return nil, nil, false
	})
	if got := consume(t, cfg, 0, 4); got != "abcd" {
		t.Errorf("keys %s, want abcd", got)
	}
}

func TestEmptiedBatchesArePassedOver(t *testing.T) {
	head := func(first int64, delta, records uint32) []byte {
		b := make([]byte, batchHead)
		binary.BigEndian.PutUint64(b, uint64(first))
		binary.BigEndian.PutUint32(b[batchLength:], batchHead-12)
		binary.BigEndian.PutUint32(b[batchLastDelta:], delta)
		binary.BigEndian.PutUint32(b[batchRecords:], records)
		return b
	}
	two := append(head(10, 4, 0), head(15, 0, 0)...)
	for _, c := range []struct {
		batches []byte
		after   int64
		all     bool
	}{
		{nil, 0, true},
		{head(10, 4, 5), 0, false},
		{head(10, 4, 0), 15, true},
		{two, 16, true},
		{append(two, head(16, 0, 1)...), 16, false},
		{append(two, head(16, 0, 1)[:20]...), 16, true}, // cut off: asked again from 16
	} {
		if after, all := skipEmpty(c.batches); after != c.after || all != c.all {
			t.Errorf("skipEmpty = %d, %v, want %d, %v", after, all, c.after, c.all)
		}
	}
}

func TestNegativeOffsetIsAnError(t *testing.T) {
	c := New(kafka.DefaultConfig(), "test", slog.Default(), nil)
	if _, err := c.ConsumePartition(topic, 0, sarama.OffsetNewest); err == nil {
		t.Error("an offset that goka never asks for was taken")
	}
}
