package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// killBroker kills a broker with -9 and starts it again with its data. Where others carry on it comes
// back beside the next steps; there is one that is away at most.
func (t *torture) killBroker(ctx context.Context, s step) error {
	if err := t.allBrokers(); err != nil {
		return err
	}
	i := s.which % t.o.brokers
	if err := t.real.Kill(i); err != nil {
		return err
	}
	t.kills++
	t.away = make(chan error, 1)
	go func() { // allBrokers waits for it
		err := wait(ctx, s.hold)
		if err == nil {
			err = t.real.Start(ctx, i)
		}
		t.away <- err
	}()
	if t.o.brokers == 1 {
		return t.allBrokers()
	}
	return nil
}

// allBrokers waits for a killed broker to be back.
func (t *torture) allBrokers() error {
	if t.away == nil {
		return nil
	}
	err := <-t.away
	if t.away = nil; err != nil {
		return fmt.Errorf("start the killed broker: %w", err)
	}
	return nil
}

// pauseBrokers lets all brokers stand still for longer than the transaction timeout.
func (t *torture) pauseBrokers(ctx context.Context, s step) error {
	if err := t.allBrokers(); err != nil {
		return err
	}
	if err := t.nodes(syscall.SIGSTOP); err != nil {
		return err
	}
	err := wait(ctx, s.hold)
	if cerr := t.nodes(syscall.SIGCONT); cerr != nil { // before anything else: they cannot end while they stand still
		return cerr
	}
	return err
}

// takesNoRow is the size of a batch that no row fits in, while the 78 bytes of a transaction's marker
// do: a marker that the broker refuses itself (seen on 4.1.1) leaves the transaction open until the
// coordinator is started again.
const takesNoRow = "100"

// refuseRows makes the brokers refuse every row. All workers must end and say so; when the rows are
// welcome again they must go on as if nothing had been.
func (t *torture) refuseRows(ctx context.Context, s step) error {
	if err := errors.Join(t.allBrokers(), t.alter(ctx, kadm.SetConfig, takesNoRow)); err != nil {
		return err
	}
	var err error
	for _, w := range t.workers {
		if err = w.ends(ctx, patience, "MESSAGE_TOO_LARGE"); err != nil {
			break
		}
	}
	if rerr := t.alter(ctx, kadm.DeleteConfig, ""); rerr != nil {
		return rerr
	}
	if err != nil {
		return err
	}
	return wait(ctx, s.hold)
}

// alter changes the size that the brokers take in the tables. It tries again: a broker may be on its way
// back.
func (t *torture) alter(ctx context.Context, op kadm.IncrementalOp, value string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var rs kadm.AlterConfigsResponses
		rs, err = t.adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: "max.message.bytes", Value: &value}}, t.table(countName), t.table(idleName))
		for _, r := range rs {
			if err == nil {
				err = r.Err
			}
		}
		if err == nil {
			return nil
		}
		if wait(ctx, 200*time.Millisecond) != nil {
			return fmt.Errorf("change max.message.bytes of the tables: %w", err)
		}
	}
}
