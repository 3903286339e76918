package core

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func TestEventsSayWhatTheJobAsks(t *testing.T) {
	sent := wholeMS(time.Now()).UnixNano()
	for _, name := range []string{Raw, Protobuf} {
		for _, number := range []uint64{0, 1, 99, 100, 1234567, probe, math.MaxUint64} {
			for _, user := range []int{0, 99_999, math.MaxInt32} {
				b := encode(name, number, user, sent)
				if len(b) != eventBytes {
					t.Errorf("%s %d of user %d has %d bytes", name, number, user, len(b))
				}
				got, err := decode(name, b)
				if want := (event{number, sent, number%actionEvery == 0}); err != nil || got != want {
					t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
				}
			}
		}
	}
}

// TestProtobufEventsAreTheGateways holds them to what a worker takes: who, what, when, and properties.
func TestProtobufEventsAreTheGateways(t *testing.T) {
	b := encode(Protobuf, 4200, 17, loadedNS(4200))
	e, err := topics.Events.Codec.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil || e.Key() != userKey(17) || e.TimeMs != 1_800_000_000_042 || e.Id != "0000000000001068" {
		t.Errorf("%v, %v", e, err)
	}
	var properties map[string]any
	if err := json.Unmarshal(e.Properties, &properties); err != nil || len(properties) != 5 || properties["product_id"] != "p-14200" {
		t.Errorf("properties %s: %v", e.Properties, err)
	}
	if e.ProtoReflect().Descriptor().Fields().Len() != 16 {
		t.Error("the event has other fields now: Counter.java must read them, too")
	}
}

func TestUnreadableEventsAreErrors(t *testing.T) {
	whole := encode(Protobuf, 7, 1, 0)
	for name, b := range map[string][]byte{"cut": whole[:100], "no number": []byte("\n\x01x"), "another encoding": encode(Raw, 7, 1, 0)} {
		if e, err := decode(Protobuf, b); !errors.Is(err, schemas.ErrUndecodable) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if _, err := decode(Raw, whole[:100]); !errors.Is(err, schemas.ErrUndecodable) {
		t.Errorf("half of a raw one: %v", err)
	}
}

func TestStepsWithBytesAnswerWithTheAction(t *testing.T) {
	at := time.UnixMilli(1_800_000_123_456)
	for _, name := range []string{Raw, Protobuf} {
		j, row := job{Event: name}, tally{}
		if act := j.step(&row, at, encode(name, 0x101, 3, loadedNS(0x101))); act != nil {
			t.Errorf("%s: %x without being asked", name, act)
		}
		act, err := actionCodec{}.Decode(j.step(&row, at, encode(name, 200, 3, loadedNS(200))))
		if want := (action{200, loadedNS(200)}); err != nil || act != want {
			t.Errorf("%s: %+v, %v", name, act, err)
		}
		if want := (tally{Count: 2, Sum: 1 + 200, LastMS: at.UnixMilli()}); row != want {
			t.Errorf("%s: %+v, want %+v", name, row, want)
		}
	}
}

func TestScheduleHasWholeMilliseconds(t *testing.T) {
	began := wholeMS(time.Now())
	if !strings.Contains(began.String(), "m=") {
		t.Errorf("%v has no monotonic clock", began)
	}
	s := sender{rate: 3000}
	for i, want := range []time.Duration{1, 1, 1, 2} {
		if got := s.due(began, i).Sub(began); got != want*time.Millisecond {
			t.Errorf("event %d is due after %v, want %d ms", i, got, want)
		}
	}
	if at := s.due(began, 3000*600); at.Sub(began) != 600*time.Second+time.Millisecond || at.UnixNano()%int64(time.Millisecond) != 0 {
		t.Errorf("ten minutes in: %v after %v", at.Sub(began), at)
	}
}
