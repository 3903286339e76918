package supervise

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Supervisor runs one list of children. The zero value is ready for use; one
// Supervisor runs once.
type Supervisor struct {
	// Lock, when set, is inherited by every child, so that it is free only
	// when the supervisor and all children are gone.
	Lock *DirLock

	mu      sync.Mutex // guards keepers and, through it, every keeper's state
	keepers []*keeper

	eventMu sync.Mutex
	events  func(Event)
}

// Run starts the children in dependency order and keeps them running until ctx
// ends or one of them is given up; then it stops all in the reverse order and
// returns once every process is gone. An ordered end by ctx returns nil, also
// when a child had to be killed (an Event says so). A child that is given up
// gives an error with its name and the last lines of its log.
//
// events may be nil; calls come one at a time and must not block for long.
//
// A child is restarted when it dies, by whatever cause and with whatever exit
// status, after a pause of 100 ms that doubles up to 5 s and falls back once
// it was ready for 30 s. It is given up when it was never ready within its
// ReadyTimeout, or when it ended five times in a row before it was ready.
func (s *Supervisor) Run(ctx context.Context, specs []Spec, events func(Event)) error {
	if err := validate(specs); err != nil {
		return fmt.Errorf("supervise %d children: %w", len(specs), err)
	}
	keepers := s.prepare(specs, events)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	faults := make([]error, len(keepers))
	var wg sync.WaitGroup
	for i, k := range keepers {
		wg.Go(func() {
			defer close(k.gone)
			if faults[i] = k.run(ctx); faults[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(faults...)
}

func (s *Supervisor) prepare(specs []Spec, events func(Event)) []*keeper {
	s.events = events
	byName := map[string]*keeper{}
	var keepers []*keeper
	for _, spec := range specs {
		k := &keeper{
			spec:       spec.withDefaults(),
			sup:        s,
			firstReady: make(chan struct{}),
			gone:       make(chan struct{}),
			state:      ChildState{Name: spec.Name},
		}
		byName[spec.Name] = k
		keepers = append(keepers, k)
	}
	for _, k := range keepers {
		for _, a := range k.spec.After {
			k.needs = append(k.needs, byName[a])
			byName[a].neededBy = append(byName[a].neededBy, k)
		}
	}
	s.mu.Lock()
	s.keepers = keepers
	s.mu.Unlock()
	return keepers
}

// Children returns a snapshot of every child, in the order of the specs. It is
// empty before Run and safe to call from any goroutine.
func (s *Supervisor) Children() []ChildState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []ChildState
	for _, k := range s.keepers {
		c := k.state
		c.Facts = maps.Clone(c.Facts)
		out = append(out, c)
	}
	return out
}

func (s *Supervisor) emit(e Event) {
	if s.events == nil {
		return
	}
	s.eventMu.Lock()
	defer s.eventMu.Unlock()
	s.events(e)
}
