package child

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/dwellhq/dwell/embedded"
)

// Brokers that StartBroker knows by name; anything else is addresses.
const (
	EmbeddedBroker = "embedded" // kfake, in memory, in a child process
	RealBroker     = "real"     // an Apache Kafka of one node; needs Java, and Maven once
)

// Broker is what all stacks of a run share.
type Broker struct {
	Addrs []string
	// Pid is 0 when the broker is not ours.
	Pid int
	// Stop ends it, if it is ours.
	Stop func() error
}

// StartBroker starts what kind names, or takes kind as addresses, separated by commas. Self is the
// command line of a child whose work is Embedded. Dir is the folder of a real broker's data; cache is
// where fetched parts are, empty for the user's cache.
func StartBroker(ctx context.Context, kind, dir, cache string, self []string, say func(string)) (*Broker, error) {
	switch kind {
	case EmbeddedBroker:
		return startEmbedded(ctx, self)
	case RealBroker:
		k, err := embedded.StartRealKafka(ctx, embedded.RealKafkaConfig{Dir: filepath.Join(dir, "kafka"), HeapMB: 1024, Cache: cache, Progress: say})
		if err != nil {
			return nil, err
		}
		return &Broker{Addrs: k.Addrs(), Pid: k.Pids()[0], Stop: k.Close}, nil
	}
	return &Broker{Addrs: strings.Split(kind, ","), Stop: func() error { return nil }}, nil
}

func startEmbedded(ctx context.Context, self []string) (*Broker, error) {
	p, err := Start("the broker", "", self)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	m, err := p.Receive(ctx)
	if err == nil && len(m.Addrs) == 0 {
		err = errors.New("the broker did not say where it is")
	}
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return &Broker{Addrs: m.Addrs, Pid: p.Pid(), Stop: p.Stop}, nil
}
