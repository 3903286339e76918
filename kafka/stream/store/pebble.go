package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
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

// Open opens or makes a store in a directory of its own. The block cache may be shared by many
// stores; nil means a small one. A directory whose files are damaged is emptied: the rows come back
// from the topic. A directory in use, by this process or another, is an error, and so is what the
// machine refuses, such as space.
func Open(dir string, cache *pebble.Cache) (*Store, error) {
	db, err := open(dir, cache)
	if err != nil {
		return nil, fmt.Errorf("open the local store %s: %w", dir, err)
	}
	s := &Store{rows: rowsDB{db}, offset: none, close: db.Close, clear: func(meta []byte) error { return wipe(db, meta) }}
	meta, done, err := db.Get(metaKey)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return s, nil
	case err != nil:
		return nil, errors.Join(fmt.Errorf("read the offset of the local store %s: %w", dir, err), db.Close())
	}
	if topic, offset, ok := decodeMeta(meta); ok {
		s.topic, s.offset = topic, offset
	}
	return s, done.Close()
}

// open holds the directory's lock from the first look to the last, so that nobody's store but a broken
// one is emptied.
func open(dir string, cache *pebble.Cache) (db *pebble.DB, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // an open store has a share of its own
	opts := &pebble.Options{
		Cache:              cache,
		MemTableSize:       memTableBytes,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             quiet{},
		Lock:               lock,
	}
	if db, err = pebble.Open(dir, opts); !damaged(err) {
		return db, err
	}
	if err := empty(dir); err != nil {
		return nil, fmt.Errorf("empty the damaged directory: %w", err)
	}
	return pebble.Open(dir, opts)
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

type rowsDB struct{ db *pebble.DB }

func (r rowsDB) get(key []byte) ([]byte, error) {
	v, done, err := r.db.Get(rowKey(make([]byte, 0, 64), key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, done.Close()
}

func (r rowsDB) apply(rows []Row, meta []byte) (err error) {
	b := r.db.NewBatch()
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

func (r rowsDB) each(fn func(key, value []byte) error) (err error) {
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: rowsKey, UpperBound: rowsEnd})
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

func wipe(db *pebble.DB, meta []byte) (err error) {
	b := db.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := errors.Join(b.DeleteRange(rowsKey, rowsEnd, nil), b.Set(metaKey, meta, nil)); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}

func rowKey(dst, key []byte) []byte { return append(append(dst, rowsKey...), key...) }
