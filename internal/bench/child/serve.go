package child

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

// Serve is the child's side: it does work, answers each line on in with the process's figures on out,
// and ends the work in order when in does. The measuring process is told of a failure at once; Serve
// returns it when in has ended.
func Serve(ctx context.Context, in io.Reader, out io.Writer, work func(context.Context, *Speaker) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	say := &Speaker{out: json.NewEncoder(out)}
	done := make(chan error, 1)
	go func() {
		err := work(ctx, say)
		if err != nil {
			err = errors.Join(err, say.Say(Message{Error: err.Error()}))
		}
		done <- err
	}()
	var lines error
	for marks := bufio.NewScanner(in); marks.Scan() && lines == nil; {
		lines = say.Say(figures())
	}
	cancel()
	return errors.Join(<-done, lines)
}

// Embedded is the work of a child that is the embedded broker, in memory, until ctx ends.
func Embedded(ctx context.Context, say *Speaker) error {
	k, err := embedded.StartKafka(embedded.KafkaConfig{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	if err := say.Say(Message{Addrs: k.Addrs()}); err != nil {
		return errors.Join(err, k.Close())
	}
	<-ctx.Done()
	return k.Close()
}

// Speaker writes messages to the measuring process; any goroutine may.
type Speaker struct {
	mu  sync.Mutex
	out *json.Encoder
}

// Say writes one message.
func (s *Speaker) Say(m Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Encode(m); err != nil {
		return fmt.Errorf("answer the measuring process: %w", err)
	}
	return nil
}

// figures are what this process has used so far.
func figures() Message {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for oneself
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return Message{CPUNS: u.Utime.Nano() + u.Stime.Nano(), Allocs: &mem.Mallocs}
}
