package clickhouse

import (
	"slices"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks"
)

const dayMS = 24 * 60 * 60 * 1000

// factTable puts blocks of facts into the inbox, from which views fill events and the cubes. Blocks
// are columns already, so whole columns are appended.
func factTable() table[*schemas.FactBlock] {
	type block = *schemas.FactBlock
	return table[block]{
		name: "inbox",
		decode: func(r sinks.Record) (block, error) {
			b, err := schemas.FactBlocks{}.Unpack(r.Value)
			if err != nil {
				return nil, err
			}
			tidy(b, r.Time.UnixMilli())
			return b, nil
		},
		rows:     func(b block) int { return b.Len() },
		received: func(b block) int64 { return slices.Max(append(b.ReceivedMs, 0)) },
		days: func(b block) []int64 {
			var days []int64
			for _, ms := range b.TimeMs {
				if d := ms / dayMS; len(days) == 0 || days[len(days)-1] != d {
					days = append(days, d)
				}
			}
			return days
		},
		columns: []column[block]{
			all("tenant", "String", func(b block) []string { return b.Tenant }),
			all("event", "String", func(b block) []string { return b.Name }),
			all("type", "String", func(b block) []string { return b.Type }),
			all("ts", instantKind, func(b block) []int64 { return b.TimeMs }),
			all("received_at", instantKind, func(b block) []int64 { return b.ReceivedMs }),
			all("n", "UInt32", func(b block) []uint32 { return b.N }),
			all("event_id", "String", func(b block) []string { return b.EventId }),
			all("user", "String", func(b block) []string { return b.User }),
			all("path", "String", func(b block) []string { return b.Path }),
			all("referrer", "String", func(b block) []string { return b.Referrer }),
			all("user_agent", "String", func(b block) []string { return b.UserAgent }),
			all("address", "String", func(b block) []string { return b.Address }),
			all("source", "String", func(b block) []string { return b.Source }),
			all("properties", "String", func(b block) [][]byte { return b.Properties }),
			all("src_topic", "String", func(b block) []string { return b.SrcTopic }),
			all("src_partition", "Int32", func(b block) []int32 { return b.SrcPartition }),
			all("src_offset", "Int64", func(b block) []int64 { return b.SrcOffset }),
		},
	}
}

// tidy puts times that cannot be told into range: a fact without a receive time was received when
// its record was written, one with an impossible time happened when it was received.
func tidy(b *schemas.FactBlock, loggedMS int64) {
	for i := range b.TimeMs {
		b.ReceivedMs[i] = tellable(b.ReceivedMs[i], loggedMS)
		b.TimeMs[i] = tellable(b.TimeMs[i], b.ReceivedMs[i])
	}
}

// all makes a column out of the columns of blocks.
func all[R, V any](name, kind string, get func(R) []V) column[R] {
	return column[R]{name, kind, func(rs []record[R]) any {
		n := 0
		for _, r := range rs {
			n += r.n
		}
		vs := make([]V, 0, n)
		for _, r := range rs {
			vs = append(vs, get(r.value)...)
		}
		return vs
	}}
}
