package edit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Of perRound events one is a tick, one a bet, the others views.
const perRound = 10

// load produces events at a steady rate until it is ended. Its figures are valid once done is closed.
type load struct {
	g    *ground
	once sync.Once
	quit chan struct{}
	done chan struct{}

	sent   int64
	took   time.Duration
	failed error
}

func (g *ground) load(ctx context.Context) *load {
	l := &load{g: g, quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.failed = l.run(ctx)
	}()
	return l
}

// end returns once the log has all events.
func (l *load) end() error {
	l.once.Do(func() { close(l.quit) })
	<-l.done
	if l.failed != nil {
		return fmt.Errorf("write the events: %w", l.failed)
	}
	return nil
}

// stop is end, and reports.
func (l *load) stop(r *Report) error {
	err := l.end()
	r.Events, r.Rate = l.sent, float64(l.sent)/max(l.took.Seconds(), 1e-3)
	return err
}

func (l *load) run(ctx context.Context) error {
	var failed child.FirstError
	random := rand.New(rand.NewPCG(3, 4))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for more := true; more; {
		select {
		case <-tick.C:
		case <-l.quit:
			more = false
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for due := int64(time.Since(began).Seconds() * float64(l.g.Rate)); l.sent < due; l.sent++ {
			rec, err := l.event(random, time.Now())
			if err != nil {
				return err
			}
			l.g.cl.Produce(ctx, rec, failed.Produced)
		}
	}
	l.took = time.Since(began)
	return errors.Join(l.g.cl.Flush(ctx), failed.Get())
}

func (l *load) event(random *rand.Rand, now time.Time) (*kgo.Record, error) {
	e := schemas.Event{
		Id: "e" + strconv.FormatInt(l.sent, 10), Tenant: tenant, UserId: "u" + strconv.Itoa(random.IntN(l.g.Users)), Type: "track", Name: "view",
		TimeMs: now.UnixMilli(), ReceivedMs: now.UnixMilli(), Properties: []byte(`{"n":` + strconv.Itoa(random.IntN(10)) + `}`), Source: "bench",
	}
	switch l.sent % perRound {
	case 0:
		e.Name = "tick"
	case 1:
		e.Name = "bet"
	}
	b, err := topics.Events.Codec.Append(nil, &e)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Id, err)
	}
	return &kgo.Record{Topic: topics.Events.Name, Key: []byte(e.Key()), Value: b, Timestamp: now}, nil
}
