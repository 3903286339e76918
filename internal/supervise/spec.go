// Package supervise runs one process group of child processes: it starts them
// in dependency order, restarts the ones that die, and stops them in the
// reverse order. What enters is a list of Specs; what leaves are running
// processes, Events about them and a Children snapshot.
//
// No child outlives its supervisor, however that ends: a child holds the read
// end of a pipe whose only writer is the supervisor, and Child turns the end
// of that pipe into a closed channel.
package supervise

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Defaults for the zero values of a Spec.
const (
	DefaultStopTimeout  = 10 * time.Second
	DefaultReadyTimeout = 60 * time.Second
)

// Spec declares one child.
type Spec struct {
	// Name is what logs, errors and After call the child; unique in a run.
	Name string
	// Path is the program; Args are its arguments without the program's name.
	Path string
	Args []string
	// Env is added to the supervisor's own environment.
	Env []string
	// After names the children that must have been ready once before this one
	// starts, and that are stopped only after this one is gone.
	After []string
	// Log is the file that receives stdout and stderr, appended; it is put
	// aside as Log.1 at a start that finds it above 8 MiB. Empty means the
	// supervisor's stderr.
	Log string
	// StopTimeout is how long the child may take after SIGTERM, or after the
	// supervisor's death; then it is killed. Zero means DefaultStopTimeout.
	StopTimeout time.Duration
	// ReadyTimeout is how long the child may take until it reports ready.
	// Zero means DefaultReadyTimeout.
	ReadyTimeout time.Duration
}

// ChildState is a snapshot of one child.
type ChildState struct {
	Name string `json:"name"`
	// Pid is zero while no process runs.
	Pid   int  `json:"pid"`
	Ready bool `json:"ready"`
	// Restarts counts starts after the first.
	Restarts int `json:"restarts"`
	// Since is when the current process started; zero while none runs.
	Since time.Time `json:"since"`
	// Facts are what the child said with Child.Ready, kept until it says
	// something else, also across a restart.
	Facts map[string]string `json:"facts"`
}

// Kind says what an Event is about.
type Kind string

// The kinds of events, in the order a child's life has them.
const (
	Started  Kind = "started"
	Ready    Kind = "ready"
	Exited   Kind = "exited"   // not asked to; a restart follows after Event.Pause
	GaveUp   Kind = "gave up"  // never became ready; the whole run stops
	Stopping Kind = "stopping" // SIGTERM was sent
	Killed   Kind = "killed"   // did not end within its StopTimeout
	Stopped  Kind = "stopped"
)

// Event is one step in a child's life.
type Event struct {
	Child string
	Kind  Kind
	Pid   int
	// Pause is how long the supervisor waits before the restart (Exited).
	Pause time.Duration
	// Err says how the process ended (Exited) or why it was given up.
	Err error
}

func (s Spec) withDefaults() Spec {
	if s.StopTimeout <= 0 {
		s.StopTimeout = DefaultStopTimeout
	}
	if s.ReadyTimeout <= 0 {
		s.ReadyTimeout = DefaultReadyTimeout
	}
	return s
}

// validate reports every fault of the list, a circle among After included.
func validate(specs []Spec) error {
	var faults []error
	known := map[string]Spec{}
	for i, s := range specs {
		if s.Name == "" || s.Path == "" {
			faults = append(faults, fmt.Errorf("child %d: name and path are needed, got name %q, path %q", i, s.Name, s.Path))
			continue
		}
		if _, twice := known[s.Name]; twice {
			faults = append(faults, fmt.Errorf("child %s: declared twice", s.Name))
		}
		known[s.Name] = s
	}
	for _, s := range specs {
		for _, a := range s.After {
			if _, ok := known[a]; !ok {
				faults = append(faults, fmt.Errorf("child %s: starts after %q, which is not declared", s.Name, a))
			}
		}
	}
	for _, s := range specs {
		if reaches(known, s.Name, s.Name, nil) {
			faults = append(faults, fmt.Errorf("child %s: waits for itself through After", s.Name))
		}
	}
	return errors.Join(faults...)
}

// reaches says whether from leads to target over one or more After steps.
func reaches(known map[string]Spec, from, target string, seen []string) bool {
	for _, next := range known[from].After {
		if next == target {
			return true
		}
		if slices.Contains(seen, next) {
			continue
		}
		seen = append(seen, next)
		if reaches(known, next, target, seen) {
			return true
		}
	}
	return false
}
