package core

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// brokerJob is the embedded Kafka, in a process of its own.
const brokerJob = "broker"

// Child does one job, given as JSON, for a measuring process, as child.Serve says. Only Run and Latency
// start children.
func Child(ctx context.Context, spec string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	return child.Serve(ctx, in, out, j.work)
}

func (j job) work(ctx context.Context, say *child.Speaker) error {
	if j.Stack == brokerJob {
		return child.Embedded(ctx, say)
	}
	return j.run(ctx)
}
