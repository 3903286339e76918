package drain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dwellhq/dwell/sinks"
)

// errHandedOver ends a worker whose partition moves on; what it intended stays in the log.
var errHandedOver = errors.New("partition is handed over")

// skipEvery is how often a commit may do nothing but pass transaction markers.
const skipEvery = time.Second

// partition is one partition in the hands of one generation. Its worker, run, is the only one that
// commits and inserts.
type partition struct {
	s       *session
	topic   string
	id      int32
	commits committer
	from    commitFound
	in      *intake
	ended   chan error // gets a fault from outside, once

	// of the worker alone
	progress  sinks.Progress
	buffer    *sinks.Buffer
	sealed    map[sinks.Range][]sinks.Rows
	position  int64 // first offset not yet taken from the intake
	committed time.Time

	mu     sync.Mutex
	status PartitionStatus
}

func newPartition(s *session, commits committer, id int32, from commitFound) *partition {
	w := &partition{
		s: s, topic: s.Topic.Name, id: id, commits: commits, from: from, ended: make(chan error, 1),
		buffer: sinks.NewBuffer(s.Batch), sealed: map[sinks.Range][]sinks.Rows{},
		status: PartitionStatus{Pipeline: s.Name, Topic: s.Topic.Name, Partition: id, State: Replaying, Confirmed: max(0, from.offset)},
	}
	one := map[string][]int32{w.topic: {id}}
	w.in = newIntake(s.Batch.Bytes, func(pause bool) {
		if pause {
			commits.cl.PauseFetchPartitions(one)
		} else {
			commits.cl.ResumeFetchPartitions(one)
		}
	})
	return w
}

// run drains until soft ends, the partition is fenced, or a fault stops it. hard cuts off what is
// under way.
func (w *partition) run(soft, hard context.Context) {
	err := w.replay(soft, hard)
	w.s.replayed(w)
	if err == nil {
		w.set(func(s *PartitionStatus) { s.State = Draining })
		err = w.drain(soft, hard)
	}
	log := w.s.log.With("topic", w.topic, "partition", w.id, "offset", w.progress.Committed())
	switch {
	case errors.Is(err, errHandedOver), soft.Err() != nil && hard.Err() != nil:
		w.in.close(false)
	case errors.Is(err, errFenced):
		log.Info("partition was fenced, dropping it", "err", err)
		w.in.close(false)
	case errors.Is(err, errUnknown):
		w.in.close(false)
		w.s.giveUp(err)
	default:
		w.in.close(true)
		w.set(func(s *PartitionStatus) { s.State, s.Fault = Stopped, err.Error() })
		log.Error("partition stopped", "err", err)
	}
}

// drain seals, commits, writes and confirms, in the order that Progress demands.
func (w *partition) drain(soft, hard context.Context) error {
	for {
		stopping := soft.Err() != nil
		if err := w.fill(soft, hard); err != nil {
			return err
		}
		if wait, ok := w.buffer.Due(time.Now()); ok && wait <= 0 && !stopping && w.progress.Step() != sinks.Write {
			r, rows := w.buffer.Seal()
			var err error
			if w.progress, err = w.progress.Seal(r); err != nil {
				return fmt.Errorf("%s/%d: seal: %w", w.topic, w.id, err)
			}
			w.sealed[r] = rows
		}
		if w.buffer.Empty() {
			w.progress = w.progress.Skip(w.position)
		}
		switch step := w.progress.Step(); {
		case step == sinks.Commit:
			if err := w.commit(hard); err != nil {
				return err
			}
		case stopping:
			return errHandedOver
		case step == sinks.Write:
			r, _ := w.progress.Unwritten()
			if err := w.write(soft, hard, r, false); err != nil {
				return err
			}
		default:
			if err := w.idle(soft, hard); err != nil {
				return err
			}
		}
	}
}

// fill moves what is there from the intake into the buffer.
func (w *partition) fill(soft, hard context.Context) error {
	for !w.buffer.Full() && soft.Err() == nil {
		rec := w.in.pop()
		if rec == nil {
			return nil
		}
		if rec.Offset < w.position {
			continue
		}
		w.position = rec.Offset + 1
		if rec.Attrs.IsControl() {
			continue
		}
		rows, err := w.decode(soft, hard, rec)
		if err != nil {
			return err
		}
		w.buffer.Add(time.Now(), sinks.Record{Offset: rec.Offset, Key: rec.Key, Value: rec.Value, Time: rec.Timestamp}, rows)
	}
	return nil
}

// idle waits for records, for the buffer's age, or for the time to pass markers.
func (w *partition) idle(soft, hard context.Context) error {
	wait, ok := w.buffer.Due(time.Now())
	skip := !ok && w.progress.Next() > w.progress.Committed()
	if skip {
		wait = skipEvery - time.Since(w.committed)
		if wait <= 0 {
			return w.commit(hard)
		}
	}
	var due <-chan time.Time
	if ok || skip {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-soft.Done():
	case err := <-w.ended:
		return err
	case <-w.in.filled:
	case <-due:
	}
	return nil
}

// commit writes what Progress says.
func (w *partition) commit(hard context.Context) error {
	c := w.progress.Commit()
	if err := w.commits.commit(hard, w.topic, w.s.topicID, w.id, c); err != nil {
		return err
	}
	w.progress, w.committed = w.progress.Confirm(c), time.Now()
	w.set(func(s *PartitionStatus) { s.Confirmed = c.Offset })
	return nil
}

// write inserts one range until the sink acknowledges it.
func (w *partition) write(soft, hard context.Context, r sinks.Range, replay bool) error {
	b := w.batch(r, w.sealed[r])
	b.Replay = replay
	if b.Len() > 0 {
		began := time.Now()
		err := w.insist(soft, func() error {
			ctx, cancel := context.WithTimeout(hard, w.s.cfg.WriteTimeout)
			defer cancel()
			err := w.s.Sink.Write(ctx, b)
			if err != nil && ctx.Err() != nil {
				err = fmt.Errorf("%w: %w", sinks.ErrRetry, err)
			}
			b.Replay = true // this attempt may have landed
			return err
		})
		if err != nil {
			return err
		}
		if w.s.cfg.Landed != nil {
			w.s.cfg.Landed(b, time.Since(began))
		}
	}
	delete(w.sealed, r)
	w.set(func(s *PartitionStatus) { s.Rows += int64(b.Len()) })
	var err error
	w.progress, err = w.progress.Acknowledge(r)
	return err
}

// insist repeats act while it asks for that, until soft ends.
func (w *partition) insist(soft context.Context, act func() error) error {
	pause := backoff{most: w.s.cfg.Backoff}
	for {
		err := act()
		if !errors.Is(err, sinks.ErrRetry) {
			w.set(func(s *PartitionStatus) { s.Fault = "" })
			return err
		}
		before := w.snapshot().State
		w.set(func(s *PartitionStatus) { s.State, s.Fault = Waiting, err.Error() })
		if soft.Err() == nil {
			w.s.log.Warn("sink failed, trying again", "topic", w.topic, "partition", w.id, "offset", w.progress.Committed(), "err", err)
		}
		ok := pause.wait(soft)
		w.set(func(s *PartitionStatus) { s.State = before })
		if !ok {
			return errHandedOver
		}
	}
}

func (w *partition) batch(r sinks.Range, rows []sinks.Rows) sinks.Batch {
	return sinks.Batch{
		Pipeline: w.s.Name, Topic: w.topic, TopicID: w.s.topicID, Partition: w.id,
		First: r.First, Last: r.Last, Rows: rows,
	}
}

// end stops the worker with a fault found outside of it.
func (w *partition) end(err error) {
	select {
	case w.ended <- err:
	default:
	}
}

func (w *partition) set(change func(*PartitionStatus)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.status)
}

func (w *partition) snapshot() PartitionStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}
