package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// tableName is the file of a table until pebble takes it; it means nothing to pebble.
	tableName = "bulk"
	// tableBuffer is how much of a table is written at once.
	tableBuffer = 256 << 10
)

// ingest writes rows, sorted and each key once, and meta as one table. pebble takes the table when it is
// whole and on the disk, or not at all. The rows pass neither the write-ahead log nor a table in memory.
// All that we write has metaKey, so pebble sees that a table follows on the batches before it, and keeps
// their order, also when the process is killed.
func (d *disk) ingest(rows []Row, meta []byte) error {
	if d.db.Metrics().Levels[0].Sublevels >= d.crowded {
		return d.apply(rows, meta) // this waits until there are fewer, ingestion does not
	}
	path := filepath.Join(d.dir, tableName)
	if err := d.writeTable(path, rows, meta); err != nil {
		return errors.Join(fmt.Errorf("write a table: %w", err), removed(path))
	}
	return d.db.Ingest(context.Background(), []string{path})
}

func (d *disk) writeTable(path string, rows []Row, meta []byte) (err error) {
	f, err := vfs.Default.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	o := d.options()
	o.EnsureDefaults()
	t := sstable.NewWriter(&tableFile{f, bufio.NewWriterSize(f, tableBuffer)}, o.MakeWriterOptions(0, d.db.TableFormat()))
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.Set(metaKey, meta); err != nil { // it sorts before all rows
		return err
	}
	var key []byte
	for _, row := range rows {
		key = rowKey(key[:0], row.Key)
		if row.Value == nil {
			err = t.Delete(key)
		} else {
			err = t.Set(key, row.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removed deletes a table that pebble did not take.
func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// tableFile is an objstorage.Writable that writes few large pieces: pebble's own writes each block.
type tableFile struct {
	file vfs.File
	w    *bufio.Writer
}

func (t *tableFile) Write(p []byte) error {
	_, err := t.w.Write(p)
	return err
}

func (t *tableFile) Finish() error {
	err := t.w.Flush()
	if err == nil {
		err = t.file.Sync()
	}
	return errors.Join(err, t.file.Close())
}

func (t *tableFile) Abort() { _ = t.file.Close() } // the file is deleted next
