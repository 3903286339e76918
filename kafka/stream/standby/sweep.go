package standby

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/kafka/stream/store"
)

// sweepEvery is how often we look for stores that nobody needs.
const sweepEvery = time.Minute

// stored are the partitions that have a local store on disk.
func (s *Set) stored() (numbers []int32) {
	if s.Dir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil { // none was made yet
		return nil
	}
	for _, e := range entries {
		n, err := strconv.ParseInt(e.Name(), 10, 32)
		if err == nil && n >= 0 && e.IsDir() && strconv.FormatInt(n, 10) == e.Name() {
			numbers = append(numbers, int32(n))
		}
	}
	return numbers
}

// Sweep drops the stores of partitions that this worker has neither owned nor stood by for since Keep
// before now. Run calls it once a minute.
func (s *Set) Sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.knows {
		return
	}
	for _, n := range s.stored() {
		if s.owned[n] || s.wanted[n] || s.copies[n] != nil {
			delete(s.unused, n)
			continue
		}
		since, known := s.unused[n]
		if !known {
			s.unused[n] = now
			continue
		}
		if now.Sub(since) < s.Keep {
			continue
		}
		delete(s.unused, n)
		err := s.discard(n)
		s.Log.Info("dropped a local store that is not needed any more", "topic", s.Topic, "partition", n, "err", err)
	}
}

// discard deletes a store. One that is open is left alone, which is an error.
func (s *Set) discard(number int32) error {
	if s.Dir == "" {
		return nil
	}
	return store.Remove(filepath.Join(s.Dir, strconv.Itoa(int(number))))
}
