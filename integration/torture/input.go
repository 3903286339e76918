package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	tick   = 10 * time.Millisecond
	idlers = 300
	// fatEvery: one event in so many grows its row beyond the limit, and must end as a dead letter.
	fatEvery = 400
)

// input sends events at a pace and remembers which were acknowledged, and when.
type input struct {
	o  options
	cl *kgo.Client
	// counts and pulses are when each record was acknowledged, Unix ms, by id; 0: not yet. The first
	// id is 1.
	counts, pulses acks
	held           atomic.Bool // nothing new is sent
	cancel         context.CancelFunc
	done           chan struct{}
}

// acks grow with what is sent.
type acks struct {
	mu  sync.Mutex
	at  []int64
	err error // the first record that failed
}

func (a *acks) next() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, 0)
	return uint64(len(a.at))
}

func (a *acks) done(id uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if a.err == nil {
			a.err = fmt.Errorf("send event %d: %w", id, err)
		}
		return
	}
	a.at[id-1] = time.Now().UnixMilli()
}

// known are the acknowledgements so far.
func (a *acks) known() []int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.at)
}

// startInput sends until stop. The producer is idempotent and never gives up, so what it was given lies
// in the log once, in the order in which it was given.
func startInput(o options, addrs []string) (*input, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(addrs...), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1_000_000),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.UnknownTopicRetries(-1),
	}
	if o.stack == stackGoka {
		opts = append(opts, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(kgo.SaramaCompatHasher(fnv32a))))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the producer: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := &input{o: o, cl: cl, cancel: cancel, done: make(chan struct{})}
	go in.run(ctx) // stop waits for it
	return in, nil
}

func fnv32a(b []byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(b) // never fails
	return h.Sum32()
}

func (in *input) run(ctx context.Context) {
	defer close(in.done)
	t := time.NewTicker(tick)
	defer t.Stop()
	rng := rand.New(rand.NewPCG(in.o.seed, 1))
	due := make([]int64, idlers)
	owed := 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if in.held.Load() {
			continue
		}
		now := time.Now()
		for owed += float64(in.o.rate) * tick.Seconds(); owed >= 1; owed-- {
			in.count(rng, now)
		}
		if in.o.stack != stackGoka {
			in.pulse(rng, now, due)
		}
	}
}

func (in *input) count(rng *rand.Rand, now time.Time) {
	id := in.counts.next()
	e := event{ID: id, Pad: strings.Repeat("x", rng.IntN(1500))}
	if in.o.stack != stackGoka && rng.IntN(fatEvery) == 0 {
		e.Fat = strings.Repeat("y", rowLimit)
	}
	in.send(&in.counts, countTopic, userKey("u", rng.IntN(in.o.users)), e, now)
}

// pulse sends the pulses that are due: gaps are drawn on both sides of idleAfter.
func (in *input) pulse(rng *rand.Rand, now time.Time, due []int64) {
	for i := range due {
		if now.UnixMilli() < due[i] {
			continue
		}
		if due[i] != 0 {
			in.send(&in.pulses, pulseTopic, userKey("i", i), event{ID: in.pulses.next()}, now)
		}
		due[i] = now.UnixMilli() + 50 + rng.Int64N(1500)
	}
}

func (in *input) send(a *acks, topic, key string, e event, now time.Time) {
	value, err := json.Marshal(e)
	if err != nil {
		a.done(e.ID, err)
		return
	}
	in.cl.Produce(context.Background(), &kgo.Record{Topic: topic, Key: []byte(key), Value: value, Timestamp: now}, func(_ *kgo.Record, err error) {
		a.done(e.ID, err)
	})
}

// stop sends nothing more and waits for all acknowledgements.
func (in *input) stop(ctx context.Context) error {
	in.cancel()
	<-in.done
	if err := in.cl.Flush(ctx); err != nil {
		return fmt.Errorf("wait for the acknowledgement of %d events: %w", in.cl.BufferedProduceRecords(), err)
	}
	for _, a := range []*acks{&in.counts, &in.pulses} {
		a.mu.Lock()
		err := a.err
		a.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// close gives up what is not acknowledged. It may follow stop.
func (in *input) close() {
	in.cancel()
	<-in.done
	in.cl.Close()
}
