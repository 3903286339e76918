package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/guarantee"
	"github.com/dwellhq/dwell/kafka/stream/metrics"
	"github.com/dwellhq/dwell/kafka/stream/placement"
)

const (
	// startTime bounds taking over the transactional id; it waits for the last owner's transaction.
	startTime = 30 * time.Second
	// leaveTime bounds the good-bye to the group.
	leaveTime = 5 * time.Second
	// buffered bounds what a transaction has under way to the brokers; more makes it wait.
	bufferedRecords = 200_000
	bufferedBytes   = 128 << 20
)

// member is one client in the group: kgo's transactional session, and goka's session of the present
// assignment.
type member struct {
	p    *Processor
	h    sarama.ConsumerGroupHandler
	sess *guarantee.Session
	bal  *placement.Balancer

	mu   sync.Mutex
	cur  *session        // nil between assignments
	last <-chan struct{} // done of the newest session
	seen *session        // the one that the open transaction belongs to

	rush    atomic.Bool                        // something urgent was emitted in the open transaction
	unpoll  atomic.Pointer[context.CancelFunc] // ends the poll under way
	failure atomic.Pointer[produceError]       // the first of the open transaction
	written atomic.Int64                       // bytes of the open transaction
	lastEnd time.Time
	aborts  int           // in a row
	behind  bool          // the last transaction woke rows, and there may be more
	hold    time.Duration // wait so long before the next turn
	horizon horizon
}

// consume runs one client until ctx ends, it is lost, or the processor fails. It returns the id that
// the group knew it by.
func (p *Processor) consume(ctx context.Context, h sarama.ConsumerGroupHandler) (id string, err error) {
	m := &member{p: p, h: h, bal: placement.NewBalancer(p.cfg.Standbys, p.standby.Load().Claims)}
	opts, err := m.options()
	if err != nil {
		return "", err
	}
	numbers := p.count.Client()
	opts = append(opts, kgo.WithHooks(numbers, metrics.Seen{Note: func() { p.heard.Store(p.shared.Now().UnixMilli()) }}))
	if m.sess, err = guarantee.New(p.cfg.Guarantee, p.group, p.cfg.InstanceID, m.transactional(), opts); err != nil {
		return "", fmt.Errorf("kafka client: %w", err)
	}
	unwatch, err := p.count.Watch(numbers)
	if err != nil {
		m.close()
		return "", err
	}
	defer unwatch()
	hurry := m.hurry
	p.urgent.Store(&hurry)
	err = m.begin(ctx)
	if err == nil {
		err = m.run(ctx)
	}
	id, _ = m.sess.Client().GroupMetadata()
	m.close()
	if err == nil && !p.cfg.Stay && id != "" {
		p.leave(id)
	}
	return id, err
}

func (m *member) options() ([]kgo.Opt, error) {
	p := m.p
	opts, err := p.cfg.Kafka.Options(p.clientID())
	if err != nil {
		return nil, err
	}
	inputs := make([]string, len(p.def.Inputs))
	for i, in := range p.def.Inputs {
		inputs[i] = in.Name
	}
	return append(opts,
		kgo.RecordPartitioner(placement.Partitioner(p.pinned)),
		kgo.ProducerBatchMaxBytesFn(p.batchBytes),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerLinger(time.Millisecond),
		kgo.MaxBufferedRecords(bufferedRecords),
		kgo.MaxBufferedBytes(bufferedBytes),

		kgo.SessionTimeout(p.session),
		kgo.HeartbeatInterval(min(p.session/10, time.Second)),
		kgo.Balancers(m.bal, kgo.RangeBalancer()), // the latter for as long as the group has members that know no other
		kgo.ConsumeTopics(inputs...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),   // a position must be able to reach the end of a partition
		kgo.BlockRebalanceOnPoll(), // else records of one assignment reach the session of the next
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.revoked),
	), nil
}

// transactional are the options that transactions need.
func (m *member) transactional() []kgo.Opt {
	return []kgo.Opt{
		kgo.TransactionalID(m.p.transactionalID()),
		kgo.TransactionTimeout(m.p.cfg.TxnTimeout),
		// The brokers write a transaction's markers after they answered: the next one that comes
		// sooner asks again at once, not after the 20 ms that are the default.
		kgo.ConcurrentTransactionsBackoff(time.Millisecond),
	}
}

// begin takes the transactional id over, which aborts what a predecessor left open: recovery waits
// for that.
func (m *member) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := m.sess.Start(ctx); err != nil {
		return m.p.classify("take over transactional id "+m.p.transactionalID(), err)
	}
	if err := m.sess.Begin(); err != nil {
		return m.p.classify("begin a transaction", err)
	}
	return nil
}

// assigned is called by kgo, never while a poll blocks rebalances. The session runs beside, because
// recovery takes time and the group wants heartbeats.
func (m *member) assigned(_ context.Context, cl *kgo.Client, assigned map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cur != nil { // kgo tells of the first revocation since a transaction's end only
		m.cur.gone.Store(true)
		m.cur.cancel()
	}
	id, gen := cl.GroupMetadata()
	s := m.p.newSession(assigned, id, gen, m.last)
	m.cur, m.last = s, s.done
	m.p.standby.Load().Assign(s.partitions(), m.bal.Took(s.partitions()))
	go s.run(m.h) // close and revoked wait for it
}

// revoked is called by kgo, never while a poll blocks rebalances.
func (m *member) revoked(context.Context, *kgo.Client, map[string][]int32) { m.endSession() }

func (m *member) endSession() {
	s := m.current()
	if s == nil {
		return
	}
	s.gone.Store(true)
	s.cancel()
	<-s.done
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cur == s {
		m.cur = nil
	}
}

// current is the session of the present assignment, nil for none. After a poll it stays the same
// until AllowRebalance.
func (m *member) current() *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cur
}

func (m *member) close() {
	m.sess.AllowRebalance()
	m.endSession()
	m.sess.Close()
	m.endSession() // of what was assigned while we closed
	m.horizon.asking.Wait()
}

// leave takes the instance out of the group, so that others take over at once.
func (p *Processor) leave(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := p.admin.Leave(ctx, p.group, id, p.cfg.InstanceID); err != nil {
		p.log.Warn("others take over after the session timeout only", "timeout", p.session, "err", err)
	}
}

// fetchErrors returns the first error that ends this client, and logs those that pass.
func (m *member) fetchErrors(fetches kgo.Fetches) (err error) {
	fetches.EachError(func(topic string, partition int32, e error) {
		var session *kgo.ErrGroupSession
		switch {
		case errors.Is(e, context.DeadlineExceeded), errors.Is(e, context.Canceled), err != nil:
		case errors.Is(e, kgo.ErrClientClosed):
			err = &lost{e}
		case errors.As(e, &session):
			err = m.p.classify("join group "+m.p.group, e)
			if l := (*lost)(nil); errors.As(err, &l) && !errors.Is(e, kerr.InvalidSessionTimeout) { // kgo joins again by itself
				m.p.log.Warn("group session ended, joining again", "err", e)
				err = nil
			}
		case isAny(e, hopeless):
			err = m.p.classify(fmt.Sprintf("fetch %s/%d", topic, partition), e)
		default:
			m.p.log.Warn("fetch failed, trying again", "topic", topic, "partition", partition, "err", e)
		}
	})
	return err
}

// produceError says which record the brokers did not take.
type produceError struct {
	topic string
	key   string
	size  int
	err   error
}

// Error implements error.
func (e *produceError) Error() string {
	return fmt.Sprintf("produce %d bytes with key %q to %s: %v", e.size, e.key, e.topic, e.err)
}

// Unwrap gives errors.Is the cause.
func (e *produceError) Unwrap() error { return e.err }

// permanent says that the record would be refused again after an abort.
func (e *produceError) permanent() bool {
	return isAny(e.err, tooMuch) || isAny(e.err, hopeless) || errors.Is(e.err, kerr.PolicyViolation)
}
