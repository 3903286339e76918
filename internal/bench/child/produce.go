package child

import (
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// FirstError keeps the first record that the brokers did not take. Its methods may be called by many
// goroutines; the zero value has seen none.
type FirstError struct{ first atomic.Pointer[error] }

// Produced is the promise of a record, for kgo.Client.Produce.
func (f *FirstError) Produced(r *kgo.Record, err error) {
	if err != nil {
		err = fmt.Errorf("produce to %s: %w", r.Topic, err)
		f.first.CompareAndSwap(nil, &err)
	}
}

// Get is the first error; nil: none so far.
func (f *FirstError) Get() error {
	if err := f.first.Load(); err != nil {
		return *err
	}
	return nil
}
