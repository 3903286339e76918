package journal

import (
	"cmp"
	"container/heap"
)

// agenda is the committed deadlines of a partition, by time, then key.
type agenda struct {
	heap appointments
	now  map[string]int64 // what holds; the heap may have older ones
}

type appointment struct {
	ms  int64 // Unix
	key string
}

// set moves a key's deadline; 0 removes it.
func (a *agenda) set(key string, ms int64) {
	switch {
	case ms == 0:
		delete(a.now, key)
	case a.now[key] != ms:
		a.now[key] = ms
		heap.Push(&a.heap, appointment{ms, key})
	}
}

// pop takes the earliest deadline that is not after upTo.
func (a *agenda) pop(upTo int64) (key string, ok bool) {
	for len(a.heap) > 0 && a.heap[0].ms <= upTo {
		first := heap.Pop(&a.heap).(appointment)
		if a.now[first.key] == first.ms {
			delete(a.now, first.key)
			return first.key, true
		}
	}
	return "", false
}

// appointments implements heap.Interface.
type appointments []appointment

func (h appointments) Len() int { return len(h) }
func (h appointments) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].ms, h[j].ms), cmp.Compare(h[i].key, h[j].key)) < 0
}
func (h appointments) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *appointments) Push(x any) { *h = append(*h, x.(appointment)) }

// Pop implements heap.Interface.
func (h *appointments) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
