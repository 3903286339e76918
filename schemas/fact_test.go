package schemas

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func facts(n, size int) []*Fact {
	var all []*Fact
	for i := range n {
		all = append(all, &Fact{
			EventID: fmt.Sprint("e", i), Tenant: "t", User: fmt.Sprint("u", i%7), Type: "page", Name: "page", TimeMS: int64(i), ReceivedMS: int64(i) + 1, N: 1,
			Path: "/p", Properties: []byte(strings.Repeat("x", size)), At: Coordinates{"in", 3, int64(i)},
		})
	}
	return all
}

func TestBlocksGiveBackTheFactsInOrder(t *testing.T) {
	for _, c := range []struct{ n, size, records int }{{0, 0, 0}, {1, 0, 1}, {5000, 10, 1}, {100, 30 << 10, 6}, {2, 600 << 10, 2}} {
		want := facts(c.n, c.size)
		records, err := FactBlocks{}.Pack(want)
		if err != nil || len(records) != c.records {
			t.Fatalf("%d facts of %d bytes: %d records, want %d; %v", c.n, c.size, len(records), c.records, err)
		}
		var got []*Fact
		for _, r := range records {
			b, err := FactBlocks{}.Unpack(r)
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				f := b.Fact(i)
				got = append(got, &f)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d facts came back, want %d", len(got), len(want))
		}
		for i := range got {
			if len(got[i].Properties) == 0 {
				got[i].Properties = want[i].Properties // empty and nil are one on the wire
			}
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("fact %d = %+v, want %+v", i, got[i], want[i])
			}
		}
	}
}

func TestBrokenBlockIsUndecodable(t *testing.T) {
	good, err := FactBlocks{}.Pack(facts(3, 5))
	if err != nil {
		t.Fatal(err)
	}
	crooked, err := (&FactBlock{EventId: []string{"a", "b"}, Tenant: []string{"a"}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, {'B'}, {'C', 1}, good[0][:len(good[0])-3], encoder.EncodeAll(crooked, []byte{blockV1})} {
		if _, err := (FactBlocks{}).Unpack(bad); !errors.Is(err, ErrUndecodable) {
			t.Errorf("Unpack(%q) = %v", bad, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	good, _ := FactBlocks{}.Pack(facts(3, 5))
	f.Add(good[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		block, err := FactBlocks{}.Unpack(b)
		if err != nil {
			return
		}
		for i := range block.Len() {
			block.Fact(i)
		}
	})
}
