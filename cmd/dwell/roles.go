package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/console"
	"github.com/dwellhq/dwell/gateway"
	"github.com/dwellhq/dwell/internal/role"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/dispatch"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/exposure"
	"github.com/dwellhq/dwell/sinks/clickhouse"
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
			pages = demoPages(c.ClickHouse)
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
func (c *workerCmd) Run() error { return worker.Run(c.Config, engage.Processor, exposure.Processor) }

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

// demoPages are the demo, and how many seconds of its banner the ledger has.
func demoPages(cfg clickhouse.Config) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", console.Handler())
	mux.Handle("GET /demo/exposure", exposureOf(cfg))
	return mux
}
