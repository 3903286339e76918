package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Rows lie under 'r'+key, offset and topic under 'm'. rowsEnd is the first key after all rows.
var (
	metaKey = []byte{'m'}
	rowsKey = []byte{'r'}
	rowsEnd = []byte{'s'}
)

// memTableBytes bounds what one partition buffers before it writes a file.
const memTableBytes = 8 << 20

// compactFrom is how many files of written rows may overlap before they are merged: a recovery then
// merges less than it writes. A row that is in no cache is looked for in each of them. From crowded on,
// writes wait.
const (
	compactFrom = 8
	crowded     = 4 * compactFrom
)

// filterBits are what a file keeps of each key to say, nearly always, that a row is not in it: one in a
// hundred is looked for in vain. Without them each row would be looked for in every file. pebble asks all
// files but those of the lowest level, where it takes a row to be.
const filterBits = 10

// Open opens or makes a store in a directory of its own. The block cache may be shared by many
// stores; nil means a small one. A directory whose files are damaged is emptied: the rows come back
// from the topic. A directory in use, by this process or another, is an error, and so is what the
// machine refuses, such as space. The log, unless nil, is told when a store that is open runs out of space:
// pebble ends the process then, and often cannot say why.
func Open(dir string, cache *pebble.Cache, log *slog.Logger) (*Store, error) {
	return openAt(dir, cache, log, time.Now())
}

func openAt(dir string, cache *pebble.Cache, log *slog.Logger, now time.Time) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d, err := openDisk(dir, cache, log)
	if err != nil {
		return nil, fmt.Errorf("open the local store %s: %w", dir, err)
	}
	s := &Store{rows: d, offset: none, behind: &behind{}, bulk: &bulk{most: bulkBytes}, ingest: d.ingest, close: d.shut, clear: d.wipe}
	meta, done, err := d.db.Get(metaKey)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return s, nil
	case err != nil:
		return nil, errors.Join(fmt.Errorf("read the offset of the local store %s: %w", dir, err), d.shut())
	}
	if topic, offset, written, ok := decodeMeta(meta); ok {
		s.topic, s.offset, s.stale = topic, offset, now.Sub(written) > remembered
	}
	return s, done.Close()
}

// disk is a pebble store and the lock of its directory, which is held from the first look to the last.
type disk struct {
	dir   string
	cache *pebble.Cache
	log   *slog.Logger
	lock  *pebble.Lock
	db    *pebble.DB
	// crowded is how many files may overlap until no more are ingested.
	crowded int32
	// damaged says that a block could not be read; pebble's own goroutines find that, too.
	damaged atomic.Bool
}

// openDisk empties a broken store, and nobody else's.
func openDisk(dir string, cache *pebble.Cache, log *slog.Logger) (*disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir, cache: cache, log: log, lock: lock, crowded: crowded}
	if err := removed(filepath.Join(dir, tableName)); err != nil { // a kill left it
		return nil, errors.Join(err, lock.Close())
	}
	if d.db, err = pebble.Open(dir, d.options()); damaged(err) {
		if err = empty(dir); err != nil {
			err = fmt.Errorf("empty the damaged directory: %w", err)
		} else {
			d.db, err = pebble.Open(dir, d.options())
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

func (d *disk) options() *pebble.Options {
	o := &pebble.Options{
		Cache:              d.cache,
		MemTableSize:       memTableBytes,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             quiet{},
		Lock:               d.lock, // the store has a share of its own
		FS:                 vfs.OnDiskFull(vfs.Default, d.full),

		L0CompactionThreshold: compactFrom,
		L0StopWritesThreshold: crowded,
		// A block that cannot be read comes back as an error; pebble would end the process.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) { d.damaged.Store(true) }},
	}
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(filterBits) // the other levels take it over
	return o
}

// full is called when a write finds no space, before it is tried once more.
func (d *disk) full() {
	d.log.Error(syscall.ENOSPC.Error(), "store", d.dir, "do", "free some: the worker ends, and goes on when it is started again")
}

// shut closes the store. One that turned out to be damaged is emptied: the next to open it would fail, too.
func (d *disk) shut() error {
	err := d.db.Close()
	if d.damaged.Load() {
		err = empty(d.dir) // what Close says of the damage is known
	}
	return errors.Join(err, d.lock.Close())
}

// Remove deletes a store with its directory. A directory in use is an error; one that is not there is
// none.
func Remove(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return fmt.Errorf("delete the local store %s: %w", dir, err)
	}
	err = empty(dir)
	if err = errors.Join(err, lock.Close()); err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return fmt.Errorf("delete the local store %s: %w", dir, err)
	}
	return nil
}

// damaged says whether the files are at fault. pebble marks few such errors: not a table of another
// size than its manifest says, nor one that is missing because the manifest lost its end. So it is
// whatever the operating system did not refuse.
func damaged(err error) bool {
	var errno syscall.Errno
	return err != nil && (errors.Is(err, os.ErrNotExist) || !errors.As(err, &errno))
}

// empty removes everything but the lock, which we hold.
func empty(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() == "LOCK" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// quiet drops pebble's notes on its own work; its failures come back as errors, too.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic("pebble: " + fmt.Sprintf(format, a...)) }

func (d *disk) get(key []byte) ([]byte, error) {
	v, done, err := d.db.Get(rowKey(make([]byte, 0, 64), key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, done.Close()
}

func (d *disk) apply(rows []Row, meta []byte) (err error) {
	b := d.db.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	var key []byte
	for _, row := range rows {
		key = rowKey(key[:0], row.Key)
		if row.Value == nil {
			err = b.Delete(key, nil)
		} else {
			err = b.Set(key, row.Value, nil)
		}
		if err != nil {
			return err
		}
	}
	if err := b.Set(metaKey, meta, nil); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync) // the write-ahead log keeps order: what a crash loses is a tail
}

func (d *disk) each(fn func(key, value []byte) error) (err error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: rowsKey, UpperBound: rowsEnd})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := fn(it.Key()[1:], v); err != nil {
			return err
		}
	}
	return it.Error()
}

func (d *disk) wipe(meta []byte) (err error) {
	b := d.db.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := errors.Join(b.DeleteRange(rowsKey, rowsEnd, nil), b.Set(metaKey, meta, nil)); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}

func rowKey(dst, key []byte) []byte { return append(append(dst, rowsKey...), key...) }
