package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// patience is how long anything may take that the workers must manage by themselves.
const patience = 90 * time.Second

// do runs one step. Afterwards everybody is meant to live, or to be on the way back.
func (t *torture) do(ctx context.Context, s step) error {
	if err := t.revive(); err != nil {
		return err
	}
	if s.progress || s.fault == refused || s.fault == fulldisk {
		if err := t.advance(ctx); err != nil {
			return err
		}
	}
	if err := wait(ctx, s.after); err != nil {
		return err
	}
	act := map[fault]func(context.Context, step) error{
		kill: t.killWorker, stop: t.stopWorker, broker: t.killBroker, pause: t.pauseBrokers, truncate: t.truncateStore,
		fulldisk: t.fillDisk, refused: t.refuseRows, timers: t.timersAlone, rebalance: t.leaveAndReturn,
	}[s.fault]
	if err := act(ctx, s); err != nil {
		return err
	}
	return t.revive()
}

func (t *torture) worker(s step) *workerProc { return t.workers[s.which%len(t.workers)] }

// killWorker kills a worker with -9.
func (t *torture) killWorker(ctx context.Context, s step) error {
	if t.worker(s).kill() {
		t.kills++
	}
	return wait(ctx, s.hold)
}

// stopWorker makes a zombie: it holds a batch, a transaction, a generation, and wakes up later.
func (t *torture) stopWorker(ctx context.Context, s step) error {
	w := t.worker(s)
	if err := w.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := wait(ctx, s.hold); err != nil {
		return err
	}
	return w.signal(syscall.SIGCONT)
}

// leaveAndReturn ends a worker in order: the group rebalances twice.
func (t *torture) leaveAndReturn(ctx context.Context, s step) error {
	if err := t.worker(s).leave(ctx); err != nil {
		return err
	}
	return wait(ctx, s.hold)
}

// timersAlone stops the input, twice, so that nothing but deadlines makes transactions, and then makes
// a zombie in their midst.
func (t *torture) timersAlone(ctx context.Context, s step) error {
	defer t.in.held.Store(false)
	for i := range 2 {
		t.in.held.Store(true)
		into := time.Duration(900+(s.draw>>(16*i))%1000) * time.Millisecond // deadlines fire from 1.7 s on
		if err := wait(ctx, into); err != nil {
			return err
		}
		s.which += i
		if err := t.stopWorker(ctx, s); err != nil {
			return err
		}
		t.in.held.Store(false)
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// advance waits until every group got ahead in every partition.
func (t *torture) advance(ctx context.Context) error {
	start := t.committed(ctx)
	limit := time.Now().Add(patience)
	for {
		now, stuck := t.committed(ctx), ""
		for _, in := range t.inputs() {
			for p := range int32(partitions) {
				at := spot{in.topic, p}
				if offset, told := now[at]; !told {
					stuck = fmt.Sprintf("%s/%d: the brokers do not tell its offset", in.topic, p)
				} else if offset <= start[at] {
					stuck = fmt.Sprintf("%s/%d, at offset %d", in.topic, p, offset)
				}
			}
		}
		if stuck == "" {
			return nil
		}
		if time.Now().After(limit) {
			said := t.ask(ctx)
			t.dump()
			return fmt.Errorf("nobody got ahead for %v in %s (%s); logs, the brokers' too, and the workers' goroutines in %s", patience, stuck, said, t.dir)
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		if err := t.revive(); err != nil {
			return err
		}
	}
}

// dump ends the workers with SIGQUIT: their logs say then what each goroutine was waiting for.
func (t *torture) dump() {
	for _, w := range t.workers {
		if w.cmd == nil || w.gone() {
			continue
		}
		if err := w.signal(syscall.SIGQUIT); err == nil {
			<-w.exited
		}
		w.kill()
	}
}

// ask says what the brokers answer when they are asked for the groups' offsets.
func (t *torture) ask(ctx context.Context) string {
	var said []string
	for _, in := range t.inputs() {
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		o, err := t.adm.FetchOffsets(one, t.group(in.name))
		cancel()
		said = append(said, fmt.Sprintf("%s: %d offsets, error %v", t.group(in.name), len(o[in.topic]), err))
	}
	return strings.Join(said, "; ")
}

// spot is a partition of a topic.
type spot struct {
	topic     string
	partition int32
}

// reads says which processor reads which topic.
type reads struct{ name, topic string }

func (t *torture) inputs() []reads {
	if t.o.stack == stackGoka {
		return []reads{{countName, countTopic}}
	}
	return []reads{{countName, countTopic}, {idleName, pulseTopic}}
}

// committed are the groups' offsets; what the brokers do not tell just now is missing.
func (t *torture) committed(ctx context.Context) map[spot]int64 {
	m := map[spot]int64{}
	for _, in := range t.inputs() {
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		o, err := t.adm.FetchOffsets(one, t.group(in.name))
		cancel()
		if err != nil {
			continue
		}
		for p, r := range o[in.topic] {
			m[spot{in.topic, p}] = r.At
		}
	}
	return m
}

// settle stops the input and waits until the groups read all of it and all deadlines passed; then the
// workers end in order.
func (t *torture) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	if err := errors.Join(t.allBrokers(), t.in.stop(ctx), t.revive()); err != nil {
		return err
	}
	if err := t.until(ctx, "the groups reach the end of the input", func() bool {
		ends, err := t.ends(ctx)
		if err != nil {
			return false
		}
		at := t.committed(ctx)
		for s, end := range ends {
			if at[s] < end {
				return false
			}
		}
		return true
	}); err != nil {
		return err
	}
	if t.o.stack != stackGoka {
		rows := t.reader(t.table(idleName))
		defer rows.close()
		idle := map[string]found{}
		if err := t.until(ctx, "all deadlines pass", func() bool {
			return rows.catchUp(ctx, latest(idle)) == nil && waiting(idle) == 0
		}); err != nil {
			return err
		}
	}
	for _, w := range t.workers {
		if err := w.leave(ctx); err != nil {
			return err
		}
	}
	return nil
}

func waiting(rows map[string]found) (n int) {
	for _, r := range rows {
		if r.wakeMS != 0 {
			n++
		}
	}
	return n
}

// until waits for a condition, and starts again who ended.
func (t *torture) until(ctx context.Context, what string, ok func() bool) error {
	for !ok() {
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("wait until %s: %w; logs in %s", what, err, t.dir)
		}
		if err := t.revive(); err != nil {
			return err
		}
	}
	return nil
}
