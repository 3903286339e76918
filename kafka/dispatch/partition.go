package dispatch

import (
	"container/list"
	"maps"
	"slices"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// task is one record of the actions' topic on its way through this process.
type task struct {
	action  *schemas.Action // nil for a record that is no action
	offset  int64
	expires time.Time
	tries   int
	// dropped: its partition went to another instance, which has the task from the log.
	dropped bool

	part     *partition
	inPart   *list.Element // nil once the record is finished
	line     *line
	inLine   *list.Element
	inAge    *list.Element // nil unless waiting
	deadline *entry[*task] // nil unless waiting
}

// partition knows which records of one partition are not finished, in offset order. What is
// finished behind an unfinished record is not remembered one by one: memory is bounded by what is
// unfinished.
type partition struct {
	open   list.List // of *task
	next   int64     // one behind the last record seen; 0: none was
	before memory    // what the predecessor finished
	// changes counts starts and ends; saved is the count at the last commit.
	changes, saved int
}

// mark is what is committed for a partition.
type mark struct {
	offset  int64
	meta    string
	changes int
}

func (p *partition) start(t *task) {
	t.part = p
	t.inPart = p.open.PushBack(t)
	p.pass(t.offset)
}

// pass takes note of a record that was read.
func (p *partition) pass(offset int64) {
	p.next = offset + 1
	p.changes++
	// A record before the commit means that the topic was made anew: its offsets mean others now.
	if offset < p.before.from || p.next >= p.before.horizon {
		p.before = memory{}
	}
}

// finish is idempotent.
func (p *partition) finish(t *task) {
	if t.inPart != nil {
		p.open.Remove(t.inPart)
		t.inPart = nil
		p.changes++
	}
}

// prefix is the offset before which every record is finished.
func (p *partition) prefix() int64 {
	if front := p.open.Front(); front != nil {
		return front.Value.(*task).offset
	}
	return p.next
}

func (p *partition) mark() mark {
	at := p.prefix()
	// What the predecessor finished beyond the last record read is still finished.
	horizon := max(p.next, p.before.horizon)
	return mark{at, encodeMemory(at, horizon, p.unfinished), p.changes}
}

// unfinished yields the offsets that are open, in order: first those read here.
func (p *partition) unfinished(yield func(int64) bool) {
	for e := p.open.Front(); e != nil; e = e.Next() {
		if !yield(e.Value.(*task).offset) {
			return
		}
	}
	for _, o := range slices.Sorted(maps.Keys(p.before.open)) {
		if o >= p.next && !yield(o) {
			return
		}
	}
}
