package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	_ "time/tzdata" // quiet hours go by zones, which a slim machine does not have

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/console"
	"github.com/dwellhq/dwell/gateway"
	"github.com/dwellhq/dwell/internal/dev"
	"github.com/dwellhq/dwell/internal/role"
	"github.com/dwellhq/dwell/internal/status"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/dispatch"
	"github.com/dwellhq/dwell/kafka/drain"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks/clickhouse"
	"github.com/dwellhq/dwell/topics"
	"github.com/dwellhq/dwell/worker"
)

var errStarting = errors.New("starting")

type gatewayCmd struct {
	role.Settings `embed:""`
	Kafka         kafka.Config      `embed:""`
	Gateway       gateway.Config    `embed:""`
	Demo          bool              `help:"Serve the demo page, the browser tag and GET /demo/exposure."`
	ClickHouse    clickhouse.Config `embed:""`
}

// Run implements the command.
func (c *gatewayCmd) Run() error {
	return role.Run("gateway", c.Settings, func(_ context.Context, metrics prometheus.Registerer) (role.Part, error) {
		pages := console.Tag()
		if c.Demo {
			store, err := clickhouse.Open(c.ClickHouse)
			if err != nil {
				return role.Part{}, err
			}
			pages = demoPages(store) // its connections end with the process
		}
		g, err := gateway.New(c.Gateway, c.Kafka, gateway.Deps{Pages: pages, Registerer: metrics})
		if err != nil {
			return role.Part{}, err
		}
		return role.Part{Ready: orStarting(g.Ready), Status: func() any { return map[string]string{"listen": g.Addr(), "node": g.NodeURL()} }, Run: g.Run}, nil
	})
}

func orStarting(ready func() bool) func() error {
	return func() error {
		if !ready() {
			return errStarting
		}
		return nil
	}
}

type workerCmd struct {
	worker.Config `embed:""`
}

// Run implements the command.
func (c *workerCmd) Run() error {
	return worker.Run(c.Config, builtinProcessors()...)
}

type statusCmd struct {
	Admin []string `arg:"" optional:"" help:"Admin addresses of workers, or of dwell dev, host:port." default:"127.0.0.1:8081"`
	JSON  bool     `help:"Print JSON, an object a worker."`
}

// Run implements the command.
func (c *statusCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	all, err := status.Ask(ctx, c.Admin)
	if c.JSON {
		return errors.Join(err, json.NewEncoder(os.Stdout).Encode(all))
	}
	if len(all) > 0 {
		err = errors.Join(err, status.Print(os.Stdout, all))
	}
	return err
}

type engagerCmd struct {
	role.Settings `embed:""`
	Dispatch      dispatch.Config `embed:""`
}

// Run implements the command.
func (c *engagerCmd) Run() error {
	return role.Run("engager", c.Settings, func(_ context.Context, metrics prometheus.Registerer) (role.Part, error) {
		d, err := dispatch.New(c.Dispatch, dispatch.Deps{Registerer: metrics})
		if err != nil {
			return role.Part{}, err
		}
		return role.Part{Ready: d.Ready, Status: func() any { return d.Status() }, Run: d.Run}, nil
	})
}

type sinkCmd struct {
	role.Settings `embed:""`
	Drain         drain.Config      `embed:""`
	ClickHouse    clickhouse.Config `embed:""`
}

// Run implements the command.
func (c *sinkCmd) Run() error {
	return role.Run("sink", c.Settings, func(ctx context.Context, _ prometheus.Registerer) (role.Part, error) {
		if err := kafka.Ensure(ctx, c.Drain.Kafka, topics.Builtin()...); err != nil {
			return role.Part{}, err
		}
		store, err := clickhouse.Open(c.ClickHouse)
		if err != nil {
			return role.Part{}, err
		}
		if err := store.Migrate(ctx); err != nil {
			return role.Part{}, errors.Join(err, store.Close())
		}
		d, err := drain.New(c.Drain, store.Pipelines()...)
		if err != nil {
			return role.Part{}, errors.Join(err, store.Close())
		}
		return role.Part{
			Ready: closed(d.Ready()), Status: func() any { return d.Status() },
			Run: func(ctx context.Context) error { return errors.Join(d.Run(ctx), store.Close()) },
		}, nil
	})
}

func closed(c <-chan struct{}) func() error {
	return func() error {
		select {
		case <-c:
			return nil
		default:
			return errStarting
		}
	}
}

// demoPages are the demo, and how many seconds of its banner the ledger has.
func demoPages(store *clickhouse.Store) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", console.Handler())
	mux.HandleFunc("GET /demo/exposure", func(w http.ResponseWriter, r *http.Request) {
		seen, err := store.SecondsSeen(r.Context(), dev.DemoTenant, schemas.AnonymousUser(r.URL.Query().Get("anonymous_id")))
		if err != nil {
			slog.Warn("demo: seconds seen", "err", err)
			http.Error(w, "the ledger does not answer", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(seen); err != nil {
			slog.Debug("demo: answer", "err", err)
		}
	})
	return mux
}
