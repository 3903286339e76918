package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/topics"
)

// verdict is what a run comes to. A wrong row is one that differs from what its user's input makes of
// it; lost and doubled are actions, dead letters, and input that the log lost or has twice.
type verdict struct {
	kills, wrong, lost, doubled int
	users, actions, records     int
	kept, written               int // records in the tables, after compaction and before
	died                        int // workers that ended by themselves, and had no reason to
	late                        int // deadlines that passed while a broker held the cancelling event back
}

// String is the last line.
func (v verdict) String() string {
	return fmt.Sprintf("torture: %d kills, %d wrong rows, %d lost, %d doubled", v.kills, v.wrong, v.lost, v.doubled)
}

func (v verdict) right() bool { return v.wrong == 0 && v.lost == 0 && v.doubled == 0 }

// merge adds another round's verdict.
func (v *verdict) merge(o verdict) {
	for _, s := range []struct {
		to *int
		n  int
	}{
		{&v.kills, o.kills},
		{&v.wrong, o.wrong},
		{&v.lost, o.lost},
		{&v.doubled, o.doubled},
		{&v.users, o.users},
		{&v.actions, o.actions},
		{&v.records, o.records},
		{&v.kept, o.kept},
		{&v.written, o.written},
		{&v.died, o.died},
		{&v.late, o.late},
	} {
		*s.to += s.n
	}
}

// once adds what was seen n times and must be there once.
func (v *verdict) once(n int) {
	switch {
	case n == 0:
		v.lost++
	case n > 1:
		v.doubled += n - 1
	}
}

// sighting is an input record as it lies in the log.
type sighting struct {
	id uint64
	ms int64
}

// expected is what the input makes of everything.
type expected struct {
	rows    map[string]found
	actions map[string]int        // user and campaign, or deadline: how often it was seen
	letters map[place]int         // the same of dead letters
	pulses  map[string][]sighting // in the log's order
}

// check compares the topics with the input. It explains the first differences.
func (t *torture) check(ctx context.Context) (v verdict, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
	defer cancel()
	e := expected{rows: map[string]found{}, actions: map[string]int{}, letters: map[place]int{}, pulses: map[string][]sighting{}}
	say := &few{out: t.o.out}
	counts, err := t.truth(ctx, countTopic, func(r *kgo.Record, ev event) { t.expectCount(&e, r, ev) }, say)
	v.add(counts)
	if err != nil {
		return v, err
	}
	pulses, err := t.truth(ctx, pulseTopic, func(r *kgo.Record, ev event) {
		e.pulses[string(r.Key)] = append(e.pulses[string(r.Key)], sighting{ev.ID, r.Timestamp.UnixMilli()})
	}, say)
	v.add(pulses)
	idle, strangers := map[string]map[int64]int{}, 0
	err = errors.Join(err,
		t.whole(ctx, topics.Actions.Name, func(r *kgo.Record) error {
			a, err := readAction(r.Value)
			if err != nil {
				return err
			}
			v.actions++
			switch key := a.user + " " + a.campaign; {
			case a.campaign == "idle":
				put(idle, a)
			case has(e.actions, key):
				e.actions[key]++
			default:
				say.of("action %s on nobody's account", key)
				strangers++
			}
			return nil
		}),
		t.whole(ctx, topics.DeadLetters.Name, func(r *kgo.Record) error {
			p, err := readLetter(r.Value)
			if err == nil && !has(e.letters, p) {
				say.of("dead letter of a good record %v", p)
				strangers++
				return nil
			}
			e.letters[p]++
			return err
		}))
	v.doubled += strangers
	exact(&v, say, "action", e.actions)
	exact(&v, say, "dead letter", e.letters)
	v.rows(t, ctx, say, countName, e.rows, &err)
	if t.o.stack != stackGoka {
		v.rows(t, ctx, say, idleName, t.expectIdle(&v, say, e.pulses, idle), &err)
	}
	return v, err
}

func (v *verdict) add(o verdict) {
	v.lost += o.lost
	v.doubled += o.doubled
	v.records += o.records
}

func has[K comparable](m map[K]int, k K) bool { _, ok := m[k]; return ok }

func put(m map[string]map[int64]int, a acted) {
	if m[a.user] == nil {
		m[a.user] = map[int64]int{}
	}
	m[a.user][a.decidedMS]++
}

func exact[K comparable](v *verdict, say *few, what string, seen map[K]int) {
	for k, n := range seen {
		if v.once(n); n != 1 {
			say.of("%s %v: %d times", what, k, n)
		}
	}
}

// truth reads an input as it lies in the log. What was acknowledged must be there, once; fn gets each
// in the log's order.
func (t *torture) truth(ctx context.Context, topic string, fn func(*kgo.Record, event), say *few) (v verdict, err error) {
	at := t.in.counts.known()
	if topic == pulseTopic {
		at = t.in.pulses.known()
	}
	seen := make([]uint8, len(at))
	err = t.whole(ctx, topic, func(r *kgo.Record) error {
		var ev event
		if err := json.Unmarshal(r.Value, &ev); err != nil {
			return err
		}
		if ev.ID == 0 || ev.ID > uint64(len(seen)) {
			return fmt.Errorf("event %d was never sent", ev.ID)
		}
		seen[ev.ID-1]++
		v.records++
		fn(r, ev)
		return nil
	})
	for i, n := range seen {
		if at[i] == 0 && n < 2 { // not acknowledged: both are right
			continue
		}
		if v.once(int(n)); n != 1 {
			say.of("input %s, event %d: %d times in the log", topic, i+1, n)
		}
	}
	return v, err
}

// expectCount is what one counted event must have done.
func (t *torture) expectCount(e *expected, r *kgo.Record, ev event) {
	key := string(r.Key)
	if ev.Fat != "" {
		e.letters[place{r.Topic, uint64(r.Partition), uint64(r.Offset)}] = 0
		return
	}
	row := e.rows[key]
	row.N, row.Sum, row.Last = row.N+1, row.Sum+ev.ID, ev.ID
	e.rows[key] = row
	if ev.ID%10 == 0 {
		e.actions[key+" tenth-"+fmt.Sprint(ev.ID)] = 0
	}
}

// rows compares a table with what must be in it.
func (v *verdict) rows(t *torture, ctx context.Context, say *few, name string, want map[string]found, errs *error) {
	got := map[string]found{}
	newest, ends := latest(got), map[int32]int{}
	if err := t.whole(ctx, t.table(name), func(r *kgo.Record) error {
		v.kept++
		ends[r.Partition] = int(r.Offset) + 1
		return newest(r)
	}); err != nil {
		*errs = errors.Join(*errs, err)
	}
	for _, end := range ends {
		v.written += end
	}
	v.users += len(want)
	for key, w := range want {
		if g := got[key]; g != w {
			v.wrong++
			say.of("%s, row of %s: %+v, must be %+v", name, key, g, w)
		}
		delete(got, key)
	}
	for key, g := range got {
		v.wrong++
		say.of("%s, row of %s, who sent nothing: %+v", name, key, g)
	}
}

// few says the first of many differences.
type few struct {
	out io.Writer
	n   int
}

func (f *few) of(format string, a ...any) {
	if f.n++; f.n <= 20 {
		fmt.Fprintf(f.out, "torture: "+format+"\n", a...)
	}
}

// notes is what stands before the last line.
func (t *torture) notes(v verdict, took time.Duration) {
	fmt.Fprintf(t.o.out, "torture: seed %d: %d rows, %d actions, %d records compared after %v; the tables kept %d of %d rows; %d workers ended by themselves, %d deadlines overtook a late event\n",
		t.o.seed, v.users, v.actions, v.records, took.Round(time.Second), v.kept, v.written, v.died, v.late)
	if len(t.skipped) > 0 {
		fmt.Fprintf(t.o.out, "torture: not run: %s\n", strings.Join(t.skipped, "; "))
	}
}
