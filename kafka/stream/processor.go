// Package stream runs processors on Kafka, each record counted exactly once.
//
// Records of the input topics go in; changed rows of the group's table, emitted records, blocks and
// dead letters come out, with the input offsets, in one Kafka transaction per interval. A
// goka.Processor holds the group together: assignment, tables, recovery, life cycle. Everything that
// touches a broker goes through franz-go, plugged into goka's own options; goka gets one message per
// fetched batch, and its callback steps all records of the batch.
//
// Who may touch what: a table.Partition belongs to goka's goroutine while a batch is under way, to
// the driver (member.run) between batches. What leaves a partition is produced only when the
// transaction ends, so an abort before that costs the broker nothing. The local store is written
// after the commit and never runs ahead of Kafka.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/handle"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/kafka/stream/placement"
	"github.com/dwellhq/dwell/kafka/stream/recovery"
	"github.com/dwellhq/dwell/kafka/stream/table"
	"github.com/dwellhq/dwell/processors"
)

// Processor is one instance of a processor's group.
type Processor struct {
	cfg    Config
	def    *processors.Def
	group  string // also names the table and the transactional ids
	log    *slog.Logger
	shared *table.Shared
	count  *counters
	views  *views

	// While Run runs:
	admin    *broker.Admin
	cache    *pebble.Cache // nil without Dir
	batches  handle.Registry[batch]
	restored handle.Registry[recovery.Batch]
	urgent   atomic.Pointer[func()]
	fatal    atomic.Pointer[error]
	ran      atomic.Bool
	ready    atomic.Bool

	mu    sync.Mutex
	parts map[int32]*table.Partition
}

// New checks the configuration and prepares; it reaches no broker.
func New(cfg Config, def *processors.Def) (*Processor, error) {
	cfg = cfg.withDefaults()
	if cfg.Interval == 0 {
		cfg.Interval = def.Interval
	}
	if err := errors.Join(cfg.Validate(), placement.Verify()); err != nil {
		return nil, fmt.Errorf("processor %s: %w", def.Name, err)
	}
	p := &Processor{
		cfg: cfg, def: def, group: "dwell." + def.Name, log: cfg.Logger.With("processor", def.Name, "instance", cfg.InstanceID),
		parts: map[int32]*table.Partition{},
	}
	p.views = newViews(cfg.Kafka, def, p.log)
	p.shared = &table.Shared{
		Def: def, Topic: string(goka.GroupTable(goka.Group(p.group))), CacheBytes: cfg.CacheBytes / int64(cfg.Kafka.Partitions),
		MaxBytes: p.maxBytes, Views: p.views.now, Urgent: p.hurry, Now: time.Now, Count: &table.Counters{}, Log: p.log,
		JournalTopic: journal.Topic(p.group), Version: journal.Version(),
	}
	var err error
	if p.count, err = newCounters(cfg.Registerer, def.Name, p.shared.Count); err != nil {
		return nil, fmt.Errorf("processor %s: %w", def.Name, err)
	}
	return p, nil
}

// Run processes until ctx ends, and then returns nil: what was delivered by then is finished and
// committed. Broker outages are waited out. Any other end is an error. Run may be called once.
func (p *Processor) Run(ctx context.Context) error {
	if p.ran.Swap(true) {
		return fmt.Errorf("processor %s: Run was called twice", p.def.Name)
	}
	var err error
	if p.admin, err = broker.New(p.cfg.Kafka, p.clientID()); err != nil {
		return err
	}
	defer p.admin.Close()
	if p.cfg.Dir != "" {
		p.cache = pebble.NewCache(blockCacheBytes)
		defer p.cache.Unref()
	}
	defer p.ready.Store(false)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.views.run(gctx) })
	g.Go(func() error { return p.process(gctx) })
	err = g.Wait()
	if cause := p.fatal.Load(); cause != nil { // goka wraps it beyond recognition
		err = *cause
	}
	if err == nil || ctx.Err() != nil && p.fatal.Load() == nil { // what the end interrupted
		return nil
	}
	return fmt.Errorf("processor %s: %w", p.def.Name, err)
}

// blockCacheBytes is for the blocks of all local stores; decoded rows have their own cache.
const blockCacheBytes = 32 << 20

// process runs goka, once the topics are there and the whole topics were read.
func (p *Processor) process(ctx context.Context) error {
	partitions, err := p.checkTopics(ctx)
	if err != nil {
		return err
	}
	if err := p.views.wait(ctx); err != nil {
		return err
	}
	host, err := goka.NewProcessor(p.cfg.Kafka.Brokers, p.graph(), p.options(ctx, partitions)...)
	if err != nil {
		return fmt.Errorf("set goka up: %w", err)
	}
	return host.Run(ctx)
}

// fail ends Run with an error.
func (p *Processor) fail(err error) error {
	p.fatal.CompareAndSwap(nil, &err)
	return err
}

// hurry ends the transaction early: somebody waits for what was emitted.
func (p *Processor) hurry() {
	if wake := p.urgent.Load(); wake != nil {
		(*wake)()
	}
}

func (p *Processor) clientID() string { return p.group + "." + p.cfg.InstanceID }

// transactionalID is the same after a restart: taking it over aborts what the last run left open.
func (p *Processor) transactionalID() string { return p.group + "-" + p.cfg.InstanceID }

// Ready says whether the processor processes: whole topics read, partitions assigned and recovered.
// An instance to which the group gave nothing is ready, too.
func (p *Processor) Ready() bool { return p.ready.Load() }
