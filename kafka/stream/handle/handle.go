// Package handle passes values of our own through interfaces that only take bytes: goka's messages.
package handle

import (
	"encoding/binary"
	"sync"
)

// Registry holds values until their handle is resolved. The zero value is ready; it may be used by
// many goroutines.
type Registry[T any] struct {
	mu   sync.Mutex
	last uint64
	held map[uint64]T
}

// Put keeps v and returns its handle.
func (r *Registry[T]) Put(v T) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = map[uint64]T{}
	}
	r.last++
	r.held[r.last] = v
	return binary.LittleEndian.AppendUint64(nil, r.last)
}

// Take returns the value of a handle, once; false means that it is unknown, taken or cleared.
func (r *Registry[T]) Take(handle []byte) (v T, ok bool) {
	if len(handle) != 8 {
		return v, false
	}
	id := binary.LittleEndian.Uint64(handle)
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok = r.held[id]
	delete(r.held, id)
	return v, ok
}

// Clear forgets every value; their handles are void.
func (r *Registry[T]) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.held)
}
