package sinks

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestNothingIsWrittenBeforeItsIntent(t *testing.T) {
	p, _ := Resume(Confirmation{Offset: 10})
	p, err := p.Seal(Range{10, 19})
	if err != nil || p.Step() != Commit {
		t.Fatalf("step after seal = %s, %v", p.Step(), err)
	}
	if _, err := p.Acknowledge(Range{10, 19}); err == nil {
		t.Error("a range was acknowledged without intent")
	}
	if _, ok := p.Unwritten(); ok {
		t.Error("a range may be written without intent")
	}
	c := p.Commit()
	if s, _ := c.Intent.Encode(); c.Offset != 10 || s != "v1;pending=[10-19]" {
		t.Errorf("commit = %d %s", c.Offset, s)
	}
	p = p.Confirm(c)
	if r, ok := p.Unwritten(); !ok || r != (Range{10, 19}) || p.Step() != Write {
		t.Errorf("after the intent: %s %t %s", r, ok, p.Step())
	}
}

func TestOneCommitConfirmsAndIntends(t *testing.T) {
	p, _ := Resume(Confirmation{Offset: 101, Intent: Intent{[]Range{{101, 180}}}})
	p, err := p.Acknowledge(Range{101, 180})
	if err != nil {
		t.Fatal(err)
	}
	p, err = p.Seal(Range{182, 240})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Commit()
	if s, _ := c.Intent.Encode(); c.Offset != 182 || s != "v1;pending=[182-240]" {
		t.Errorf("commit = %d %s", c.Offset, s)
	}
}

func TestNothingIsConfirmedPastAnUnacknowledgedRange(t *testing.T) {
	p, _ := Resume(Confirmation{Offset: 1, Intent: Intent{[]Range{{1, 5}, {6, 9}}}})
	p, err := p.Acknowledge(Range{6, 9})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Commit()
	if s, _ := c.Intent.Encode(); c.Offset != 1 || s != "v1;pending=[1-5,6-9]" {
		t.Errorf("commit = %d %s", c.Offset, s)
	}
	if r, _ := p.Confirm(c).Unwritten(); r != (Range{1, 5}) {
		t.Errorf("next to write = %s", r)
	}
}

func TestResumeRefusesWhatLiesBeforeTheOffset(t *testing.T) {
	if _, err := Resume(Confirmation{Offset: 200, Intent: Intent{[]Range{{101, 180}}}}); err == nil {
		t.Error("resumed at 200 with 101-180 pending")
	}
}

func TestMarkersAreConfirmedToo(t *testing.T) {
	p, _ := Resume(Confirmation{Offset: 5})
	p = p.Skip(9)
	if c := p.Commit(); c.Offset != 9 || p.Step() != Wait {
		t.Errorf("commit = %d, step %s", c.Offset, p.Step())
	}
}

// log is the oracle's world: what survives a crash.
type world struct {
	records []bool // by offset; false: a transaction marker
	commit  Confirmation
	meta    string
	tokens  map[Range]bool // what the sink swallows
	landed  []int          // by offset
}

// owner is one life of a worker: it dies where crash says so.
func (w *world) owner(rt *rapid.T, crash func(where string) bool, life int) (done bool) {
	intent, err := ParseIntent(w.meta)
	if err != nil {
		rt.Fatalf("life %d: %v", life, err)
	}
	p, err := Resume(Confirmation{w.commit.Offset, intent})
	if err != nil {
		rt.Fatalf("life %d: %v", life, err)
	}
	position := p.Next()
	size := rapid.IntRange(1, 7)
	for {
		switch p.Step() {
		case Wait:
			for position < int64(len(w.records)) && !w.records[position] {
				position++
			}
			p = p.Skip(position)
			if position == int64(len(w.records)) {
				return true
			}
			r := Range{First: position, Last: position}
			for n := size.Draw(rt, "size"); n > 0 && position < int64(len(w.records)); position++ {
				if w.records[position] {
					r.Last = position
					n--
				}
			}
			if p, err = p.Seal(r); err != nil {
				rt.Fatal(err)
			}
		case Commit:
			c := p.Commit()
			if crash("before the commit") {
				return false
			}
			if w.meta, err = c.Intent.Encode(); err != nil {
				rt.Fatal(err)
			}
			w.commit = c
			if crash("after the commit") {
				return false
			}
			p = p.Confirm(c)
		case Write:
			r, _ := p.Unwritten()
			if crash("before the insert") {
				return false
			}
			w.insert(r)
			if crash("after the insert") {
				return false
			}
			if p, err = p.Acknowledge(r); err != nil {
				rt.Fatal(err)
			}
		}
	}
}

func (w *world) insert(r Range) {
	if w.tokens[r] {
		return
	}
	w.tokens[r] = true
	for o := r.First; o <= r.Last; o++ {
		if w.records[o] {
			w.landed[o]++
		}
	}
}

func TestEachRecordLandsOnceWhereverItCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{records: rapid.SliceOfN(rapid.Bool(), 0, 80).Draw(rt, "records"), tokens: map[Range]bool{}}
		w.landed = make([]int, len(w.records))
		crashes := rapid.IntRange(0, 30).Draw(rt, "crashes")
		for life := 0; ; life++ {
			left := -1
			if life < crashes {
				left = rapid.IntRange(0, 12).Draw(rt, fmt.Sprint("steps of life ", life))
			}
			if w.owner(rt, func(string) bool { left--; return left == -1 }, life) {
				break
			}
		}
		for o, data := range w.records {
			if want := map[bool]int{true: 1, false: 0}[data]; w.landed[o] != want {
				rt.Fatalf("offset %d landed %d times, want %d", o, w.landed[o], want)
			}
		}
	})
}
