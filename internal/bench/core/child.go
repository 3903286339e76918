package core

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"syscall"

	"github.com/dwellhq/dwell/embedded"
)

// brokerJob is the embedded Kafka, in a process of its own.
const brokerJob = "broker"

// Child does one job, given as JSON, for a measuring process: it answers each line on in with its
// figures on out, and ends in order when in does. The measuring process is told of a failure at once;
// Child returns it when in has ended. Only Run and Latency start children.
func Child(ctx context.Context, spec string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	say := &speaker{out: json.NewEncoder(out)}
	done := make(chan error, 1)
	go func() {
		err := j.work(ctx, say)
		if err != nil {
			err = errors.Join(err, say.say(message{Error: err.Error()}))
		}
		done <- err
	}()
	var lines error
	for marks := bufio.NewScanner(in); marks.Scan() && lines == nil; {
		lines = say.say(figures())
	}
	cancel()
	return errors.Join(<-done, lines)
}

func (j job) work(ctx context.Context, say *speaker) error {
	if j.Stack == brokerJob {
		return serve(ctx, say)
	}
	return j.run(ctx)
}

// serve is the embedded broker, in memory.
func serve(ctx context.Context, say *speaker) error {
	k, err := embedded.StartKafka(embedded.KafkaConfig{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	if err := say.say(message{Addrs: k.Addrs()}); err != nil {
		return errors.Join(err, k.Close())
	}
	<-ctx.Done()
	return k.Close()
}

// speaker writes messages, from two goroutines.
type speaker struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (s *speaker) say(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Encode(m); err != nil {
		return fmt.Errorf("answer the measuring process: %w", err)
	}
	return nil
}

// figures are what this process has used so far.
func figures() message {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for oneself
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return message{CPUNS: u.Utime.Nano() + u.Stime.Nano(), Allocs: &mem.Mallocs}
}
