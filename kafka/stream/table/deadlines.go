package table

import (
	"cmp"
	"container/heap"
)

// deadlines is an index of committed deadlines, ordered by time, then key. It lives in memory and is
// rebuilt from the store.
type deadlines struct {
	heap  deadlineHeap
	byKey map[string]*deadlineItem
}

type deadline struct {
	ms  int64 // Unix
	key string
}

type deadlineItem struct {
	deadline
	at int // in the heap
}

// set moves a key's deadline; 0 removes it.
func (d *deadlines) set(key string, ms int64) {
	item := d.byKey[key]
	switch {
	case item == nil && ms == 0:
	case item == nil:
		if d.byKey == nil {
			d.byKey = map[string]*deadlineItem{}
		}
		item = &deadlineItem{deadline: deadline{ms, key}}
		d.byKey[key] = item
		heap.Push(&d.heap, item)
	case ms == 0:
		heap.Remove(&d.heap, item.at)
		delete(d.byKey, key)
	case ms != item.ms:
		item.ms = ms
		heap.Fix(&d.heap, item.at)
	}
}

// has says whether a key has a deadline.
func (d *deadlines) has(key []byte) bool {
	_, ok := d.byKey[string(key)]
	return ok
}

// first is the earliest deadline.
func (d *deadlines) first() (deadline, bool) {
	if len(d.heap) == 0 {
		return deadline{}, false
	}
	return d.heap[0].deadline, true
}

func (d *deadlines) len() int { return len(d.heap) }

// deadlineHeap implements heap.Interface.
type deadlineHeap []*deadlineItem

func (h deadlineHeap) Len() int { return len(h) }
func (h deadlineHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].ms, h[j].ms), cmp.Compare(h[i].key, h[j].key)) < 0
}

func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *deadlineHeap) Push(x any) {
	item := x.(*deadlineItem)
	item.at = len(*h)
	*h = append(*h, item)
}

func (h *deadlineHeap) Pop() any {
	last := len(*h) - 1
	item := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return item
}
