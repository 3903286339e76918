package journal

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const clientID = "dwell-replay-check"

// All asks for every partition.
const All = -1

// replay is one replay under way.
type replay struct {
	cfg    kafka.Config
	def    *processors.Def
	only   int32 // a partition, or All
	table  string
	report *Report

	// certain is where the journal ended at first; what it says is in all topics. It is read to until,
	// which covers all that is in them. What lies between may be missing there, no more.
	certain, until spans
	ends           map[string]spans // of the table and the outputs
	reads          map[string]spans // of inputs and whole topics
	whole          *library
	outputs        *outputs
	frames         *kafka.Unframer
}

// Replay does what the processor's group did again, following its journal, and compares every row of
// the table and every output, byte for byte, with what the topics hold; of dead letters, which record
// each is for. The group may run meanwhile. only is a partition, or All.
//
// A difference is in the Report, and no error. Outputs are compared in order per key; where several
// partitions have outputs for one key, whatever their order. With one partition only, an output too many
// is not found: another partition may have made it.
//
// It takes memory for every row, and some 50 bytes for every output. An error that wraps ErrGone says
// that records are missing which a replay needs.
func Replay(ctx context.Context, cfg kafka.Config, def *processors.Def, only int32) (Report, error) {
	group := "dwell." + def.Name
	r := &replay{cfg: cfg, def: def, only: only, table: group + "-table", report: &Report{}}
	r.outputs = newOutputs(r)
	var err error
	if r.frames, err = kafka.NewUnframer(cfg); err == nil {
		err = r.run(ctx, Topic(group))
	}
	if err != nil {
		err = fmt.Errorf("replay %s: %w", def.Name, err)
	}
	return *r.report, err
}

func (r *replay) run(ctx context.Context, journal string) error {
	if !r.def.Journal {
		return fmt.Errorf("%w: the processor has no journal", ErrGone)
	}
	if err := r.survey(ctx, journal); err != nil {
		return err
	}
	numbers := []int32{r.only}
	if _, ok := r.until[r.only]; r.only == All {
		numbers = r.until.numbers()
	} else if !ok {
		return fmt.Errorf("%s has no partition %d", journal, r.only)
	}
	var err error
	if r.whole, err = readWhole(ctx, r.cfg, r.def, r.reads); err != nil {
		return err
	}
	defer func() { r.report.Holed = r.whole.holed }()
	for _, n := range numbers {
		stopped, err := r.partition(ctx, journal, n)
		if err != nil || stopped {
			return err
		}
	}
	return r.outputs.compare(ctx)
}

// survey finds where everything ends. The order matters, because the group may be running.
func (r *replay) survey(ctx context.Context, journal string) error {
	cl, err := r.cfg.NewClient(clientID)
	if err != nil {
		return err
	}
	defer cl.Close()
	at, err := decided(ctx, cl, journal)
	if err != nil {
		return err
	}
	r.certain = at[journal]
	written := []string{r.table, topics.DeadLetters.Name}
	for _, t := range r.def.Outputs {
		written = append(written, t.Name)
	}
	if r.ends, err = decided(ctx, cl, written...); err != nil {
		return err
	}
	if at, err = decided(ctx, cl, journal); err != nil {
		return err
	}
	r.until = at[journal]
	var read []string
	for _, t := range r.def.Inputs {
		read = append(read, t.Name)
	}
	for _, w := range r.def.Whole {
		read = append(read, w.Topic().Name)
	}
	for _, t := range r.def.Tables {
		read = append(read, t.Topic().Name)
	}
	r.reads, err = decided(ctx, cl, read...)
	return err
}

func (s spans) numbers() []int32 {
	var all []int32
	for n := range s {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// partition replays one. It says whether a step went otherwise, so that nothing after it means much.
func (r *replay) partition(ctx context.Context, journal string, number int32) (stopped bool, err error) {
	if s := r.until[number]; s.start > 0 {
		return false, fmt.Errorf("%w: %s/%d begins at offset %d, what came before is gone", ErrGone, journal, number, s.start)
	}
	entries, err := newTape(r.cfg, journal, number, r.until[number])
	if err != nil {
		return false, err
	}
	defer entries.close()
	p, err := r.open(ctx, number)
	defer p.close()
	if err != nil {
		return false, err
	}
	for {
		rec, err := entries.peek(ctx)
		if err != nil {
			return false, err
		}
		if rec == nil {
			break
		}
		r.outputs.ours(rec)
		if d, err := p.entry(ctx, rec); err != nil {
			return false, fmt.Errorf("%s: %w", where(rec), err)
		} else if d != nil {
			r.report.differ(d)
			return true, nil
		}
		entries.take()
	}
	return false, p.compareRows(ctx)
}

// where a record lies.
func where(r *kgo.Record) schemas.Coordinates {
	return schemas.Coordinates{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
}
