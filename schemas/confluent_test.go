package schemas

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
)

func TestUnframeTakesTheWireFormatOnly(t *testing.T) {
	id, rest, ok := Unframe([]byte("\x00\x00\x01\x02\x03{}"))
	if id != 0x010203 || string(rest) != "{}" || !ok {
		t.Errorf("got %d %q %v", id, rest, ok)
	}
	e, err := EventCodec{}.Append(nil, &Event{Tenant: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range [][]byte{nil, {0}, {0, 0, 0, 1}, []byte(`{"a":1}`), e, {1, 0, 0, 0, 1, 2}} {
		if _, _, ok := Unframe(other); ok {
			t.Errorf("%q is taken for the wire format", other)
		}
	}
}

func TestMessageIndexIsReadAndCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want []int
		rest string
	}{
		"short for the first": {append([]byte{0}, "x"...), []int{0}, "x"},
		"the first in full":   {append([]byte{2, 0}, "x"...), []int{0}, "x"},
		"the third's second":  {append([]byte{4, 4, 2}, "x"...), []int{2, 1}, "x"},
		"an empty message":    {[]byte{0}, []int{0}, ""},
	} {
		got, rest, err := MessageIndex(c.in)
		if err != nil || !slices.Equal(got, c.want) || string(rest) != c.rest {
			t.Errorf("%s: %v %q %v", name, got, rest, err)
		}
	}
	for _, bad := range [][]byte{nil, {1}, {2}, {4, 0}, {0x80}, {66}, {2, 1}, []byte("{}")} {
		if got, _, err := MessageIndex(bad); !errors.Is(err, ErrUndecodable) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func TestMessageIsFoundByItsIndex(t *testing.T) {
	const text = `syntax = "proto3"; // message No {
		/* message Nor { } */ import "message.proto";
		option (x) = { a: "message Never {" b: { } };
		enum E { message_ = 0; }
		message A { string message = 1; oneof o { int32 a = 2; } message AA { message AAA {} } enum F { Z = 0; } message AB {} }
		extend google.protobuf.FieldOptions { string s = 1; }
		message Event { A message = 3; repeated A.AA more = 4 [(note) = "}"]; }
		service S { rpc R (A) returns (Event) {} }
		message Last {}`
	for _, c := range []struct {
		index []int
		want  string
	}{
		{[]int{0}, "A"},
		{[]int{1}, "Event"},
		{[]int{2}, "Last"},
		{[]int{0, 0}, "AA"},
		{[]int{0, 0, 0}, "AAA"},
		{[]int{0, 1}, "AB"},
	} {
		if got, err := MessageAt(text, c.index); got != c.want || err != nil {
			t.Errorf("%v: %q, %v", c.index, got, err)
		}
	}
	for _, none := range [][]int{nil, {3}, {1, 0}, {0, 2}, {0, 0, 1}, {2, 0, 0}} {
		if got, err := MessageAt(text, none); err == nil {
			t.Errorf("%v: %q", none, got)
		}
	}
}

func TestOurOwnSchemasAreRead(t *testing.T) {
	for file, want := range map[string]string{"event.proto": "Event", "exposure.proto": "Frame"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := MessageAt(string(text), []int{0}); got != want || err != nil {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}

func FuzzUnframe(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x01\x00x"))
	f.Add([]byte("\x00\x00\x00\x00\x01\x04\x02\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, rest, ok := Unframe(b)
		if !ok {
			return
		}
		if again := append(binary.BigEndian.AppendUint32([]byte{0}, id), rest...); !bytes.Equal(again, b) {
			t.Fatalf("%q became %q", b, again)
		}
		index, payload, err := MessageIndex(rest)
		switch {
		case err != nil && !errors.Is(err, ErrUndecodable):
			t.Fatalf("an error of another kind: %v", err)
		case err == nil && (len(index) == 0 || !bytes.HasSuffix(rest, payload)):
			t.Fatalf("%q: index %v, payload %q", rest, index, payload)
		}
	})
}

func FuzzMessageAt(f *testing.F) {
	f.Add("message A { message B {} } // x", 0, 0)
	f.Add("message \"\\", 1, 2)
	f.Fuzz(func(t *testing.T, text string, a, b int) {
		for _, index := range [][]int{{a}, {a, b}} {
			if name, err := MessageAt(text, index); (err == nil) == (name == "") {
				t.Fatalf("%q at %v: %q, %v", text, index, name, err)
			}
		}
	})
}
