package schemas

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

var update = flag.Bool("update", false, "write golden files that are missing")

// goldens is one of each record, every field set.
func goldens() map[string]proto.Message {
	m := map[string]proto.Message{
		"event": &Event{}, "fact_block": &FactBlock{}, "action": &Action{}, "verdict": &Verdict{}, "delivery": &Delivery{},
		"frame": &Frame{}, "exposure": &Exposure{}, "declaration": &Declaration{}, "write_key": &WriteKey{}, "presence": &Presence{},
		"worker_status": &WorkerStatus{}, "replay_mark": &ReplayMark{}, "dead_letter": &DeadLetter{}, "row": &Row{},
		"gate_state": &GateState{}, "journal_entry": &JournalEntry{},
		// The same with wakes that were rejected, which came later.
		"dead_letter_wake": &DeadLetter{}, "journal_entry_wake": &JournalEntry{},
		"profile_state": &ProfileState{}, "member": &Member{}, "trait_update": &TraitUpdate{}, "profile": &Profile{},
		"identity": &Identity{}, "identity_state": &IdentityState{}, "erasure": &Erasure{},
	}
	for _, v := range m {
		fill(v.ProtoReflect())
	}
	return m
}

// fill sets every field to a value made from its number.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("k").MapKey(), protoreflect.ValueOfInt64(int64(f.Number())))
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).List().AppendMutable().Message())
		case !f.IsList() && f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).Message())
		case f.IsList():
			m.Mutable(f).List().Append(scalar(f))
		default:
			m.Set(f, scalar(f))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	n := int(f.Number())
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(string(f.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.Name()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(n))
	case protoreflect.Fixed64Kind, protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	default:
		return protoreflect.ValueOfInt64(int64(n))
	}
}

// TestGoldenBytesDecodeForEver: a field's number or type must never change. A record may gain
// fields: the old bytes then decode to a record without them.
func TestGoldenBytesDecodeForEver(t *testing.T) {
	for name, want := range goldens() {
		path := filepath.Join("testdata", "golden", name+".hex")
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) && *update {
			b, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			text = []byte(hex.EncodeToString(b) + "\n")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Fatalf("%v; a new record gets its bytes with -update", err)
		}
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		got := want.ProtoReflect().New().Interface()
		if err := got.(interface{ UnmarshalVT([]byte) error }).UnmarshalVT(b); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		compare(t, name, got.ProtoReflect(), want.ProtoReflect())
	}
}

// compare makes sure that every field that the bytes have, here and in messages within, is as it was.
func compare(t *testing.T, name string, got, want protoreflect.Message) {
	t.Helper()
	got.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		w := want.Get(f)
		switch at := name + "." + string(f.Name()); {
		case f.IsMap() || f.Message() == nil:
			if !v.Equal(w) {
				t.Errorf("%s = %v", at, v)
			}
		case !f.IsList():
			compare(t, at, v.Message(), w.Message())
		case v.List().Len() != w.List().Len():
			t.Errorf("%s has %d messages", at, v.List().Len())
		default:
			for i := range v.List().Len() {
				compare(t, at, v.List().Get(i).Message(), w.List().Get(i).Message())
			}
		}
		return true
	})
	if len(got.GetUnknown()) > 0 {
		t.Errorf("%s: the golden bytes hold fields that the record no longer has", name)
	}
}

// TestUnknownFieldSurvivesReadModifyWrite: what a newer version added to any record, or to a message
// within one, an older version keeps when it writes the record again.
func TestUnknownFieldSurvivesReadModifyWrite(t *testing.T) {
	newer := append([]byte{0xfa, 0x3f, 3}, "new"...) // field 1023
	seen := 0
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		name := mt.Descriptor().FullName()
		if name.Parent() != "dwell.v1" {
			return true
		}
		seen++
		old := mt.New()
		fill(old)
		messages := addUnknown(old, newer)
		b, err := proto.Marshal(old.Interface())
		if err != nil {
			t.Fatal(err)
		}
		got := mt.New()
		if err := got.Interface().(vt).UnmarshalVT(b); err != nil {
			t.Errorf("%s: %v", name, err)
			return true
		}
		for i := range got.Descriptor().Fields().Len() {
			if f := got.Descriptor().Fields().Get(i); f.Message() == nil {
				got.Clear(f) // the write
				break
			}
		}
		if b, err = got.Interface().(vt).MarshalVT(); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, newer); n != messages {
			t.Errorf("%s: %d of %d unknown fields are left", name, n, messages)
		}
		return true
	})
	if seen < len(goldens()) {
		t.Errorf("%d messages seen", seen)
	}
}

// vt is what the generated code of every record has.
type vt interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

// addUnknown adds a field to a message and to those within it, and returns how many messages that are.
func addUnknown(m protoreflect.Message, b []byte) int {
	m.SetUnknown(append(m.GetUnknown(), b...))
	n := 1
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				n += addUnknown(v.List().Get(i).Message(), b)
			}
		default:
			n += addUnknown(v.Message(), b)
		}
		return true
	})
	return n
}

func TestJSONCodecRoundTrip(t *testing.T) {
	type cart struct{ N int }
	var c JSON[cart]
	b, err := c.Append([]byte("x"), cart{3})
	if err != nil || string(b) != `x{"N":3}` {
		t.Fatalf("got %q, %v", b, err)
	}
	if got, err := c.Decode(b[1:]); err != nil || !reflect.DeepEqual(got, cart{3}) {
		t.Fatalf("got %v, %v", got, err)
	}
}
