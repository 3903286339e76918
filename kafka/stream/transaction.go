package stream

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/table"
)

const (
	// maxRecords bounds a transaction.
	maxRecords = 50_000
	// gap is how long after the last one a transaction may end early: sooner, the markers of the
	// last are in the way.
	gap = 6 * time.Millisecond
	// full is how many records keep a transaction from an early end: so many are a backlog, which is
	// worked off sooner in few large transactions than in many small ones.
	full = 4096
	// idleWait is how long nothing may happen before we look for rows to wake.
	idleWait = 100 * time.Millisecond
	// abortPause is the first pause after a second abort in a row; it doubles up to abortPauseMax.
	abortPause, abortPauseMax = 10 * time.Millisecond, time.Second
	// stallPause is how long records wait before the schema registry is asked again.
	stallPause = time.Second
)

// run ends transactions until ctx ends or an error ends this client.
func (m *member) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if s := m.current(); s != nil {
			if err := s.await(ctx); err != nil || ctx.Err() != nil {
				return err
			}
		}
		if err := m.turn(ctx); err != nil {
			return err
		}
		if m.aborts > 1 {
			pause(ctx, min(abortPause<<min(m.aborts, 10), abortPauseMax))
		}
		if m.hold > 0 {
			pause(ctx, m.hold)
			m.hold = 0
		}
	}
	return nil
}

// transaction is what turn collects.
type transaction struct {
	s       *session
	open    bool // something was delivered to goka
	start   time.Time
	records int
}

// turn polls, delivers, and ends at most one transaction. A poll blocks rebalances until turn
// returns, so the assignment, the generation and all partitions stay as they are meanwhile.
func (m *member) turn(ctx context.Context) error {
	defer m.sess.AllowRebalance()
	var t transaction
	for {
		rushed := m.rush.Load()
		wait := m.patience(&t, rushed)
		if t.open && (wait <= 0 || t.records >= maxRecords) {
			break
		}
		fetches := m.poll(ctx, wait, maxRecords-t.records, rushed)
		if err := m.fetchErrors(fetches); err != nil {
			return m.giveUp(&t, err)
		}
		if !t.open {
			if t.s = m.current(); !t.s.usable() || t.s != m.seen {
				return m.putBack(t.s, fetches)
			}
		}
		if err := m.unframe(ctx, fetches); err != nil {
			return m.stall(&t, err)
		}
		if !m.deliver(&t, fetches) {
			return m.giveUp(&t, nil)
		}
		if ctx.Err() != nil {
			break
		}
		if !t.open && !m.wake(&t) {
			return nil
		}
	}
	if !t.open {
		return nil
	}
	return m.finish(&t)
}

// usable says that records can be delivered.
func (s *session) usable() bool {
	if s == nil {
		return false
	}
	select {
	case <-s.ready:
		return s.ctx.Err() == nil
	default:
		return false
	}
}

// patience is how long to wait for more records.
func (m *member) patience(t *transaction, rushed bool) time.Duration {
	if !t.open {
		if m.behind {
			return 0
		}
		return idleWait
	}
	end := t.start.Add(m.p.cfg.Interval)
	if early := m.lastEnd.Add(gap); rushed && t.records < full && early.Before(end) {
		end = early
	}
	return time.Until(end)
}

// poll waits for records; something urgent ends it early.
func (m *member) poll(ctx context.Context, wait time.Duration, most int, rushed bool) kgo.Fetches {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m.unpoll.Store(&cancel)
	if m.rush.Load() != rushed {
		cancel()
	}
	return m.sess.PollRecords(ctx, most)
}

// hurry is called in goka's goroutines when something urgent was emitted.
func (m *member) hurry() {
	if m.rush.CompareAndSwap(false, true) {
		if cancel := m.unpoll.Load(); cancel != nil {
			(*cancel)()
		}
	}
}

// deliver hands every fetched batch to goka. False means that goka's session ended.
func (m *member) deliver(t *transaction, fetches kgo.Fetches) bool {
	ok := true
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		part := m.p.partition(f.Partition)
		if len(f.Records) == 0 || !ok || part == nil {
			ok = ok && (len(f.Records) == 0 || part != nil)
			return
		}
		if !t.open {
			t.open, t.start = true, time.Now()
		}
		t.records += len(f.Records)
		last := f.Records[len(f.Records)-1].Offset
		ok = t.s.deliver(f.Topic, f.Partition, last, batch{part: part, input: m.p.input(f.Topic), records: f.Records})
	})
	return ok
}

// unframe takes the records out of the wire format of a schema registry. An error means that the
// registry does not answer; a record whose format is at fault says so itself.
func (m *member) unframe(ctx context.Context, fetches kgo.Fetches) (err error) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		i := m.p.input(f.Topic)
		if i < 0 || !m.p.def.Inputs[i].Framed {
			return
		}
		for _, r := range f.Records {
			if err != nil {
				return
			}
			if !r.Attrs.IsControl() {
				err = m.p.frames.Record(ctx, m.p.def.Inputs[i], r)
			}
		}
	})
	return err
}

// stall puts what was polled back, to come again after a while: nothing of it may be rejected while
// nobody can say what it is.
func (m *member) stall(t *transaction, err error) error {
	m.p.count.Stalls.Add(1)
	m.p.log.Warn("records wait", "err", err, "wait", stallPause)
	m.hold = stallPause
	if !t.open {
		return m.conclude(nil, kgo.TryAbort)
	}
	if !t.s.drain() {
		return m.giveUp(t, nil)
	}
	return m.conclude(t.s, kgo.TryAbort)
}

func (p *Processor) input(topic string) int {
	for i, in := range p.def.Inputs {
		if in.Name == topic {
			return i
		}
	}
	return -1
}

// putBack returns records to the log, to come again: their partitions are not set up yet, or the open
// transaction is of an earlier session. kgo refuses to commit one during which partitions were
// revoked, even if it was empty until then. This costs the brokers nothing.
func (m *member) putBack(s *session, fetches kgo.Fetches) error {
	if m.seen == s && fetches.NumRecords() == 0 {
		return nil
	}
	m.seen = s
	return m.conclude(nil, kgo.TryAbort)
}

// giveUp abandons the transaction with its client. Nothing of it was produced.
func (m *member) giveUp(t *transaction, err error) error {
	if t.open {
		t.s.cancel()
		<-t.s.done
		if err == nil {
			err = &lost{errors.Join(errHost, t.s.err)}
		}
	}
	return err
}

// wake delivers what is due, and says whether anything was. goka must have nothing under way.
func (m *member) wake(t *transaction) bool {
	m.behind = false
	if !m.p.def.Wakes {
		return false
	}
	for _, part := range t.s.tables() {
		limit := part.Time(m.readTo(part))
		if _, due := part.Due(limit); !due {
			m.lookIfLate(part)
			continue
		}
		if !t.s.deliverWakes(part, limit) {
			return true // drain tells what became of the session
		}
		if !t.open {
			t.open, t.start = true, time.Now()
		}
		m.behind = true
	}
	return m.behind
}

// lookIfLate asks where the inputs end when only the wall clock can be what a deadline waits for.
func (m *member) lookIfLate(part *table.Partition) {
	now := m.p.shared.Now().UnixMilli()
	if _, late := part.Due(now - table.Grace); late {
		m.look(now)
	}
}

// finish waits for goka and ends the transaction.
func (m *member) finish(t *transaction) error {
	if !t.s.drain() || m.wake(t) && !t.s.drain() {
		return m.giveUp(t, nil)
	}
	m.rush.Store(false)
	return m.commit(t.s)
}
