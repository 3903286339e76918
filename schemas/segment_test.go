package schemas

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func segment(t *testing.T, s string) (*Event, error) {
	t.Helper()
	var c Segment
	if err := json.Unmarshal([]byte(s), &c); err != nil {
		t.Fatal(err)
	}
	return c.Record("acme", 1000)
}

func TestSegmentCallBecomesEvent(t *testing.T) {
	e, err := segment(t, `{"type":"track","messageId":"m1","userId":"ann","event":"bet_settled","timestamp":"2026-01-01T00:00:00.5Z",
		"properties":{"result": "win"},"context":{"userAgent":"UA","page":{"path":"/p","referrer":"r"}}}`)
	want := &Event{
		Id: "m1", Tenant: "acme", UserId: "ann", Type: "track", Name: "bet_settled", TimeMs: 1767225600500, ReceivedMs: 1000,
		Properties: []byte(`{"result":"win"}`), Path: "/p", Referrer: "r", UserAgent: "UA",
	}
	if err != nil || !proto.Equal(e, want) {
		t.Fatalf("got %v, %v", e, err)
	}
	if e.Key() != "acme/ann" {
		t.Errorf("key = %q", e.Key())
	}
}

func TestPageCallIsNamedPageAndTakesItsPath(t *testing.T) {
	e, err := segment(t, `{"type":"page","anonymousId":"a","name":"Home","properties":{"path":"/x","referrer":"https://r/"}}`)
	if err != nil || e.Name != "page" || e.Path != "/x" || e.Referrer != "https://r/" || e.TimeMs != 1000 || e.Key() != "acme/~a" {
		t.Fatalf("got %v, %v", e, err)
	}
}

func TestEveryFaultOfACallIsReported(t *testing.T) {
	_, err := segment(t, `{"type":"tracked","timestamp":"yesterday","properties":[1],"messageId":"`+strings.Repeat("x", 300)+`"}`)
	for _, want := range []string{"type:", "timestamp:", "properties:", "messageId:", "userId, anonymousId:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault about %s in: %v", want, err)
		}
	}
}

func TestEventDecodesFromBothForms(t *testing.T) {
	var c EventCodec
	e := &Event{Id: "1", Tenant: "t", UserId: "u", Type: "track", Name: "n", TimeMs: 5}
	b, err := c.Append(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if b[0] == '{' {
		t.Fatal("protobuf opens like JSON")
	}
	if got, err := c.Decode(b); err != nil || !proto.Equal(got, e) {
		t.Fatalf("protobuf: %v, %v", got, err)
	}
	got, err := c.Decode([]byte(`{"tenant":"t","type":"track","event":"n","messageId":"1","userId":"u"}`))
	if err != nil || got.Key() != "t/u" || got.Name != "n" {
		t.Fatalf("JSON: %v, %v", got, err)
	}
	for _, bad := range []string{`{`, `{"type":"track"}`, "\xff\xff"} {
		if _, err := c.Decode([]byte(bad)); !errors.Is(err, ErrUndecodable) {
			t.Errorf("Decode(%q) = %v", bad, err)
		}
	}
}

// The first byte tells the form of an event, so no record of ours may open as another form does: with a
// tag that is '{', JSON, or 0, the wire format of a schema registry.
func TestFirstByteTellsTheForm(t *testing.T) {
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		fields := mt.Descriptor().Fields()
		for i := range fields.Len() {
			m := mt.New()
			if f := fields.Get(i); f.FullName().Parent().Parent() != "dwell.v1" || f.Message() != nil || f.IsList() {
				continue
			} else {
				m.Set(f, scalar(f))
			}
			b, err := proto.Marshal(m.Interface())
			if err != nil || len(b) == 0 || b[0] == '{' || b[0] == 0 {
				t.Errorf("%s opens with %q, %v", fields.Get(i).FullName(), b, err)
			}
		}
		return true
	})
	var c EventCodec
	const call = `{"tenant":"t","type":"track","event":"n","userId":"u"}`
	pb, err := c.Append(nil, &Event{Tenant: "t", Type: "track", Name: "n", UserId: "u"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, value string
		event       bool
		fault       string
	}{
		{"protobuf", string(pb), true, ""},
		{"JSON", call, true, ""},
		{"JSON with a space", "{ " + call[1:], true, ""},
		{"an empty protobuf record", "", true, ""},
		{"a space before JSON", " " + call, false, "Event"},
		{"a byte order mark", "\ufeff" + call, false, "Event"},
		{"a JSON list", "[" + call + "]", false, "Event"},
		{"the wire format of a registry", "\x00\x00\x00\x00\x01" + call, false, "Event"},
		{"broken JSON", call[:9], false, "event:"},
		{"JSON that is no call", `{}`, false, "type:"},
	} {
		e, err := c.Decode([]byte(row.value))
		switch {
		case row.event && (err != nil || row.value != "" && e.Key() != "t/u"):
			t.Errorf("%s: %v, %v", row.name, e, err)
		case !row.event && (!errors.Is(err, ErrUndecodable) || !strings.Contains(err.Error(), row.fault)):
			t.Errorf("%s: %v, %v", row.name, e, err)
		}
	}
}

func FuzzEventDecode(f *testing.F) {
	f.Add([]byte(`{"tenant":"t","type":"page","anonymousId":"u","properties":{"path":1}}`))
	f.Add([]byte("\x0a\x01x\x12\x01y"))
	var c EventCodec
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := c.Decode(b)
		if err != nil {
			if !errors.Is(err, ErrUndecodable) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := c.Append(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := c.Decode(again); err != nil || !proto.Equal(back, e) {
			t.Fatalf("%v became %v, %v", e, back, err)
		}
	})
}
