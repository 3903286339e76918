package core

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// franz consumes, counts in maps and produces changed rows once per poll, at least once: rows and
// actions are acknowledged before the offsets are committed. It is the limit of what a processor on
// this client can do, not a stack to run: it cannot even read its rows back.
func (j job) franz(ctx context.Context) error {
	cfg := j.config()
	in, err := cfg.NewClient(j.Name, kgo.ConsumerGroup(j.Name), kgo.ConsumeTopics(j.Input), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.RangeBalancer()))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := cfg.NewClient(j.Name, kgo.RecordPartitioner(fnvPartitioner()), kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	if err != nil {
		return err
	}
	defer out.Close()
	f := &limit{job: j, in: in, out: out, rows: map[int32]map[string]*limitRow{}}
	for {
		err := f.turn(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("bare franz-go: %w", err)
		}
	}
}

// limit is the state of franz.
type limit struct {
	job
	in, out *kgo.Client
	rows    map[int32]map[string]*limitRow

	refused child.FirstError
}

type limitRow struct {
	tally
	changed bool
}

// perPoll bounds what one turn takes.
const perPoll = 20_000

// turn is one poll, stepped by partition side by side, and its commit.
func (f *limit) turn(ctx context.Context) error {
	fetches := f.in.PollRecords(ctx, perPoll)
	if err := fetches.Err(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	done := map[int32]kgo.EpochOffset{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		rows := f.rows[p.Partition]
		if rows == nil {
			rows = map[string]*limitRow{}
			f.rows[p.Partition] = rows
		}
		done[p.Partition] = kgo.EpochOffset{Epoch: -1, Offset: p.Records[len(p.Records)-1].Offset + 1}
		wg.Go(func() { f.step(ctx, rows, p.Records) })
	})
	wg.Wait()
	if len(done) == 0 {
		return nil
	}
	if err := f.out.Flush(ctx); err != nil {
		return err
	}
	if err := f.refused.Get(); err != nil {
		return err
	}
	var failed error
	f.in.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{f.Input: done},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			failed = commitError(resp, err)
		})
	return failed
}

// step counts the records of one partition and sends what changed.
func (f *limit) step(ctx context.Context, rows map[string]*limitRow, records []*kgo.Record) {
	var changed []*kgo.Record
	var owners []*limitRow
	for _, r := range records {
		row := rows[string(r.Key)]
		if row == nil {
			row = &limitRow{}
			rows[string(r.Key)] = row
		}
		if act := f.job.step(&row.tally, r.Timestamp, r.Value); act != nil {
			f.out.Produce(ctx, &kgo.Record{Topic: f.Actions, Key: r.Key, Value: act}, f.refused.Produced)
		}
		if !row.changed {
			row.changed = true
			owners = append(owners, row)
			changed = append(changed, &kgo.Record{Topic: f.table(), Key: r.Key})
		}
	}
	values := make([]byte, 0, rowBytes*len(owners))
	for i, row := range owners {
		row.changed = false
		at := len(values)
		values, _ = tallyCodec{}.Append(values, &row.tally) // never fails
		changed[i].Value = values[at:len(values):len(values)]
		f.out.Produce(ctx, changed[i], f.refused.Produced)
	}
}

// commitError is the first error in an answer to a commit.
func commitError(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("commit %s/%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}
