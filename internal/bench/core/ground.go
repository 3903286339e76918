package core

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// ground is a broker with clients of the measuring process.
type ground struct {
	cfg  kafka.Config
	cl   *kgo.Client
	adm  *kadm.Client
	seed string // of topics' names
}

// newGround connects and makes the topics that dwell's core wants to find.
func newGround(ctx context.Context, addrs []string, partitions int32) (*ground, error) {
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Partitions = addrs, partitions
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := kafka.Ensure(ctx, cfg, topics.Actions.Spec, topics.DeadLetters.Spec); err != nil {
		return nil, fmt.Errorf("reach the broker: %w", err)
	}
	cl, err := cfg.NewClient("bench", kgo.RecordPartitioner(fnvPartitioner()), kgo.MaxBufferedRecords(200_000),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	if err != nil {
		return nil, err
	}
	return &ground{cfg: cfg, cl: cl, adm: kadm.NewClient(cl), seed: fmt.Sprintf("bench-%d", time.Now().UnixNano())}, nil
}

// fnvPartitioner puts keys where stock goka looks for them; the other stacks take records where they lie.
func fnvPartitioner() kgo.Partitioner {
	return kgo.StickyKeyPartitioner(kgo.SaramaCompatHasher(func(b []byte) uint32 {
		h := fnv.New32a()
		_, _ = h.Write(b) // never fails
		return h.Sum32()
	}))
}

// create makes topics and waits until they are there.
func (g *ground) create(ctx context.Context, compact bool, names ...string) error {
	var specs []*topics.Spec
	for _, n := range names {
		specs = append(specs, &topics.Spec{Name: n, Compact: compact})
	}
	return kafka.Ensure(ctx, g.cfg, specs...)
}

// delete removes what a run has made; the context may have ended.
func (g *ground) delete(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	resp, err := g.adm.DeleteTopics(ctx, names...)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("delete the bench's topics: %w", err)
	}
	return nil
}

// load writes the events 0 to n-1 and returns what every user's row must say.
func (g *ground) load(ctx context.Context, topic, event string, n, users int) (map[string]tally, error) {
	rows := make([]tally, users)
	var failed child.FirstError
	for i := range uint64(n) {
		u := user(i, users)
		rows[u].count(i)
		value := encode(event, i, u, loadedNS(i))
		g.cl.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(userKey(u)), Value: value}, failed.Produced)
		if i%10_000 == 0 && failed.Get() != nil {
			break
		}
	}
	if err := errors.Join(g.cl.Flush(ctx), failed.Get()); err != nil {
		return nil, fmt.Errorf("write the input: %w", err)
	}
	want := map[string]tally{}
	for u, row := range rows {
		if row.Count > 0 {
			want[userKey(u)] = row
		}
	}
	return want, nil
}

// verdict is what a stack's output says once it has stopped.
type verdict struct {
	// actions that a read_committed reader finds, and how many different events they are of.
	actions, distinct int
	// wrongRows are users whose row says something else than the input.
	wrongRows int
}

// right compares with the number of events that ask for an action, by the stack's own promise.
func (v verdict) right(stack string, expected int) bool {
	if v.distinct != expected || v.wrongRows > 0 {
		return false
	}
	return v.actions == expected || Guarantee(stack) != "exactly once"
}

// actionsOf n events.
func actionsOf(n int) int { return (n + actionEvery - 1) / actionEvery }

// verify reads all that a stack has committed. want are the rows by key.
func (g *ground) verify(ctx context.Context, j job, n int, want map[string]tally) (verdict, error) {
	var v verdict
	seen := map[uint64]bool{}
	err := kafka.ReadAll(ctx, g.cfg, &topics.Spec{Name: j.Actions}, func(e kafka.Entry) error {
		a, err := actionCodec{}.Decode(e.Value)
		if err != nil {
			return err
		}
		if a.number%actionEvery != 0 || a.number >= uint64(n) {
			return fmt.Errorf("an action of event %d, which asks for none", a.number)
		}
		if at := loadedNS(a.number); a.sentNS != at {
			return fmt.Errorf("the action of event %d says that it was sent at %d ns, not at %d", a.number, a.sentNS, at)
		}
		v.actions++
		seen[a.number] = true
		return nil
	})
	if err != nil {
		return v, fmt.Errorf("verify the actions: %w", err)
	}
	v.distinct = len(seen)
	got := make(map[string]tally, len(want))
	err = kafka.ReadAll(ctx, g.cfg, &topics.Spec{Name: j.table()}, func(e kafka.Entry) error {
		t, err := j.row(e.Value)
		if err == nil {
			got[e.Key] = *t
		}
		return err
	})
	if err != nil {
		return v, fmt.Errorf("verify the rows: %w", err)
	}
	for key, w := range want {
		if g := got[key]; g.Count != w.Count || g.Sum != w.Sum {
			v.wrongRows++
		}
		delete(got, key)
	}
	v.wrongRows += len(got) // of users that the input does not have
	return v, nil
}

// row decodes a record of the stack's table.
func (j job) row(b []byte) (*tally, error) {
	if j.Stack == Dwell {
		var envelope schemas.Row
		if err := envelope.UnmarshalVT(b); err != nil {
			return nil, fmt.Errorf("row: %w", err)
		}
		b = envelope.State
	}
	return tallyCodec{}.Decode(b)
}
