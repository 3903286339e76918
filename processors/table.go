package processors

import (
	"fmt"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Table names the rows of another processor, to be joined or looked up: what its group has committed,
// as far as this worker has read it. That is a moment behind, and the same for all records of a batch.
// It is declared once, as a variable, and used by its pointer.
type Table[T any] struct {
	// Processor whose rows they are.
	Processor string
	// Row decodes T as that processor encodes it; nil means JSON.
	Row schemas.Codec[*T]
	// MaxRowBytes is what that processor declares; zero means 256 KiB. It matters where this worker is
	// the one that makes the topic.
	MaxRowBytes int
}

// AnyTable is a Table of any type.
type AnyTable interface {
	processor() string
	maxRowBytes() int
}

func (t *Table[T]) processor() string { return t.Processor }
func (t *Table[T]) maxRowBytes() int  { return t.MaxRowBytes }

// Append appends the encoding of a row to dst, as the other processor's table has it, without a
// deadline. It is for tests.
func (t *Table[T]) Append(dst []byte, row *T) ([]byte, error) {
	state, err := codecOr(t.Row).Append(nil, row)
	if err != nil {
		return dst, fmt.Errorf("row of %s: %w", t.Processor, err)
	}
	return schemas.Proto[schemas.Row, *schemas.Row]{}.Append(dst, &schemas.Row{State: state})
}

// decode returns the state in an encoded row; nil for no row.
func (t *Table[T]) decode(b []byte) (*T, error) {
	if b == nil {
		return nil, nil
	}
	var e schemas.Row
	if err := e.UnmarshalVTUnsafe(b); err != nil { // the codec copies what it keeps
		return nil, fmt.Errorf("%w: %w", schemas.ErrUndecodable, err)
	}
	return codecOr(t.Row).Decode(e.State)
}

func codecOr[T any](c schemas.Codec[*T]) schemas.Codec[*T] {
	if c == nil {
		return schemas.JSON[*T]{}
	}
	return c
}

// TableDef is one joined or looked-up table.
type TableDef struct {
	AnyTable
	// Whole says that every worker keeps all partitions, for Lookup; else it keeps those that it also
	// has of the inputs, for Join.
	Whole bool
}

// Topic of the table.
func (t TableDef) Topic() *topics.Spec {
	most := t.maxRowBytes()
	if most == 0 {
		most = DefaultMaxRowBytes
	}
	return topics.Table(t.processor(), most)
}

// Tables hands out rows of the tables in force.
type Tables interface {
	// Row returns the encoded row of a key in table i of Def.Tables; nil: none. For a joined table the
	// key is the turn's own. The bytes are the caller's.
	Row(i int, key string) ([]byte, error)
}

// Join returns the row of the turn's own key in another processor's table; nil when there is none. The
// table must be among the processor's Joins. Each call reads and decodes anew, so the row is the
// caller's.
func Join[T, S any](t *Turn[S], table *Table[T]) *T { return read(t, table, t.Key, false) }

// Lookup returns the row of any key in another processor's table; nil when there is none. The table
// must be among the processor's Lookups. Each call reads and decodes anew, so the row is the caller's.
func Lookup[T, S any](t *Turn[S], table *Table[T], key string) *T { return read(t, table, key, true) }

// read panics when the row cannot be had: the record goes to the dead letters then, or, where the
// local store is at fault, the runtime stops.
func read[T, S any](t *Turn[S], table *Table[T], key string, whole bool) *T {
	def := t.call.def
	for i, d := range def.Tables {
		if d.AnyTable != AnyTable(table) || d.Whole != whole {
			continue
		}
		b, err := t.call.Tables.Row(i, key)
		var row *T
		if err == nil {
			row, err = table.decode(b)
		}
		if err != nil {
			panic(fmt.Sprintf("processors: %s reads row %q of %s: %v", def.Name, key, table.Processor, err))
		}
		return row
	}
	panic(fmt.Sprintf("processors: %s reads the table of %s without declaring it", def.Name, table.Processor))
}

// tables checks and lists what a processor joins and looks up.
func tables(name string, joins, lookups []AnyTable) []TableDef {
	var all []TableDef
	seen := map[string]bool{name: true}
	add := func(from []AnyTable, whole bool) {
		for _, t := range from {
			switch p := t.processor(); {
			case p == "":
				panic("processors: " + name + " joins or looks up the table of a processor without a name")
			case p == name:
				panic("processors: " + name + " joins or looks up its own table")
			case seen[p]:
				panic(fmt.Sprintf("processors: %s declares the table of %s twice; a look-up serves a join as well", name, p))
			default:
				seen[p] = true
			}
			all = append(all, TableDef{t, whole})
		}
	}
	add(joins, false)
	add(lookups, true)
	return all
}
