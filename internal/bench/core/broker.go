package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/dwellhq/dwell/embedded"
)

// Brokers that Config.Broker names; anything else is addresses.
const (
	EmbeddedBroker = "embedded" // kfake, in memory, in a child process
	RealBroker     = "real"     // an Apache Kafka of one node; needs Java, and Maven once
)

// broker is what all stacks of a run share.
type broker struct {
	addrs []string
	pid   int // 0: not ours
	stop  func() error
}

// startBroker starts what the configuration names.
func startBroker(ctx context.Context, c Config, dir string) (*broker, error) {
	switch c.Broker {
	case EmbeddedBroker:
		return startEmbedded(ctx, c)
	case RealBroker:
		k, err := embedded.StartRealKafka(ctx, embedded.RealKafkaConfig{Dir: filepath.Join(dir, "kafka"), HeapMB: 1024, Cache: c.Cache, Progress: c.Say})
		if err != nil {
			return nil, err
		}
		return &broker{addrs: k.Addrs(), pid: k.Pids()[0], stop: k.Close}, nil
	}
	return &broker{addrs: strings.Split(c.Broker, ","), stop: func() error { return nil }}, nil
}

func startEmbedded(ctx context.Context, c Config) (*broker, error) {
	argv, err := c.child(job{Stack: brokerJob})
	if err != nil {
		return nil, err
	}
	p, err := start("the broker", "", argv)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	m, err := p.receive(ctx)
	if err == nil && len(m.Addrs) == 0 {
		err = errors.New("the broker did not say where it is")
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return &broker{addrs: m.Addrs, pid: p.cmd.Process.Pid, stop: p.stop}, nil
}

// child is the command line of a child process with a job.
func (c Config) child(j job) ([]string, error) {
	spec, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("write the job of %s: %w", j.Stack, err)
	}
	return append(append([]string{}, c.Child...), string(spec)), nil
}
