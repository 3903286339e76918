package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/topics"
)

// producer writes to Kafka idempotently, acknowledged by all in-sync replicas, and never blocks on
// a full buffer.
type producer struct {
	cl    *kgo.Client
	log   *slog.Logger
	wait  time.Duration
	retry time.Duration
	warn  atomic.Int64 // Unix second of the last warning
}

// newEvents makes the producer of what clients send, who wait for it.
func newEvents(cfg Config, kc kafka.Config, log *slog.Logger) (*producer, error) {
	opts := append(kafka.ProducerOptions(), kgo.MaxBufferedBytes(cfg.BufferBytes), kgo.RecordDeliveryTimeout(max(cfg.AckTimeout, time.Second)))
	cl, err := kc.NewClient("dwell-gateway", opts...)
	if err != nil {
		return nil, err
	}
	return &producer{cl: cl, log: log, wait: cfg.AckTimeout, retry: cfg.RetryAfter}, nil
}

// newReplies makes the producer of deliveries and presences. Nobody waits for these and nobody would
// send them again, so it tries for as long as it lives.
func newReplies(kc kafka.Config, log *slog.Logger) (*producer, error) {
	cl, err := kc.NewClient("dwell-gateway-push", kafka.ProducerOptions()...)
	if err != nil {
		return nil, err
	}
	return &producer{cl: cl, log: log}, nil
}

// Append implements push.Log.
func (p *producer) Append(topic *topics.Spec, key string, value []byte, at time.Time, done func(int64, error)) {
	rec := &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: value, Timestamp: at}
	p.cl.TryProduce(context.Background(), rec, func(r *kgo.Record, err error) {
		if err != nil {
			p.failed(r, err)
		}
		done(r.Offset, err)
	})
}

// write returns one error for each record: nil once all in-sync replicas hold it, else a
// *answer.Fault. A record that is not acknowledged in time may still arrive later.
func (p *producer) write(ctx context.Context, recs []*kgo.Record) []error {
	if len(recs) == 0 {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, p.wait)
	defer stop()
	late := answer.Busy("Kafka has not acknowledged it in time", p.retry)
	var mu sync.Mutex
	errs, left, done := make([]error, len(recs)), len(recs), make(chan struct{})
	for i := range errs {
		errs[i] = late
	}
	for i, rec := range recs {
		// Not the request's context: a client that hangs up must not tear a batch of others apart.
		p.cl.TryProduce(context.WithoutCancel(ctx), rec, func(r *kgo.Record, err error) {
			fault := p.fault(r, err)
			mu.Lock()
			defer mu.Unlock()
			errs[i] = fault
			if left--; left == 0 {
				close(done)
			}
		})
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(errs)
}

func (p *producer) fault(r *kgo.Record, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.MessageTooLarge):
		return &answer.Fault{Status: http.StatusRequestEntityTooLarge, Where: "event", What: "Kafka takes no record that large", Do: "Send less at once."}
	case errors.Is(err, kgo.ErrMaxBuffered):
		p.failed(r, err)
		return answer.Busy("too much waits for Kafka", p.retry)
	}
	p.failed(r, err)
	return answer.Busy("Kafka did not take it", p.retry)
}

// failed warns once a second at most: an outage has enough to say without a line an event.
func (p *producer) failed(r *kgo.Record, err error) {
	now := time.Now().Unix()
	if last := p.warn.Load(); last != now && p.warn.CompareAndSwap(last, now) {
		p.log.Warn("Kafka did not take a record", "topic", r.Topic, "partition", r.Partition, "err", err)
	}
}
