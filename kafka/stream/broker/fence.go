package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fenceTime bounds the search for a dead instance's transactions.
const fenceTime = 10 * time.Second

// Fence aborts the transactions that dead instances left open on partitions of a table. Else a
// take-over waits until the broker times them out: until then rows and offsets stay undecided.
//
// It is safe: whoever has a transaction open on partitions that we own now is not their owner any
// more. Only transactional ids with the prefix are touched, and never own. Brokers that cannot tell
// leave us waiting, which is logged.
func (a *Admin) Fence(ctx context.Context, log *slog.Logger, table string, partitions []int32, prefix, own string) {
	ctx, cancel := context.WithTimeout(ctx, fenceTime)
	defer cancel()
	ids, err := a.openOn(ctx, table, partitions)
	if err != nil {
		log.Debug("cannot look for open transactions", "table", table, "err", err)
	}
	if len(ids) == 0 {
		return
	}
	open, err := a.adm.ListTransactions(ctx, ids, nil)
	if err != nil {
		log.Debug("cannot list open transactions", "table", table, "err", err)
	}
	for _, t := range open {
		if t.TxnID == own || !strings.HasPrefix(t.TxnID, prefix) {
			continue
		}
		start := time.Now()
		err := a.abort(ctx, t.TxnID)
		log.Info("aborted the transaction of a dead instance", "transactional_id", t.TxnID, "table", table, "took", time.Since(start), "err", err)
	}
}

// openOn returns the producers with a transaction open on partitions of a table.
func (a *Admin) openOn(ctx context.Context, table string, partitions []int32) ([]int64, error) {
	set := kadm.TopicsSet{}
	set.Add(table, partitions...)
	found, err := a.adm.DescribeProducers(ctx, set)
	seen := map[int64]bool{}
	var ids []int64
	found.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset >= 0 && !seen[p.ProducerID] {
			seen[p.ProducerID] = true
			ids = append(ids, p.ProducerID)
		}
	})
	return ids, err
}

// abort takes the id over, which aborts what it had open and shuts its last owner out.
func (a *Admin) abort(ctx context.Context, id string) error {
	cl, err := a.cfg.NewClient(a.id, kgo.TransactionalID(id))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, _, err = cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("take over transactional id %s: %w", id, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}
