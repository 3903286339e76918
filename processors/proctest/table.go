package proctest

import (
	"bytes"
	"slices"

	"github.com/dwellhq/dwell/processors"
)

// tables are other processors' rows, encoded, by table and key.
type tables []map[string][]byte

// Row implements processors.Tables.
func (t tables) Row(i int, key string) ([]byte, error) { return bytes.Clone(t[i][key]), nil }

// Put makes row the row of a key in another processor's table; it is in force at once.
func Put[T any](r *Run, table *processors.Table[T], key string, row T) {
	r.t.Helper()
	b, err := table.Append(nil, &row)
	if err != nil {
		r.t.Fatalf("proctest: %v", err)
	}
	r.tableOf(table)[key] = b
}

// Drop deletes the row of a key in another processor's table.
func Drop[T any](r *Run, table *processors.Table[T], key string) {
	r.t.Helper()
	delete(r.tableOf(table), key)
}

func (r *Run) tableOf(table processors.AnyTable) map[string][]byte {
	r.t.Helper()
	i := slices.IndexFunc(r.def.Tables, func(d processors.TableDef) bool { return d.AnyTable == table })
	if i < 0 {
		r.t.Fatalf("proctest: %s neither joins nor looks up that table", r.def.Name)
	}
	return r.tables[i]
}
