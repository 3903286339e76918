package dispatch

import (
	"container/heap"
	"time"
)

// agenda holds values by the time at which they are due, earliest first; any can be taken out.
type agenda[T any] struct{ rows rows[T] }

// entry is a value's place in an agenda.
type entry[T any] struct {
	at    time.Time
	value T
	index int // in the heap
}

func (a *agenda[T]) add(at time.Time, v T) *entry[T] {
	e := &entry[T]{at: at, value: v}
	heap.Push(&a.rows, e)
	return e
}

func (a *agenda[T]) remove(e *entry[T]) { heap.Remove(&a.rows, e.index) }

// first is the earliest entry; nil for none.
func (a *agenda[T]) first() *entry[T] {
	if len(a.rows) == 0 {
		return nil
	}
	return a.rows[0]
}

// rows implements heap.Interface.
type rows[T any] []*entry[T]

func (r rows[T]) Len() int           { return len(r) }
func (r rows[T]) Less(i, j int) bool { return r[i].at.Before(r[j].at) }
func (r rows[T]) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].index, r[j].index = i, j
}

func (r *rows[T]) Push(x any) {
	e := x.(*entry[T])
	e.index = len(*r)
	*r = append(*r, e)
}

func (r *rows[T]) Pop() any {
	last := len(*r) - 1
	e := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	return e
}
