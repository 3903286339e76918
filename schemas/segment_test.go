package schemas

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
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
	if err != nil || e.Name != "page" || e.Path != "/x" || e.Referrer != "https://r/" || e.TimeMs != 1000 || e.Key() != "acme/a" {
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
