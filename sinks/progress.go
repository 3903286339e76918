package sinks

import "fmt"

// Phase of a range between its sealing and the commit that confirms it.
type Phase string

// The phases, in order.
const (
	// Sealed: its borders are fixed here, and nobody else knows them.
	Sealed Phase = "sealed"
	// Intended: the log says that it may be inserted.
	Intended Phase = "intended"
	// Written: the sink has acknowledged it.
	Written Phase = "written"
)

// Span is a range and its phase.
type Span struct {
	Range
	Phase Phase
}

// Step is what a partition's owner does next.
type Step string

// The steps. Order is what makes the protocol exact: no insert before its intent, no confirmation
// before the acknowledgement.
const (
	// Wait: nothing is under way.
	Wait Step = "wait"
	// Commit what Progress.Commit says.
	Commit Step = "commit"
	// Write the range that Progress.Unwritten says.
	Write Step = "write"
)

// Confirmation is one offset commit.
type Confirmation struct {
	// Offset is the first one that no acknowledged insert covers.
	Offset int64
	Intent Intent
}

// Progress is what the owner of a partition knows about it. It is a value: each method returns the
// next one and leaves its receiver as it was.
type Progress struct {
	committed int64 // the offset of the newest commit
	next      int64 // the first offset that no span covers
	spans     []Span
}

// Resume is the progress that a commit holds. The zero Confirmation is that of a new partition.
func Resume(c Confirmation) (Progress, error) {
	p := Progress{committed: c.Offset, next: c.Offset}
	for _, r := range c.Intent.Pending {
		var err error
		if p, err = p.add(Span{r, Intended}); err != nil {
			return Progress{}, fmt.Errorf("resume at offset %d: %w", c.Offset, err)
		}
	}
	return p, nil
}

// Next is the first offset that has not been sealed or skipped.
func (p Progress) Next() int64 { return p.next }

// Committed is the offset of the newest commit: all before it is in the sink.
func (p Progress) Committed() int64 { return p.committed }

// Spans are the ranges under way, in order. They are not to be changed.
func (p Progress) Spans() []Span { return p.spans }

// Seal adds a range behind all others.
func (p Progress) Seal(r Range) (Progress, error) { return p.add(Span{r, Sealed}) }

// Skip notes that there is no record before offset that a span does not cover: transaction markers
// and aborted records take offsets too.
func (p Progress) Skip(offset int64) Progress {
	p.next = max(p.next, offset)
	return p
}

// Step is what to do next. What is intended is written first: it may be in the sink by half.
func (p Progress) Step() Step {
	for _, s := range p.spans {
		if s.Phase == Intended {
			return Write
		}
	}
	if len(p.spans) > 0 {
		return Commit
	}
	return Wait
}

// Unwritten is the first range that may be written now.
func (p Progress) Unwritten() (Range, bool) {
	for _, s := range p.spans {
		if s.Phase == Intended {
			return s.Range, true
		}
	}
	return Range{}, false
}

// Acknowledge notes that the sink holds the range. Only an intended range can have been written.
func (p Progress) Acknowledge(r Range) (Progress, error) {
	spans := append([]Span(nil), p.spans...)
	for i, s := range spans {
		if s.Range == r && s.Phase == Intended {
			spans[i].Phase = Written
			p.spans = spans
			return p, nil
		}
	}
	return p, fmt.Errorf("acknowledge range %s: it was not intended", r)
}

// Commit is what a commit would say now: it intends what is sealed, and confirms up to the first
// range that is not acknowledged.
func (p Progress) Commit() Confirmation {
	c := Confirmation{Offset: p.next}
	for i, s := range p.spans {
		if s.Phase == Written {
			continue
		}
		c.Offset = s.First
		for _, s := range p.spans[i:] {
			// One written behind one that is not stays pending: its replay is swallowed.
			c.Intent.Pending = append(c.Intent.Pending, s.Range)
		}
		break
	}
	return c
}

// Confirm notes that c, which Commit returned, is in the log.
func (p Progress) Confirm(c Confirmation) Progress {
	intended := make(map[Range]bool, len(c.Intent.Pending))
	for _, r := range c.Intent.Pending {
		intended[r] = true
	}
	var spans []Span
	for _, s := range p.spans {
		if s.Phase == Written && s.Last < c.Offset {
			continue
		}
		if s.Phase == Sealed && intended[s.Range] {
			s.Phase = Intended
		}
		spans = append(spans, s)
	}
	p.committed, p.spans = c.Offset, spans
	return p
}

func (p Progress) add(s Span) (Progress, error) {
	if s.First < p.next || s.Last < s.First {
		return p, fmt.Errorf("range %s does not begin at or after %d", s.Range, p.next)
	}
	p.spans = append(append([]Span(nil), p.spans...), s)
	p.next = s.Last + 1
	return p, nil
}
