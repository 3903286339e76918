package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/kafka/stream/brake"
	"github.com/dwellhq/dwell/kafka/stream/table"
)

// endTime bounds the end of a transaction. A member that was thrown out of its group would wait for
// a heartbeat that its own blocked rebalance holds back.
const endTime = 5 * time.Second

// errUncommitted is an end of a transaction that we did not want. Whether the brokers committed it
// all the same may be unknown: a new client finds out where they stand.
var errUncommitted = errors.New("the brokers did not commit")

// commit produces what the partitions have to say and ends the transaction. goka must have nothing
// under way. The order is what makes it exact: first all records are acknowledged, then the offsets
// are bound to the group's generation, then it ends, then the local store follows.
func (m *member) commit(s *session) error {
	start := time.Now()
	defer func() { m.p.count.Ended(time.Since(start).Seconds()) }()
	tables := s.tables()
	if len(tables) != len(s.partitions()) { // the session ended just now: offsets would go without their rows
		return &lost{errors.Join(errHost, s.ctx.Err())}
	}
	records, err := outgoing(tables)
	switch {
	case errors.Is(err, table.ErrRetry):
		m.p.log.Warn("aborting, to find the record that fails", "err", err)
		return m.conclude(s, kgo.TryAbort)
	case err != nil:
		m.abandon(s)
		return err
	}
	if err := m.p.brake.Judge(m.p.shared.Now(), judged(tables)); err != nil {
		m.abandon(s)
		return err
	}
	if err := m.sess.Check(context.Background()); err != nil {
		return m.p.classify("write", err)
	}
	if refused, err := m.produce(records); err != nil {
		return err
	} else if refused != nil {
		if refused.permanent() {
			m.abandon(s)
			return refused
		}
		m.p.log.Warn("aborting", "err", refused)
		return m.conclude(s, kgo.TryAbort)
	}
	if total(records) == 0 && len(m.sess.Client().UncommittedOffsets()) == 0 {
		return each(tables, (*table.Partition).Committed)
	}
	return m.conclude(s, kgo.TryCommit)
}

// abandon aborts because the processor fails; that is the error to report.
func (m *member) abandon(s *session) {
	if err := m.conclude(s, kgo.TryAbort); err != nil {
		m.p.log.Warn("abort failed", "err", err)
	}
}

// outgoing collects the records of every partition; the first error wins over ErrRetry.
func outgoing(tables []*table.Partition) ([][]*kgo.Record, error) {
	records := make([][]*kgo.Record, len(tables))
	errs := make([]error, len(tables))
	var g errgroup.Group
	for i, t := range tables {
		g.Go(func() error {
			records[i], errs[i] = t.Outgoing()
			return nil
		})
	}
	_ = g.Wait() // errs has them all
	var retry error
	for _, err := range errs {
		if err != nil && !errors.Is(err, table.ErrRetry) {
			return nil, err
		}
		retry = errors.Join(retry, err)
	}
	return records, retry
}

// judged counts what the open transaction stepped and rejected, by partition.
func judged(tables []*table.Partition) []brake.Count {
	all := make([]brake.Count, len(tables))
	for i, t := range tables {
		all[i].Partition = t.Number()
		all[i].Stepped, all[i].Rejected, all[i].First = t.Judged()
	}
	return all
}

func total(records [][]*kgo.Record) (n int) {
	for _, r := range records {
		n += len(r)
	}
	return n
}

// produce sends the records and waits for all acknowledgements. A record that failed fails the
// transaction: the client would commit what is left of it.
func (m *member) produce(records [][]*kgo.Record) (*produceError, error) {
	m.failure.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), m.p.cfg.TxnTimeout)
	defer cancel()
	var g errgroup.Group
	acknowledged := m.acknowledged // one closure for all
	early := total(records) >= full
	for _, recs := range records {
		if len(recs) == 0 {
			continue
		}
		if early {
			// So many that the first travel while the last are encoded: a flush that runs beside keeps
			// the client from collecting. It may end before the last; the one below waits for them.
			early = false
			m.sess.Produce(ctx, recs[0], acknowledged)
			recs = recs[1:]
			g.Go(func() error { return m.sess.Client().Flush(ctx) })
		}
		g.Go(func() error {
			for _, r := range recs {
				m.sess.Produce(ctx, r, acknowledged)
			}
			return nil
		})
	}
	_ = g.Wait() // acknowledged has the errors
	if err := m.sess.Client().Flush(ctx); err != nil {
		return nil, &lost{fmt.Errorf("wait for the records of a transaction: %w", err)}
	}
	return m.failure.Load(), nil
}

func (m *member) acknowledged(r *kgo.Record, err error) {
	m.written.Add(int64(len(r.Key) + len(r.Value)))
	if err != nil {
		m.failure.CompareAndSwap(nil, &produceError{r.Topic, string(r.Key), len(r.Key) + len(r.Value), err})
	}
}

// conclude ends the transaction, tells the partitions, and begins the next one. After an abort the
// client goes back to what was committed; without a session there are no partitions to tell.
func (m *member) conclude(s *session, want kgo.TransactionEndTry) error {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	var note func(int32) *string
	var pin func(*kmsg.TxnOffsetCommitRequest) error
	if s != nil {
		note, pin = m.notes(s), m.pin(s)
	}
	committed, err := m.sess.End(ctx, want, note, pin)
	m.lastEnd = time.Now()
	m.rush.Store(false)
	if s != nil {
		if rerr := m.resolve(s, committed); rerr != nil {
			return rerr
		}
	}
	switch {
	case err != nil:
		return m.p.classify("end a transaction", err)
	case bool(want) && !committed:
		return &lost{errUncommitted}
	}
	if err := m.sess.Begin(); err != nil {
		return m.p.classify("begin a transaction", err)
	}
	return nil
}

// resolve tells the partitions how the transaction ended.
func (m *member) resolve(s *session, committed bool) error {
	if committed {
		m.aborts = 0
		m.p.brake.Add(m.p.shared.Now(), judged(s.tables()))
		stepped := int64(0)
		for _, t := range s.tables() {
			stepped += t.Stepped()
		}
		m.p.count.Committed(stepped, m.written.Swap(0))
		return each(s.tables(), (*table.Partition).Committed)
	}
	m.aborts++
	m.p.count.Aborts.Add(1)
	m.written.Store(0)
	return each(s.tables(), func(t *table.Partition) error {
		t.Aborted()
		return nil
	})
}

// each calls f for all partitions, side by side.
func each(tables []*table.Partition, f func(*table.Partition) error) error {
	var g errgroup.Group
	for _, t := range tables {
		g.Go(func() error { return f(t) })
	}
	return g.Wait()
}

// pin binds the transaction to the group's generation when no offset moved, because only timers
// fired: it commits one unchanged offset. Else nothing would stop an instance that was thrown out of
// the group, and does not know it yet, from committing what its successor does as well.
func (m *member) pin(s *session) func(*kmsg.TxnOffsetCommitRequest) error {
	topic, partition, offset, ok := m.anchor(s)
	return func(req *kmsg.TxnOffsetCommitRequest) error {
		if !ok {
			return errors.New("no offset to bind the transaction to")
		}
		rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch = partition, offset, -1
		rt := kmsg.NewTxnOffsetCommitRequestTopic()
		rt.Topic, rt.Partitions = topic, []kmsg.TxnOffsetCommitRequestTopicPartition{rp}
		req.Topics = append(req.Topics, rt)
		return nil
	}
}

// notes are what the brake keeps of each partition beside its offset; nil: nothing.
func (m *member) notes(s *session) func(partition int32) *string {
	all := map[int32]*string{}
	for _, c := range judged(s.tables()) {
		if note := m.p.brake.Note(m.p.shared.Now(), c); note != "" {
			all[c.Partition] = &note
		}
	}
	return func(partition int32) *string { return all[partition] }
}

// anchor is an offset of a partition of ours where the group stands.
func (m *member) anchor(s *session) (topic string, partition int32, offset int64, ok bool) {
	known := m.sess.Client().CommittedOffsets()
	for _, t := range s.tables() {
		for i, in := range m.p.def.Inputs {
			if o := m.position(known, t.Number(), in.Name, t.Position(i)); o != table.Unknown {
				return in.Name, t.Number(), o, true
			}
		}
	}
	return "", 0, 0, false
}
