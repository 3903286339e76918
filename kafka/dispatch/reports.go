package dispatch

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const (
	// maxReports bounds the reports that no broker has confirmed; nothing new is begun beyond it.
	// It is well below what a producer buffers, so that emitting never blocks.
	maxReports = 10_000
	// maxErrorBytes bounds Delivery.Error.
	maxErrorBytes = 500
	// reportTimeout is after how long an unconfirmed report is emitted anew.
	reportTimeout = 30 * time.Second
	// reportPause is the least time between two attempts at the same reports.
	reportPause = time.Second
)

// reports writes what became of actions, and knows what of it is not in the log yet.
type reports struct {
	deliveries *kafka.Emitter[*schemas.Delivery]
	letters    *kafka.Emitter[*schemas.DeadLetter]
	log        *slog.Logger
	// done runs, from another goroutine, once the report of a task is in the log.
	done func(*task)

	pending sync.WaitGroup // one for each emission without an answer
	mu      sync.Mutex
	open    int
	failed  []report
	retryAt time.Time
	closed  bool
}

// report is one record about a task.
type report struct {
	task     *task
	key      string
	delivery *schemas.Delivery
	letter   *schemas.DeadLetter // instead of a delivery
}

func newReports(cfg kafka.Config, log *slog.Logger, done func(*task)) (*reports, error) {
	cfg.Extra = append([]kgo.Opt{kgo.RecordDeliveryTimeout(reportTimeout)}, cfg.Extra...)
	deliveries, err := kafka.NewEmitter(cfg, "dwell-engager", topics.Deliveries)
	if err != nil {
		return nil, err
	}
	letters, err := kafka.NewEmitter(cfg, "dwell-engager", topics.DeadLetters)
	if err != nil {
		return nil, errors.Join(err, deliveries.Close())
	}
	return &reports{deliveries: deliveries, letters: letters, log: log, done: done}, nil
}

// room is how many more reports may be begun.
func (r *reports) room() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, maxReports-r.open)
}

// send emits a report and calls done once it is in the log, however often that must be tried.
func (r *reports) send(rep report) {
	r.mu.Lock()
	r.open++
	r.mu.Unlock()
	r.emit(rep)
}

func (r *reports) emit(rep report) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return // the record stays uncommitted
	}
	r.pending.Add(1)
	r.mu.Unlock()
	answer := func(err error) {
		defer r.pending.Done()
		r.answer(rep, err)
	}
	var err error
	if rep.letter != nil {
		err = r.letters.Emit(rep.key, rep.letter, answer)
	} else {
		err = r.deliveries.Emit(rep.key, rep.delivery, answer)
	}
	if err != nil {
		answer(err)
	}
}

func (r *reports) answer(rep report, err error) {
	if err != nil {
		r.log.Warn("report what became of an action: trying again", "key", rep.key, "partition_offset", rep.task.offset, "err", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failed = append(r.failed, rep)
		return
	}
	r.mu.Lock()
	r.open--
	r.mu.Unlock()
	r.done(rep.task)
}

// retry emits anew what failed, at most once a second.
func (r *reports) retry(now time.Time) {
	r.mu.Lock()
	if len(r.failed) == 0 || now.Before(r.retryAt) {
		r.mu.Unlock()
		return
	}
	again := r.failed
	r.failed, r.retryAt = nil, now.Add(reportPause)
	r.mu.Unlock()
	for _, rep := range again {
		r.emit(rep)
	}
}

// close waits until what was emitted is in the log or has failed, and begins nothing more.
func (r *reports) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	err := errors.Join(r.deliveries.Close(), r.letters.Close())
	r.pending.Wait()
	if err != nil {
		return fmt.Errorf("flush deliveries: %w", err)
	}
	return nil
}

// delivery is the record that says what became of t.
func delivery(a *schemas.Action, status string, cause error, now time.Time) *schemas.Delivery {
	d := &schemas.Delivery{
		ActionId: a.Id, Tenant: a.Tenant, User: a.User, Campaign: a.Campaign, Channel: a.Channel, Status: status,
		TimeMs: now.UnixMilli(), MatchId: a.MatchId, Version: a.Version, Variant: a.Variant,
	}
	if cause != nil {
		text := cause.Error()
		d.Error = strings.ToValidUTF8(text[:min(len(text), maxErrorBytes)], "")
	}
	return d
}
