package schemas

import "google.golang.org/protobuf/encoding/protowire"

// The fields of Row, as row.proto numbers them.
const (
	rowWake  = 1
	rowTime  = 2
	rowState = 3
)

// AppendRowHead appends a Row without its state. The state's encoding is to be appended behind it, and
// then EndRow called: together they make the same bytes as the generated code, and copy no state to and
// fro.
func AppendRowHead(dst []byte, wakeMS, timeMS int64) []byte {
	if wakeMS != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, rowWake, protowire.VarintType), uint64(wakeMS))
	}
	if timeMS != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, rowTime, protowire.VarintType), uint64(timeMS))
	}
	return dst
}

// EndRow makes what lies in row from state on the Row's state.
func EndRow(row []byte, state int) []byte {
	size := len(row) - state
	if size == 0 {
		return row
	}
	var lead [16]byte
	head := protowire.AppendVarint(protowire.AppendTag(lead[:0], rowState, protowire.BytesType), uint64(size))
	row = append(row, head...)
	copy(row[state+len(head):], row[state:state+size])
	copy(row[state:], head)
	return row
}

// Newer are the encoded fields of a Row that this version does not know; they belong behind the others.
func (x *Row) Newer() []byte { return x.unknownFields }
