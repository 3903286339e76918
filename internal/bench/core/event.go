package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// The events, by the names that Config.Event takes. Each is eventBytes long, and leads to the same rows and
// actions.
const (
	Raw      = "raw"      // bytes in a fixed layout: nothing to decode
	Protobuf = "protobuf" // dwell's built-in schemas.Event: every stack decodes all of its fields
)

// checkEvent says when a name is none of them; empty stands for Raw.
func checkEvent(name string) error {
	if name == "" || name == Raw || name == Protobuf {
		return nil
	}
	return fmt.Errorf("event: there is no %q; choose %s or %s", name, Raw, Protobuf)
}

// eventTitle is the line over a table.
func eventTitle(name string) string {
	if name == Protobuf {
		return fmt.Sprintf("event: protobuf, dwell's built-in one of %d bytes, decoded whole by every stack", eventBytes)
	}
	return fmt.Sprintf("event: raw, %d bytes in a fixed layout", eventBytes)
}

// encode makes an event of a user; every actionEvery-th asks for an action. Protobuf keeps whole
// milliseconds of the send time.
func encode(name string, number uint64, user int, sentNS int64) []byte {
	if name != Protobuf {
		return encodeRaw(number, sentNS)
	}
	b, err := topics.Events.Codec.Append(make([]byte, 0, eventBytes), track(number, user, sentNS))
	if err != nil {
		panic(err) // an event of ours
	}
	return b
}

// decode reads an event for stacks that hand out bytes; it keeps nothing of b.
func decode(name string, b []byte) (event, error) {
	if name != Protobuf {
		return parse(b)
	}
	e, err := topics.Events.Codec.Decode(b)
	if err != nil {
		return event{}, err
	}
	return read(e)
}

// Names of protobuf events: one asks for an action, as a campaign asks for it by an event's name.
const (
	asking = "Checkout Started"
	plain  = "Product Viewed"
)

// track is a track call as the gateway writes it: its number is its id.
func track(number uint64, user int, sentNS int64) *schemas.Event {
	key := userKey(user)
	tenant, id := schemas.SplitKey(key)
	at := sentNS / int64(time.Millisecond)
	product := strconv.FormatUint(10_000+number%90_000, 10)
	e := &schemas.Event{
		Id: eventID(number), Tenant: tenant, UserId: id, Type: "track", Name: plain,
		TimeMs: at, ReceivedMs: at + 2, // milliseconds on the way to the gateway
		Path: "/products/" + product, Source: "web",
	}
	if number%actionEvery == 0 {
		e.Name = asking
	}
	const end = `"}`
	b := make([]byte, 0, eventBytes)
	b = append(append(b, `{"product_id":"p-`...), product...)
	b = strconv.AppendUint(append(b, `","price":`...), 100+number%900, 10)
	b = strconv.AppendUint(append(b, `.5,"currency":"EUR","quantity":`...), 1+number%9, 10)
	b = append(b, `,"coupon":"`...)
	e.Properties = append(b, end...)
	// The coupon fills the event up to its size.
	for i := e.SizeVT(); i < eventBytes; i++ {
		b = append(b, 'A'+byte((number*31+uint64(i)*7)%26))
	}
	e.Properties = append(b, end...)
	return e
}

// eventID is a number as 16 digits of base 16.
func eventID(number uint64) string {
	digits := strconv.FormatUint(number, 16)
	return strings.Repeat("0", 16-len(digits)) + digits
}

// read takes what the job asks of an event out of a decoded one.
func read(e *schemas.Event) (event, error) {
	number, err := strconv.ParseUint(e.Id, 16, 64)
	if err != nil {
		return event{}, fmt.Errorf("%w: event with id %q: %w", schemas.ErrUndecodable, e.Id, err)
	}
	return event{number, e.TimeMs * int64(time.Millisecond), e.Name == asking}, nil
}

// input is dwell's step: what a user of the library would write for such events.
func (j job) input(out topics.Topic[action]) processors.Input[tally] {
	count := func(t *processors.Turn[tally], e event) {
		t.State.add(e, t.Now)
		if e.act {
			processors.Emit(t, out, t.Key, e.action())
		}
	}
	spec := topics.Spec{Name: j.Input}
	if j.Event != Protobuf {
		return processors.On(topics.Of(spec, schemas.Codec[event](eventCodec{})), count)
	}
	return processors.On(topics.Of(spec, topics.Events.Codec), func(t *processors.Turn[tally], e *schemas.Event) {
		head, err := read(e)
		if err != nil {
			panic(err)
		}
		count(t, head)
	})
}

// step is the job for stacks that hand out bytes. Events are ours: one that does not parse is a bug.
func (j job) step(row *tally, at time.Time, value []byte) []byte {
	e, err := decode(j.Event, value)
	if err != nil {
		panic(err)
	}
	row.add(e, at)
	if !e.act {
		return nil
	}
	act, _ := actionCodec{}.Append(make([]byte, 0, actionBytes), e.action()) // never fails
	return act
}
