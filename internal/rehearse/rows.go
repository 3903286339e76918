package rehearse

import (
	"cmp"
	"container/heap"
)

// partition holds the rows of one partition and which of them are to be woken.
type partition struct {
	rows map[string]*stored
	wait deadlines
	// timeMS is the highest record time so far.
	timeMS int64
}

// stored is a row with its place among the deadlines.
type stored struct {
	key    string
	row    any
	wakeMS int64
	// at is the place in the heap; -1: none.
	at int
}

// due is the row with the earliest deadline not after upTo; nil: none.
func (p *partition) due(upTo int64) *stored {
	if len(p.wait) == 0 || p.wait[0].wakeMS > upTo {
		return nil
	}
	return p.wait[0]
}

// keep stores a row, nil for none any more, with its deadline, 0 for none.
func (p *partition) keep(r *stored, row any, wakeMS int64) {
	r.row, r.wakeMS = row, wakeMS
	if row == nil {
		delete(p.rows, r.key)
		wakeMS = 0
	} else {
		p.rows[r.key] = r
	}
	switch {
	case wakeMS == 0 && r.at >= 0:
		heap.Remove(&p.wait, r.at)
	case wakeMS != 0 && r.at >= 0:
		heap.Fix(&p.wait, r.at)
	case wakeMS != 0:
		heap.Push(&p.wait, r)
	}
}

// deadlines is a heap of rows, by deadline, then key.
type deadlines []*stored

// Len implements heap.Interface.
func (d deadlines) Len() int { return len(d) }

// Less implements heap.Interface.
func (d deadlines) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(d[i].wakeMS, d[j].wakeMS), cmp.Compare(d[i].key, d[j].key)) < 0
}

// Swap implements heap.Interface.
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].at, d[j].at = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	r := x.(*stored)
	r.at = len(*d)
	*d = append(*d, r)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	r := (*d)[last]
	r.at = -1
	(*d)[last] = nil
	*d = (*d)[:last]
	return r
}
