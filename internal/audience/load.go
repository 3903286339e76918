package audience

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/kafka"
	book "github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Load is one load of an uploaded audience.
type Load struct {
	Cluster      kafka.Config
	Tenant, Name string
	// Resume goes on with a load that was interrupted: Version is what that one wrote, After the line up
	// to which brokers have it. Zero: a load from the start, with a version of its own.
	Version, After int64
	// SkipBad makes the version current although lines named no member.
	SkipBad bool
	// Tell hears how far it is, now and then, in one goroutine; nil: nobody does.
	Tell func(Progress)

	// flush is flushEvery, in tests less; zero means flushEvery.
	flush int64
}

// Progress says how far a load is.
type Progress struct {
	// Phase: Writing, Reading (by the workers) or Switching.
	Phase   string
	Version int64
	// Line up to which all brokers hold the members: where a resumed load goes on.
	Line int64
	// Members that were written, Bad lines that were not.
	Members, Bad int64
	// Behind is how many records of the topic the workers still have to commit, in phase Reading.
	Behind int64
}

// The phases of a load.
const (
	Writing   = "writing"
	Reading   = "reading"
	Switching = "switching"
)

// List says what is current of an uploaded audience.
type List struct {
	Version int64 `json:"version"`
	// Members are the lines that were written; a user who stands there twice is counted twice.
	Members int64     `json:"members"`
	File    string    `json:"file"`
	Loaded  time.Time `json:"loaded"`
	// Bad lines were left out.
	Bad int64 `json:"bad,omitempty"`
}

// flushEvery is after how many members a load waits for the brokers: so much is written once more by a
// resumed load, and so much is under way at most.
const flushEvery = 100_000

// maxNamed is how many bad lines an error names.
const maxNamed = 20

// ErrBadLines says that lines named no member; nothing was switched.
var ErrBadLines = errors.New("lines name no member")

// Run reads members from a CSV file, plain or gzip, and writes them under a new version. Once the
// brokers hold them all and every worker has committed them, one declaration makes that version
// current, for all users at once; who is not in the file is out without a record. Members are written
// again by a second run, which changes nothing: a load may be repeated and resumed. Its memory is
// bounded by flushEvery members.
func (l Load) Run(ctx context.Context, file string, in io.Reader) (*List, error) {
	name := filepath.Base(file)
	now, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	if l.Version == 0 {
		l.Version = max(time.Now().UnixMilli(), now+1)
	}
	w := &writer{load: l}
	if err := w.write(ctx, name, in); err != nil {
		return nil, err
	}
	if err := l.wait(ctx, w.progress); err != nil {
		return nil, err
	}
	w.tell(Switching)
	list := &List{Version: l.Version, Members: w.progress.Members, File: name, Loaded: time.Now().UTC(), Bad: w.progress.Bad}
	return list, l.publish(ctx, list)
}

// begin checks that there is such a list and returns its current version, 0 for none.
func (l Load) begin(ctx context.Context) (int64, error) {
	all, err := Lists(ctx, l.Cluster, l.Tenant)
	if err != nil {
		return 0, err
	}
	for _, a := range all {
		switch {
		case a.Name != l.Name:
		case !a.Uploaded:
			return 0, fmt.Errorf("audience %s goes by a rule: its members cannot be loaded", l.Name)
		case l.Version != 0 && l.Version <= a.Current.Version:
			return 0, fmt.Errorf("audience %s: version %d is over, %d is current; load the file from its start", l.Name, l.Version, a.Current.Version)
		default:
			return a.Current.Version, nil
		}
	}
	return 0, fmt.Errorf("tenant %s has no audience %q; apply one first:\napiVersion: dwell/v1\nkind: %s\nmetadata: {name: %s}\nspec: {list: true}", l.Tenant, l.Name, campaign.AudienceKind, l.Name)
}

// publish makes the version current, unless a newer one is.
func (l Load) publish(ctx context.Context, list *List) error {
	source, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("declare the list %s: %w", l.Name, err)
	}
	d := &schemas.Declaration{
		Kind: book.ListKind, Tenant: l.Tenant, Name: l.Name, Version: strconv.FormatInt(list.Version, 10), Source: source, AppliedMs: list.Loaded.UnixMilli(), File: list.File,
	}
	return declare.Put(ctx, l.Cluster, d, func(now *schemas.Declaration) error {
		if newer, _ := strconv.ParseInt(now.GetVersion(), 10, 64); newer >= list.Version {
			return fmt.Errorf("audience %s: another load made version %d current meanwhile", l.Name, newer)
		}
		return nil
	})
}

// wait returns once every worker has committed what lies in the topic now.
func (l Load) wait(ctx context.Context, p Progress) error {
	ends, err := kafka.Ends(ctx, l.Cluster, topics.Members.Spec)
	if err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		behind, err := kafka.Behind(ctx, l.Cluster, "engage", topics.Members.Spec, ends)
		if err != nil {
			return err
		}
		if behind == 0 {
			return nil
		}
		p.Phase, p.Behind = Reading, behind
		if l.Tell != nil {
			l.Tell(p)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("audience %s: the workers have %d records to read yet, version %d is not current: %w", l.Name, behind, l.Version, context.Cause(ctx))
		}
	}
}

// writer writes the members of a load.
type writer struct {
	load     Load
	out      *kafka.Emitter[*schemas.Member]
	progress Progress
	bad      []error
	// open are records that are under way.
	open   sync.WaitGroup
	failed atomic.Pointer[error]
}

func (w *writer) tell(phase string) {
	w.progress.Phase, w.progress.Version = phase, w.load.Version
	if w.load.Tell != nil {
		w.load.Tell(w.progress)
	}
}

// write writes all lines; its error says where to go on.
func (w *writer) write(ctx context.Context, name string, in io.Reader) (err error) {
	if w.out, err = kafka.NewEmitter(w.load.Cluster, "dwell-audience", topics.Members); err != nil {
		return err
	}
	w.progress.Line = w.load.After
	last := w.load.After
	err = readLines(name, in, func(line int64, user string) error {
		last = max(last, line)
		return w.member(ctx, line, user)
	}, func(b Bad) error {
		if w.progress.Bad++; len(w.bad) < maxNamed {
			w.bad = append(w.bad, b)
		}
		return ctx.Err()
	})
	if err == nil {
		err = w.flush(last)
	}
	if err = errors.Join(err, w.out.Close()); err != nil {
		return fmt.Errorf("audience %s: %w\nto go on from there: --resume %d:%d", w.load.Name, err, w.load.Version, w.progress.Line)
	}
	if n := w.progress.Bad; n > 0 && !w.load.SkipBad {
		return fmt.Errorf("audience %s: %d %w, so version %d does not become current; mend them, or leave them out with --skip-bad:\n%w",
			w.load.Name, n, ErrBadLines, w.load.Version, errors.Join(w.bad...))
	}
	if w.progress.Members == 0 {
		return fmt.Errorf("audience %s: %s names no member; to empty the audience: dwell audience drop %s", w.load.Name, name, w.load.Name)
	}
	return nil
}

func (w *writer) member(ctx context.Context, line int64, user string) error {
	if line <= w.load.After { // the brokers have it
		w.progress.Members++
		return ctx.Err()
	}
	m := &schemas.Member{Tenant: w.load.Tenant, User: user, Audience: w.load.Name, Version: w.load.Version}
	w.open.Add(1)
	err := w.out.Emit(schemas.Key(m.Tenant, m.User), m, func(err error) {
		if err != nil {
			w.failed.CompareAndSwap(nil, &err)
		}
		w.open.Done()
	})
	if err != nil {
		w.open.Done()
		return err
	}
	if w.progress.Members++; w.progress.Members%cmp.Or(w.load.flush, flushEvery) == 0 {
		return errors.Join(w.flush(line), ctx.Err())
	}
	return ctx.Err()
}

// flush returns once the brokers hold all members up to a line.
func (w *writer) flush(line int64) error {
	w.open.Wait()
	if err := w.failed.Load(); err != nil {
		return *err
	}
	w.progress.Line = line
	w.tell(Writing)
	return nil
}
