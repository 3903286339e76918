package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/embedded"
	"github.com/dwellhq/dwell/examples/campaigns"
	"github.com/dwellhq/dwell/internal/dev"
	"github.com/dwellhq/dwell/internal/role"
)

type devCmd struct {
	dev.Config `embed:""`
}

// Run implements the command.
func (c *devCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	cfg := c.Config
	cfg.Say = func(line string) { fmt.Println(line) }
	hot, err := campaigns.Files.ReadFile("hot-streak.yaml")
	if err != nil {
		return fmt.Errorf("the demo's campaign: %w", err)
	}
	cfg.Campaigns = map[string][]byte{"hot-streak.yaml": hot}
	if err := dev.Run(ctx, cfg); err != nil {
		return err
	}
	fmt.Println("all parts have stopped; the data is in", cfg.Data)
	return nil
}

type embeddedKafkaCmd struct {
	role.Settings `embed:""`
	Dir           string `required:"" help:"Folder of the data."`
	Port          int    `required:"" help:"Port of the broker."`
	Real          bool   `help:"Apache Kafka instead of kfake."`
	Cache         string `help:"Folder of fetched parts."`
}

// Run implements the command.
func (c *embeddedKafkaCmd) Run() error {
	return role.Run("kafka", c.Settings, func(ctx context.Context, _ prometheus.Registerer) (role.Part, error) {
		if c.Real {
			return c.real(ctx)
		}
		slog.Info("this embedded Kafka is exact while it lives; a kill -9 of it may break a transaction apart")
		k, err := embedded.StartKafka(embedded.KafkaConfig{Dir: c.Dir, Port: c.Port})
		if err != nil {
			return role.Part{}, err
		}
		return role.Part{
			Ready: func() error { return nil }, Status: func() any { return k.Addrs() },
			Run: func(ctx context.Context) error { <-ctx.Done(); return k.Close() },
		}, nil
	})
}

func (c *embeddedKafkaCmd) real(ctx context.Context) (role.Part, error) {
	k, err := embedded.StartRealKafka(ctx, embedded.RealKafkaConfig{Dir: c.Dir, Ports: []int{c.Port}, Cache: c.Cache})
	if err != nil {
		return role.Part{}, err
	}
	return role.Part{
		Ready: func() error { return nil }, Status: func() any { return k.Addrs() },
		Run: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return k.Close()
			case err := <-k.Failed():
				return errors.Join(err, k.Close())
			}
		},
	}, nil
}

type embeddedClickHouseCmd struct {
	role.Settings `embed:""`
	Lib           string `required:"" help:"Path of libchdb."`
	Dir           string `required:"" help:"Folder of the data."`
	Port          int    `required:"" help:"Port of the HTTP interface."`
}

// Run implements the command.
func (c *embeddedClickHouseCmd) Run() error {
	return role.Run("clickhouse", c.Settings, func(context.Context, prometheus.Registerer) (role.Part, error) {
		ready := make(chan embedded.ClickHouseReady, 1)
		state := embedded.ClickHouseReady{}
		return role.Part{
			Ready: func() error {
				select {
				case state = <-ready:
				default:
				}
				if state.HTTPAddr == "" {
					return fmt.Errorf("the engine is starting on %s", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)))
				}
				return nil
			},
			Status: func() any { return c.Dir },
			Run: func(ctx context.Context) error {
				return embedded.RunClickHouse(ctx, embedded.ClickHouseConfig{
					Lib: c.Lib, Dir: c.Dir, HTTPPort: c.Port, Ready: func(r embedded.ClickHouseReady) { ready <- r },
				})
			},
		}, nil
	})
}
