package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream"
)

// job is what a child does: be the embedded broker, or a worker that is going to be killed.
type job struct {
	Broker     bool
	Addrs      []string
	Partitions int32
	Name       string
	Dir        string
	Standbys   int
}

// victim is the instance id of the worker that is going to be killed.
const victim = "victim"

// argv is the command line of a child with the job.
func (j job) argv(command []string) ([]string, error) {
	spec, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("write a job: %w", err)
	}
	return append(append([]string{}, command...), string(spec)), nil
}

// Child does one job, given as JSON, for a measuring process, as child.Serve says.
func Child(ctx context.Context, spec string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	return child.Serve(ctx, in, out, func(ctx context.Context, say *child.Speaker) error {
		if j.Broker {
			return child.Embedded(ctx, say)
		}
		k := kafka.DefaultConfig()
		k.Brokers, k.Partitions = j.Addrs, j.Partitions
		p, err := stream.New(workerConfig(k, victim, j.Dir, j.Standbys), definition(j.Name))
		if err != nil {
			return err
		}
		return p.Run(ctx)
	})
}
