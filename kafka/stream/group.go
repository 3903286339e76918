package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
)

// group is the sarama.ConsumerGroup that goka consumes from.
type group struct {
	p    *Processor
	errs chan error
}

func newGroup(p *Processor) *group { return &group{p: p, errs: make(chan error)} }

// lost is the end of a client, not of the processor: another client can go on.
type lost struct{ err error }

// Error implements error.
func (l *lost) Error() string { return l.err.Error() }

// Unwrap gives errors.Is the cause.
func (l *lost) Unwrap() error { return l.err }

const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 2 * time.Second
	// calm is how long a client must have lived for the next backoff to begin anew.
	calm = 30 * time.Second
	// setupTries is how often in a row partitions may fail to be set up.
	setupTries = 5
)

// Consume implements sarama.ConsumerGroup: it runs one client after the other until ctx ends or one
// fails for good. Unlike sarama's it does not return on a rebalance, after which goka would pause
// for 5 s. A client whose transaction timed out, for one, is dead: the brokers do not take it back.
func (g *group) Consume(ctx context.Context, _ []string, h sarama.ConsumerGroupHandler) error {
	backoff, setups := backoffMin, 0
	for {
		start := time.Now()
		member, err := g.p.consume(ctx, h)
		var l *lost
		switch {
		case err == nil && ctx.Err() != nil:
			return nil
		case !errors.As(err, &l):
			return g.p.fail(err)
		case time.Since(start) > calm:
			backoff, setups = backoffMin, 0
		}
		if errors.Is(err, errHost) {
			if setups++; setups >= setupTries {
				return g.p.fail(err)
			}
		}
		g.p.log.Warn("starting a new client", "err", err, "wait", backoff)
		if !pause(ctx, backoff) {
			return nil
		}
		backoff = min(2*backoff, backoffMax)
		if err := g.usurped(ctx, member); err != nil {
			return g.p.fail(err)
		}
	}
}

// usurped says whether another process has taken the instance's place meanwhile. It took the
// transactional id as well, which alone could also mean that a transaction timed out. Fighting for it
// would shut the other out in turn.
func (g *group) usurped(ctx context.Context, member string) error {
	holder, err := g.p.admin.Holder(ctx, g.p.group, g.p.cfg.InstanceID)
	if err != nil {
		g.p.log.Debug("cannot tell who holds our place in the group", "err", err)
	}
	if holder == "" || member == "" || holder == member {
		return nil
	}
	return g.p.classify("join group "+g.p.group, kerr.FencedInstanceID)
}

// Errors implements sarama.ConsumerGroup: there are none, Consume returns them.
func (g *group) Errors() <-chan error { return g.errs }

// Close implements sarama.ConsumerGroup.
func (g *group) Close() error {
	close(g.errs)
	return nil
}

// Pause implements sarama.ConsumerGroup. goka never asks.
func (g *group) Pause(map[string][]int32) {}

// Resume implements sarama.ConsumerGroup. goka never asks.
func (g *group) Resume(map[string][]int32) {}

// PauseAll implements sarama.ConsumerGroup. goka never asks.
func (g *group) PauseAll() {}

// ResumeAll implements sarama.ConsumerGroup. goka never asks.
func (g *group) ResumeAll() {}

// hopeless are the answers that no new client and no waiting would change.
var hopeless = []error{
	kerr.InvalidSessionTimeout, kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed,
	kerr.TransactionalIDAuthorizationFailed, kerr.InvalidGroupID, kerr.InconsistentGroupProtocol, kerr.InvalidTransactionTimeout,
	kerr.UnsupportedVersion, kerr.SaslAuthenticationFailed,
}

// tooMuch are the answers to a record that would come again after every abort.
var tooMuch = []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTopicException, kerr.InvalidTimestamp}

func isAny(err error, list []error) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// classify says whether another client could go on after err.
func (p *Processor) classify(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, err)
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		return fmt.Errorf("another process runs with instance id %q; every instance needs one of its own: %w", p.cfg.InstanceID, err)
	case errors.Is(err, kerr.InvalidSessionTimeout) && p.session == DefaultSessionTimeout:
		p.session = brokersSessionTimeout
		p.log.Warn("the brokers refuse a session timeout of 3 s: a take-over begins after 6 s; group.min.session.timeout.ms=3000 on the brokers makes it sooner")
		return &lost{err}
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return fmt.Errorf("the brokers refuse a session timeout of %v (group.min.session.timeout.ms is 6 s by default): %w", p.session, err)
	case isAny(err, hopeless):
		return err
	}
	return &lost{err}
}

// pause waits d; false means that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
