// Package gateway lets clients in. Over HTTP come events in the Segment shape and exposure frames,
// which it checks and writes to Kafka, and answers only once Kafka has them; over WebSockets it
// keeps a channel to every browser, by which engagers reach users (gateway/push).
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/gateway/ingest"
	"github.com/dwellhq/dwell/gateway/keys"
	"github.com/dwellhq/dwell/gateway/push"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/topics"
)

// Deps is what a Gateway is given. The zero value is ready.
type Deps struct {
	// Pages answers everything that is not API; nil: not found.
	Pages http.Handler
	// Registerer gets the metrics; nil: nobody does.
	Registerer prometheus.Registerer
	// Now is the clock of records, tokens and limits; nil: the machine's.
	Now func() time.Time
	// Log gets warnings; nil: slog's default.
	Log *slog.Logger
}

// Gateway is one node.
type Gateway struct {
	cfg     Config
	kafka   kafka.Config
	now     func() time.Time
	log     *slog.Logger
	pages   http.Handler
	metrics *metrics

	listener, internal net.Listener
	node               string
	pushSecret         []byte

	events, replies *producer
	bodies          *ingest.Budget
	keys            keys.Ring
	follower        *kafka.Follower
	hub             *push.Hub

	running  atomic.Int64
	draining atomic.Bool
}

// New opens both listeners, so that a taken port is an error here, but answers nobody yet. Run must
// follow; it gives back all that New took.
func New(cfg Config, kc kafka.Config, deps Deps) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("gateway configuration: %w", err)
	}
	g := &Gateway{cfg: cfg, kafka: kc, now: deps.Now, log: deps.Log, pages: deps.Pages}
	g.bodies = &ingest.Budget{Bytes: cfg.BodyBytes, Retry: cfg.RetryAfter}
	g.follower = kafka.NewFollower(kc, topics.WriteKeys.Spec, g.keyChanged)
	if g.now == nil {
		g.now = time.Now
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	if g.pages == nil {
		g.pages = http.HandlerFunc(g.nothing)
	}
	reg := deps.Registerer
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	if err := g.open(reg); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// open takes what close gives back.
func (g *Gateway) open(reg prometheus.Registerer) (err error) {
	if g.pushSecret, err = g.cfg.pushSecret(); err != nil {
		return err
	}
	if g.metrics, err = newMetrics(reg); err != nil {
		return err
	}
	if g.listener, err = net.Listen("tcp", g.cfg.Listen); err != nil {
		return fmt.Errorf("open the gateway's listener: %w", err)
	}
	if g.internal, err = net.Listen("tcp", g.cfg.InternalListen); err != nil {
		return fmt.Errorf("open the node-to-node listener: %w", err)
	}
	if g.node = g.cfg.NodeURL; g.node == "" {
		g.node = "http://" + g.internal.Addr().String()
	}
	if g.events, err = newEvents(g.cfg, g.kafka, g.log); err != nil {
		return err
	}
	if g.replies, err = newReplies(g.kafka, g.log); err != nil {
		return err
	}
	g.hub, err = push.New(g.cfg.Push, g.node, g.replies, reg, g.now)
	return err
}

func (g *Gateway) close() {
	for _, l := range []net.Listener{g.listener, g.internal} {
		if l != nil {
			l.Close() // a server that was shut down has closed it
		}
	}
	for _, p := range []*producer{g.events, g.replies} {
		if p != nil {
			p.cl.Close()
		}
	}
}

// Addr is the public listener's address, host:port.
func (g *Gateway) Addr() string { return g.listener.Addr().String() }

// NodeURL is the base URL under which engagers reach this node.
func (g *Gateway) NodeURL() string { return g.node }

// Ready says that clients should come here: the brokers were seen, the keys are read, and the end has
// not begun. It stays true while Kafka is away: clients then hear 503 with Retry-After, which is
// better than finding nobody.
func (g *Gateway) Ready() bool { return !g.draining.Load() && g.keysRead() }

func (g *Gateway) keysRead() bool {
	select {
	case <-g.follower.Ready():
		return true
	default:
		return false
	}
}

// Run serves until ctx ends, then ends in order within Config.Grace: no new clients, goodbyes spread
// over the connections, open requests answered, everything flushed to Kafka. It returns nil after
// such an end, and an error when a part failed or the time was up.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.close()
	public, internal := g.servers()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, work := errgroup.WithContext(work)
	group.Go(func() error { return serve(public, g.listener) })
	group.Go(func() error { return serve(internal, g.internal) })
	group.Go(func() error { return g.hub.Run(work) })
	group.Go(func() error { return g.follow(work) })
	select {
	case <-ctx.Done():
	case <-work.Done(): // a part has failed; the others end in order all the same
	}
	err := g.drain(public, internal)
	stop()
	return errors.Join(group.Wait(), err)
}

// follow checks the topics, then reads keys and presences until ctx ends.
func (g *Gateway) follow(ctx context.Context) error {
	err := kafka.Ensure(ctx, g.kafka, topics.Events.Spec, topics.Frames.Spec, topics.Deliveries.Spec, topics.WriteKeys.Spec, topics.Presences.Spec)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("gateway topics: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.follower.Run(ctx) })
	group.Go(func() error { return kafka.NewFollower(g.kafka, topics.Presences.Spec, g.hub.Told).Run(ctx) })
	return group.Wait()
}

// keyChanged takes one record of topics.WriteKeys.
func (g *Gateway) keyChanged(e kafka.Entry) {
	before, now, err := g.keys.Apply(e.Key, e.Value)
	if err != nil {
		g.log.Warn("a write key is refused", "topic", e.At.Topic, "partition", e.At.Partition, "offset", e.At.Offset, "err", err)
	}
	if before != nil && (now == nil || !now.May(keys.Push)) {
		g.hub.Revoke(before.Hash)
	}
}

// drain ends in order; see Run.
func (g *Gateway) drain(public, internal *http.Server) error {
	g.draining.Store(true)
	ctx, stop := context.WithTimeout(context.Background(), g.cfg.Grace)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return g.hub.Drain(ctx, g.cfg.Grace/2) })
	group.Go(func() error { return shutdown(ctx, public) })
	faults := []error{group.Wait(), shutdown(ctx, internal)} // until now late replies found their way
	for _, p := range []*producer{g.events, g.replies} {
		if err := p.cl.Flush(ctx); err != nil {
			faults = append(faults, fmt.Errorf("flush to Kafka: %d records are left: %w", p.cl.BufferedProduceRecords(), err))
		}
	}
	return errors.Join(faults...)
}
