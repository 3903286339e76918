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
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/behind"
	"github.com/dwellhq/dwell/kafka/stream/brake"
	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/guarantee"
	"github.com/dwellhq/dwell/kafka/stream/handle"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/kafka/stream/metrics"
	"github.com/dwellhq/dwell/kafka/stream/mirror"
	"github.com/dwellhq/dwell/kafka/stream/placement"
	"github.com/dwellhq/dwell/kafka/stream/recovery"
	"github.com/dwellhq/dwell/kafka/stream/standby"
	"github.com/dwellhq/dwell/kafka/stream/table"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// Processor is one instance of a processor's group.
type Processor struct {
	cfg    Config
	def    *processors.Def
	group  string // also names the table and the transactional ids
	table  *topics.Spec
	log    *slog.Logger
	shared *table.Shared
	count  *metrics.Metrics
	views  *views
	behind *behind.Watch
	brake  *brake.Brake
	frames *kafka.Unframer

	session time.Duration // timeout; Consume's goroutine may raise it
	standby atomic.Pointer[standby.Set]

	// While Run runs:
	admin    *broker.Admin
	cache    *pebble.Cache                 // nil without Dir
	mirror   *mirror.Mirror                // nil without Def.Tables
	followed atomic.Pointer[mirror.Mirror] // the same, for the status
	batches  handle.Registry[batch]
	restored handle.Registry[recovery.Batch]
	urgent   atomic.Pointer[func()]
	fatal    atomic.Pointer[error]
	ran      atomic.Bool
	ready    atomic.Bool
	heard    atomic.Int64 // Unix ms: the last answer of a broker

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
		table: topics.Table(def.Name, def.MaxRowBytes),
		parts: map[int32]*table.Partition{},
	}
	p.withGuarantee()
	p.session = cfg.SessionTimeout
	p.brake = brake.New(cfg.DeadLetters)
	p.views = newViews(cfg.Kafka, def, p.log)
	p.behind = behind.New(p.log, p.follows())
	p.shared = &table.Shared{
		Def: p.def, Topic: string(goka.GroupTable(goka.Group(p.group))), CacheBytes: cfg.CacheBytes / int64(cfg.Kafka.Partitions),
		MaxBytes: p.maxBytes, Views: p.views.now, Urgent: p.hurry, Now: time.Now, Count: &table.Counters{Counted: make([]atomic.Int64, def.Counts())}, Log: p.log,
		JournalTopic: journal.Topic(p.group), Version: journal.Version(),
	}
	var err error
	if p.frames, err = kafka.NewUnframer(cfg.Kafka); err != nil {
		return nil, fmt.Errorf("processor %s: %w", def.Name, err)
	}
	if p.count, err = metrics.New(cfg.Registerer, def, p.shared.Count, p.gauges()); err != nil {
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
	p.standby.Store(p.newStandby())
	if p.cfg.Dir != "" {
		p.cache = pebble.NewCache(blockCacheBytes)
		defer p.cache.Unref()
	}
	defer p.ready.Store(false)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.views.run(gctx) })
	g.Go(func() error { return p.behind.Run(gctx, p.admin) })
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
	if len(p.def.Tables) == 0 {
		return p.host(ctx, partitions)
	}
	cfg := mirror.Config{Kafka: p.cfg.Kafka, ClientID: p.clientID(), Admin: p.admin, Cache: p.cache, Log: p.log}
	if p.cfg.Dir != "" {
		cfg.Dir = filepath.Join(p.cfg.Dir, p.group+"-tables")
	}
	if p.mirror, err = mirror.Open(ctx, cfg, p.def.Tables); err != nil {
		return fmt.Errorf("tables of other processors: %w", err)
	}
	p.shared.Tables = p.mirror
	p.followed.Store(p.mirror)
	return p.mirror.Beside(ctx, func(ctx context.Context) error { return p.host(ctx, partitions) })
}

// host runs goka.
func (p *Processor) host(ctx context.Context, partitions int) error {
	host, err := goka.NewProcessor(p.cfg.Kafka.Brokers, p.graph(), p.options(ctx, partitions)...)
	if err != nil {
		return fmt.Errorf("set goka up: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.standby.Load().Run(ctx) })
	g.Go(func() error { return host.Run(ctx) })
	return g.Wait()
}

// keepStores is how long the local store of a partition that went elsewhere stays on disk.
const keepStores = 10 * time.Minute

// newStandby makes the set of copies; Run has made the admin.
func (p *Processor) newStandby() *standby.Set {
	return standby.New(standby.Config{
		Kafka: p.cfg.Kafka, ClientID: p.clientID() + "-standby", Topic: p.shared.Topic, Dir: p.stores(), Keep: keepStores, Ends: p.admin, Log: p.log,
		Open: func(ctx context.Context, number int32) (*table.Partition, error) {
			return p.openTable(ctx, p.shared.Topic, number)
		},
	})
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

// withGuarantee leaves out what at-least-once cannot keep: a journal promises a replay to the byte, and
// records that are stepped again are not in it.
func (p *Processor) withGuarantee() {
	if p.cfg.Guarantee != guarantee.AtLeastOnce {
		return
	}
	p.log.Warn("the guarantee is " + string(guarantee.AtLeastOnce) + ": after a crash records may count again")
	if p.def.Journal {
		p.log.Warn("no journal is written: it could not be replayed", "journal", journal.Topic(p.group))
		def := *p.def
		def.Journal = false
		p.def = &def
	}
}

// resumeBrake goes on from what was rejected lately in partitions that were others', or an earlier run's.
func (p *Processor) resumeBrake(ctx context.Context, partitions []int32) {
	if p.cfg.DeadLetters.Percent == 0 {
		return
	}
	notes, err := p.admin.Notes(ctx, p.group, partitions)
	if err != nil {
		p.log.Warn("what was rejected within the last minute is not known", "err", err)
	}
	p.brake.Resume(p.shared.Now(), notes)
}

func (p *Processor) clientID() string { return p.group + "." + p.cfg.InstanceID }

// transactionalID is the same after a restart: taking it over aborts what the last run left open.
func (p *Processor) transactionalID() string { return p.group + "-" + p.cfg.InstanceID }

// Ready says whether the processor processes: whole topics read, partitions assigned and recovered, and
// a broker heard of lately. An instance to which the group gave nothing is ready, too.
func (p *Processor) Ready() bool {
	return p.ready.Load() && p.shared.Now().UnixMilli()-p.heard.Load() < silence.Milliseconds()
}

// silence is how long no broker may answer. A member of a group asks several times a second.
const silence = 15 * time.Second
