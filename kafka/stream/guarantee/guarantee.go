// Package guarantee is a processor's client in its group: it reads the inputs, writes rows and outputs,
// and commits how far the inputs were read, under one of two guarantees.
//
// With ExactlyOnce all of it is one Kafka transaction. With AtLeastOnce, for brokers without
// transactions, records are written idempotently and acknowledged by all in-sync replicas first, and
// the offsets of the finished prefix are committed afterwards: what comes between is done again after a
// crash, and nothing is passed over.
package guarantee

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Guarantee is how often a record counts.
type Guarantee string

// The guarantees. The empty one is ExactlyOnce.
const (
	ExactlyOnce Guarantee = "exactly-once"
	// AtLeastOnce loses nothing and may count a record again: after a crash or a take-over, those of
	// the last commit interval of the partitions concerned.
	AtLeastOnce Guarantee = "at-least-once"
)

// Validate refuses a word that is no guarantee.
func (g Guarantee) Validate() error {
	switch g {
	case "", ExactlyOnce, AtLeastOnce:
		return nil
	}
	return fmt.Errorf("guarantee: %q is neither %s nor %s", string(g), ExactlyOnce, AtLeastOnce)
}

// heartbeatTime bounds the question whether the group still knows us.
const heartbeatTime = 5 * time.Second

// Session is the client. Its methods belong to one goroutine, Client's aside.
type Session struct {
	txn *kgo.GroupTransactSession // nil for AtLeastOnce
	cl  *kgo.Client
	// group and instance are ours, for AtLeastOnce.
	group, instance string
	written         bool // something was produced since Begin
}

// New makes a client for a static member of a group; nothing is reached yet. transactional holds the
// options that ExactlyOnce needs besides opts.
func New(g Guarantee, group, instance string, transactional, opts []kgo.Opt) (*Session, error) {
	opts = append(opts, kgo.ConsumerGroup(group), kgo.InstanceID(instance))
	if g != AtLeastOnce {
		txn, err := kgo.NewGroupTransactSession(append(opts, transactional...)...)
		if err != nil {
			return nil, err
		}
		return &Session{txn: txn, cl: txn.Client()}, nil
	}
	cl, err := kgo.NewClient(append(opts, kgo.DisableAutoCommit())...) // acks=all and idempotence are kgo's defaults
	if err != nil {
		return nil, err
	}
	return &Session{cl: cl, group: group, instance: instance}, nil
}

// Client is the client itself. It may be used by many goroutines.
func (s *Session) Client() *kgo.Client { return s.cl }

// Exact says that the session is ExactlyOnce: what was produced can be taken back.
func (s *Session) Exact() bool { return s.txn != nil }

// Start gets the producer's id; for ExactlyOnce it takes the transactional id over, which aborts what
// a predecessor left open.
func (s *Session) Start(ctx context.Context) error {
	id, _, err := s.cl.ProducerID(ctx)
	if err == nil && s.txn != nil && id < 0 {
		err = kerr.UnsupportedVersion // kgo goes on without an id when the brokers know no such request
	}
	if err != nil && s.txn != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w; if these brokers have no transactions, run with --guarantee %s (DWELL_GUARANTEE), which may count a record again after a crash", err, AtLeastOnce)
	}
	return err
}

// Begin begins a transaction.
func (s *Session) Begin() error {
	s.written = false
	if s.txn != nil {
		return s.txn.Begin()
	}
	return nil
}

// PollRecords is kgo's. It blocks rebalances until AllowRebalance.
func (s *Session) PollRecords(ctx context.Context, most int) kgo.Fetches {
	return s.cl.PollRecords(ctx, most)
}

// AllowRebalance ends what PollRecords began.
func (s *Session) AllowRebalance() { s.cl.AllowRebalance() }

// Check must be called before the records of a transaction are produced. For AtLeastOnce it asks the
// group whether we are still its member, because nothing else would keep an instance that stood still
// for long from writing its old rows over its successor's. What happens between the question and the
// write is not guarded: that takes transactions.
func (s *Session) Check(ctx context.Context) error {
	s.written = true
	if s.txn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTime)
	defer cancel()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.InstanceID = s.group, &s.instance
	req.MemberID, req.Generation = s.cl.GroupMetadata()
	resp, err := req.RequestWith(ctx, s.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil && !errors.Is(err, kerr.RebalanceInProgress) { // the group waits for us
		return fmt.Errorf("ask group %s whether we are in it: %w", s.group, err)
	}
	return nil
}

// Produce is kgo's.
func (s *Session) Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	if s.txn != nil {
		s.txn.Produce(ctx, r, promise)
		return
	}
	s.cl.Produce(ctx, r, promise)
}

// ErrWritten is an abort that cannot take back what was produced: the state must be read anew.
var ErrWritten = errors.New("what was written stays: the guarantee is " + string(AtLeastOnce))

// End ends the transaction and says whether it was committed. All that was produced must have been
// acknowledged; everything polled must be finished, because that is what is committed. After an abort
// the client goes back to what was committed. note, unless nil, tells what to keep beside the offset of
// a partition; pin, unless nil, adds to a transaction that moves no offset what binds it to the group.
func (s *Session) End(ctx context.Context, want kgo.TransactionEndTry, note func(int32) *string, pin func(*kmsg.TxnOffsetCommitRequest) error) (bool, error) {
	if s.txn != nil {
		return s.txn.End(kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error {
			return prepare(req, note, pin)
		}), want)
	}
	if want == kgo.TryCommit {
		return true, s.commit(ctx, note)
	}
	s.cl.SetOffsets(s.cl.CommittedOffsets())
	if s.written {
		return false, ErrWritten
	}
	return false, nil
}

func prepare(req *kmsg.TxnOffsetCommitRequest, note func(int32) *string, pin func(*kmsg.TxnOffsetCommitRequest) error) error {
	if len(req.Topics) == 0 && pin != nil {
		if err := pin(req); err != nil {
			return err
		}
	}
	if note == nil {
		return nil
	}
	for _, t := range req.Topics {
		for i := range t.Partitions {
			t.Partitions[i].Metadata = note(t.Partitions[i].Partition)
		}
	}
	return nil
}

// commit commits the finished prefix: everything that was polled. The generation goes with it, so a
// group that has thrown us out refuses.
func (s *Session) commit(ctx context.Context, note func(int32) *string) (err error) {
	moved := s.cl.UncommittedOffsets()
	if len(moved) == 0 {
		return nil
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for _, t := range req.Topics {
			for i := range t.Partitions {
				if note != nil {
					t.Partitions[i].Metadata = note(t.Partitions[i].Partition)
				}
			}
		}
		return nil
	})
	s.cl.CommitOffsetsSync(ctx, moved, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, cause error) {
		if err = cause; err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if e := kerr.ErrorForCode(p.ErrorCode); e != nil {
					err = errors.Join(err, fmt.Errorf("topic %s partition %d: %w", t.Topic, p.Partition, e))
				}
			}
		}
	})
	if err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	return nil
}

// Close ends the client; rebalances that it held back go on.
func (s *Session) Close() {
	if s.txn != nil {
		s.txn.CloseAllowingRebalance()
		return
	}
	s.cl.CloseAllowingRebalance()
}
