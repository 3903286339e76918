package core

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// Brokers that Config.Broker names; anything else is addresses.
const (
	EmbeddedBroker = child.EmbeddedBroker
	RealBroker     = child.RealBroker
)

// startBroker starts what the configuration names.
func startBroker(ctx context.Context, c Config, dir string) (*child.Broker, error) {
	self, err := c.child(job{Stack: brokerJob})
	if err != nil {
		return nil, err
	}
	return child.StartBroker(ctx, c.Broker, dir, c.Cache, self, c.Say)
}

// child is the command line of a child process with a job.
func (c Config) child(j job) ([]string, error) {
	spec, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("write the job of %s: %w", j.Stack, err)
	}
	return append(append([]string{}, c.Child...), string(spec)), nil
}
