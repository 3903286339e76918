package schemas

import (
	"bytes"
	"testing"
)

func TestRowInPartsIsTheGeneratedRow(t *testing.T) {
	for _, r := range []*Row{
		{},
		{WakeMs: 1},
		{TimeMs: 1 << 41},
		{State: []byte("x")},
		{WakeMs: -1, TimeMs: -5, State: []byte("xyz")},
		{WakeMs: 1795377758886, TimeMs: 1795377758886, State: bytes.Repeat([]byte("state"), 1<<17)},
	} {
		want, err := Proto[Row, *Row]{}.Append([]byte("before"), r)
		if err != nil {
			t.Fatal(err)
		}
		got := AppendRowHead([]byte("before"), r.WakeMs, r.TimeMs)
		head := len(got)
		if got = EndRow(append(got, r.State...), head); !bytes.Equal(got, want) {
			t.Errorf("%x, want %x", got[:min(len(got), 60)], want[:min(len(want), 60)])
		}
	}
}
