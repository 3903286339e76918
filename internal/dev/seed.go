package dev

import (
	"context"
	"fmt"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/topics"
)

// Demo names the tenant and the public write key of a local run.
const (
	DemoTenant = "demo"
	DemoKey    = "demo"
)

// seed makes the topics and, once, the demo's key and campaigns.
func seed(ctx context.Context, cfg Config) error {
	cluster := kafka.DefaultConfig()
	cluster.Brokers, cluster.Partitions = cfg.brokers(), int32(cfg.Partitions)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := kafka.Ensure(ctx, cluster, topics.Builtin()...); err != nil {
		return err
	}
	fresh, err := declare.Key(ctx, cluster, DemoTenant, DemoKey, "demo", []string{"*"})
	if err != nil || !fresh {
		return err
	}
	for file, source := range cfg.Campaigns {
		all, err := declare.Parse(file, source)
		if err != nil {
			return fmt.Errorf("the demo's campaigns: %w", err)
		}
		if _, err := declare.Apply(ctx, cluster, DemoTenant, all, false); err != nil {
			return err
		}
	}
	return nil
}
