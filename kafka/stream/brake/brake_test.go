package brake

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

var (
	start = time.Unix(1_800_000_000, 0)
	limit = Limit{Percent: 5, Records: 100}
)

func TestBrakeTripsWhenShareAndNumberArePassed(t *testing.T) {
	for _, c := range []struct {
		before, open Count
		trips        bool
	}{
		{Count{}, Count{Stepped: 100, Rejected: 100}, true},
		{Count{}, Count{Stepped: 99, Rejected: 99}, false},
		{Count{}, Count{Stepped: 2000, Rejected: 100}, false}, // 5 % is not above 5 %
		{Count{}, Count{Stepped: 1999, Rejected: 100}, true},
		{Count{Stepped: 50, Rejected: 50}, Count{Stepped: 50, Rejected: 50}, true},
		{Count{Stepped: 10_000}, Count{Stepped: 100, Rejected: 100}, false}, // good ones of before count
		{Count{Stepped: 1000, Rejected: 1000}, Count{Stepped: 500}, false},  // nothing rejected: goes on
	} {
		b := New(limit)
		b.Add(start, []Count{c.before})
		c.open.First = "in/0/7: why"
		err := b.Judge(start.Add(time.Second), []Count{{Partition: 3}, c.open})
		var tripped *Tripped
		if errors.As(err, &tripped) != c.trips {
			t.Errorf("%+v after %+v: %v", c.open, c.before, err)
		}
		if c.trips && (tripped.Rejected != c.before.Rejected+c.open.Rejected || tripped.Stepped != c.before.Stepped+c.open.Stepped) {
			t.Errorf("%+v after %+v: %+v", c.open, c.before, tripped)
		}
	}
}

func TestWordSaysWhatAndWhatToDo(t *testing.T) {
	err := New(limit).Judge(start, []Count{{Stepped: 400, Rejected: 137, First: "in/3/1234: undecodable"}})
	for _, want := range []string{"137 of 400", "34.2 %", "5 %", "in/3/1234: undecodable", "dwell dlq show", "--dead-letter-percent 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}

func TestZeroPercentNeverTrips(t *testing.T) {
	b := New(Limit{})
	all := Count{Stepped: 1 << 40, Rejected: 1 << 40}
	b.Add(start, []Count{all})
	if err := b.Judge(start, []Count{all}); err != nil || b.Note(start, all) != "" {
		t.Errorf("%v, note %q", err, b.Note(start, all))
	}
}

func TestWindowForgetsAfterAMinute(t *testing.T) {
	b, bad := New(limit), []Count{{Stepped: 60, Rejected: 60}}
	b.Add(start, bad)
	if err := b.Judge(start.Add(Window-slot), bad); err == nil {
		t.Error("forgotten within the window")
	}
	if err := b.Judge(start.Add(Window), bad); err != nil {
		t.Errorf("still known after the window: %v", err)
	}
}

// However often it is restarted, no more than the limit is let through in a minute.
func TestNotesCarryTheWindowOverARestart(t *testing.T) {
	open := Count{Partition: 2, Stepped: 60, Rejected: 60}
	old := New(limit)
	note := old.Note(start, open)
	old.Add(start, []Count{open})
	for _, c := range []struct {
		after time.Duration
		notes []string
		trips bool
	}{
		{5 * time.Second, []string{"", note}, true},
		{5 * time.Second, []string{note, old.Note(start, Count{Partition: 2})}, true},
		{Window, []string{note}, false},
		{0, []string{"member-1", ""}, false},
		{0, nil, false},
	} {
		b := New(limit)
		b.Resume(start.Add(c.after), map[int32][]string{2: c.notes})
		if err := b.Judge(start.Add(c.after), []Count{{Partition: 1, Stepped: 50, Rejected: 50}}); (err != nil) != c.trips {
			t.Errorf("%v after, notes %q: %v", c.after, c.notes, err)
		}
	}
	b := New(limit)
	b.Resume(start, map[int32][]string{2: {note}})
	b.Resume(start, map[int32][]string{3: nil}) // the partition went elsewhere
	if err := b.Judge(start, []Count{open}); err != nil {
		t.Errorf("a partition that is not ours counts: %v", err)
	}
	if New(limit).Note(start, Count{Stepped: 5}) != "" {
		t.Error("a note although nothing was rejected")
	}
}

func TestLimitIsValidated(t *testing.T) {
	for _, l := range []Limit{{}, limit, {0.1, 1}, {99.9, 1}} {
		if err := l.Validate(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
	for _, l := range []Limit{{-1, 100}, {100, 100}, {math.NaN(), 1}, {5, 0}} {
		if l.Validate() == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}

func FuzzNote(f *testing.F) {
	f.Add("dwell-rejected 1:2/3")
	f.Add("dwell-rejected 1:2/3 4:5/6 x")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parse(text) {
			if s.at < 0 || s.rejected < 0 || s.rejected > s.stepped {
				t.Fatalf("%q: %+v", text, s)
			}
		}
		b := New(limit)
		b.Resume(start, map[int32][]string{0: {text, fmt.Sprint(mark, " ", text)}})
		_ = b.Judge(start, []Count{{Stepped: 1, Rejected: 1}})
	})
}
