package kafka

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwellhq/dwell/topics"
)

var words = topics.Stream[string]("words")

func newEmitter(w *world) *Emitter[string] {
	w.Helper()
	if err := Ensure(w.ctx, w.cfg, words.Spec); err != nil {
		w.Fatal(err)
	}
	e, err := NewEmitter(w.cfg, "test", words)
	if err != nil {
		w.Fatal(err)
	}
	return e
}

func TestCloseWaitsForWhatWasEmitted(t *testing.T) {
	w := newWorld(t)
	e := newEmitter(w)
	var held atomic.Int64
	for range 1000 {
		if err := e.Emit("acme/ann", "hello", func(err error) {
			if err == nil {
				held.Add(1)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil || held.Load() != 1000 {
		t.Errorf("Close: %v, %d of 1000 acknowledged", err, held.Load())
	}
	if err := e.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := e.EmitSync(w.ctx, "acme/ann", "late"); err == nil {
		t.Error("emitting after Close succeeded")
	}
}

func TestCloseEndsThoughTheBrokersAreGone(t *testing.T) {
	for _, known := range []bool{true, false} { // with and without a connection from before
		w := newWorld(t)
		e := newEmitter(w)
		if known {
			if err := e.EmitSync(w.ctx, "acme/ann", "before"); err != nil {
				t.Fatal(err)
			}
		}
		w.cluster.Close()
		var lost atomic.Int64
		for range 10 {
			if err := e.Emit("acme/ann", "never", func(err error) {
				if err != nil {
					lost.Add(1)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		e.patience = 300 * time.Millisecond
		done := make(chan error, 1)
		go func() { done <- e.Close() }()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "did not acknowledge 10 records") {
				t.Errorf("Close: %v", err)
			}
			if second := e.Close(); !errors.Is(second, err) {
				t.Errorf("second Close: %v", second)
			}
		case <-w.ctx.Done():
			t.Fatal("Close does not end")
		}
		if lost.Load() != 10 {
			t.Errorf("%d of 10 were told that they failed", lost.Load())
		}
	}
}
