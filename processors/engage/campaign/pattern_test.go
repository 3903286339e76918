package campaign

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/trigger"
)

// withPattern is plainFile with another pattern and more fields of the trigger.
func withPattern(pattern string, fields ...string) string {
	s := strings.Replace(plainFile, `count: {event: bet_settled, where: 'event.result == "win"', times: 3}`, pattern, 1)
	for _, f := range []string{"contiguity: relaxed", "window: sliding", "after_match: skip_to_next"} {
		s = strings.Replace(s, "    "+f+"\n", "", 1)
	}
	return strings.Replace(s, "    within", "    "+strings.Join(append(fields, "within"), "\n    "), 1)
}

func TestEveryPatternIsRead(t *testing.T) {
	frame := trigger.Frame{Within: 10 * time.Minute, AllowedLateness: 5 * time.Minute, AfterMatch: trigger.SkipPastLast}
	session := frame
	session.Window, session.Gap, session.AfterMatch, session.Strict = trigger.Session, time.Minute, trigger.SkipToNext, true
	tumbling := frame
	tumbling.Window = trigger.Tumbling
	for _, c := range []struct {
		source  string
		machine trigger.Machine
		steps   string
	}{
		{
			withPattern(`sequence: [{event: a}, {event: b, where: 'event.x > 1'}]`, "contiguity: strict", "window: {session: 1m}", "after_match: skip_to_next"),
			trigger.Machine{Kind: trigger.Sequence, Times: 2, Frame: session},
			"a::1 b:event.x > 1:2",
		},
		{withPattern(`all_of: [{event: a}, {event: b}, {event: a}]`, "window: tumbling"), trigger.Machine{Kind: trigger.AllOf, Times: 3, Frame: tumbling}, "a::1 b::2 a::4"},
		{withPattern(`any_of: [{event: a}, {event: b}]`), trigger.Machine{Kind: trigger.Count, Times: 1, Frame: frame}, "a::1 b::1"},
		{withPattern(`absence: {event: a, where: 'event.x', not: {event: b}, restart: true}`), trigger.Machine{Kind: trigger.Absence, Times: 1, Restart: true, Frame: frame}, "a:event.x:1 b::2"},
		{
			withPattern(`aggregate: {event: a, avg: event.x.y, is: ' <= -1.5 '}`),
			trigger.Machine{Kind: trigger.Aggregate, Times: 1, Crossing: trigger.Crossing{Of: trigger.Avg, Compare: trigger.AtMost, Bound: -1.5}, Frame: frame},
			"a::1",
		},
		{
			withPattern(`aggregate: {event: a, count_distinct: event.x, is: '>3'}`, "correlate: event.cart_id"),
			trigger.Machine{Kind: trigger.Aggregate, Times: 1, Crossing: trigger.Crossing{Of: trigger.Distinct, Compare: trigger.Above, Bound: 3}, Frame: frame},
			"a::1",
		},
	} {
		got := mustParse(t, c.source)
		if m := got.Trigger.Machine(); !reflect.DeepEqual(m, c.machine) {
			t.Errorf("%s\nis %+v, want %+v", c.source, m, c.machine)
		}
		var steps []string
		for _, s := range got.Trigger.Pattern.Steps() {
			steps = append(steps, fmt.Sprintf("%s:%s:%d", s.Event, s.Where.String(), s.Bits))
		}
		if s := strings.Join(steps, " "); s != c.steps {
			t.Errorf("%s\nsteps are %s, want %s", c.source, s, c.steps)
		}
		if correlates := strings.Contains(c.source, "correlate"); (got.Trigger.Correlate.String() == "event.cart_id") != correlates {
			t.Errorf("%s\ncorrelates by %q", c.source, got.Trigger.Correlate)
		}
	}
}

func TestPatternHashNamesWhatRowsHold(t *testing.T) {
	sequence := withPattern(`sequence: [{event: a}, {event: b}]`, "window: {session: 1m}")
	aggregate := withPattern(`aggregate: {event: a, sum: event.x, is: '> 5'}`, "window: tumbling")
	absence := withPattern(`absence: {event: a, not: {event: b}}`)
	for _, c := range []struct {
		base, from, to string
		same           bool
	}{
		{sequence, "[{event: a}, {event: b}]", "[{event: b}, {event: a}]", false},
		{sequence, "sequence", "all_of", false},
		{sequence, "{session: 1m}", "{session: 2m}", true},
		{sequence, "{session: 1m}", "sliding", false},
		{sequence, "    within", "    contiguity: strict\n    within", false},
		{sequence, "    within", "    correlate: event.x\n    within", false},
		{sequence, "channels:", "on_edit: keep\n  channels:", true},
		{aggregate, "sum", "max", false},
		{aggregate, "event.x", "event.y", false},
		{aggregate, "> 5", "< 6", true},
		{aggregate, "tumbling", "sliding", false},
		{absence, "{event: b}", "{event: c}", false},
		{absence, "{event: b}", "{event: b}, restart: true", true},
	} {
		changed := strings.Replace(c.base, c.from, c.to, 1)
		if changed == c.base {
			t.Fatalf("%q is not in the file", c.from)
		}
		if got := mustParse(t, changed).PatternHash == mustParse(t, c.base).PatternHash; got != c.same {
			t.Errorf("%s -> %s: same hash is %v", c.from, c.to, got)
		}
	}
	reset := strings.Replace(sequence, "channels:", "on_edit: reset\n  channels:", 1)
	for _, change := range []string{"within: 10m -> within: 11m", "allowed_lateness: 5m -> allowed_lateness: 6m", "session: 1m -> session: 2m"} {
		from, to, _ := strings.Cut(change, " -> ")
		if mustParse(t, reset).PatternHash == mustParse(t, strings.Replace(reset, from, to, 1)).PatternHash {
			t.Errorf("on_edit: reset keeps what was there before %s", change)
		}
	}
	if mustParse(t, reset).PatternHash != mustParse(t, strings.Replace(reset, "popup/boost50", "popup/other", 1)).PatternHash {
		t.Error("on_edit: reset starts over with another content")
	}
}

// Rows of a count that were stored before there were other patterns still fit.
func TestTheHashOfACountIsWhatItEverWas(t *testing.T) {
	text := ""
	for _, part := range []string{"count", "bet_settled", `event.result == "win"`, "2", "bet_settled", `event.result == "loss"`, "logout", "", "relaxed", "sliding", "skip_to_next", "ingest"} {
		text += fmt.Sprintf("%d:%s", len(part), part)
	}
	sum := sha256.Sum256([]byte(text))
	if got, want := mustParse(t, plainFile).PatternHash, binary.BigEndian.Uint64(sum[:8]); got != want {
		t.Errorf("hash is %x, want %x", got, want)
	}
}

func TestAFieldIsReadFromTheProperties(t *testing.T) {
	props := []byte(`{"n": 5, "f": 5.0, "big": 1e300, "huge": 1e999, "s": "5", "b": true, "z": null, "l": [1], "o": {"p": {"q": -2.5}}}`)
	for field, want := range map[string]struct {
		number string
		value  string
	}{
		"event.n": {"5", "5"}, "event.f": {"5", "5"}, "event.big": {"1e+300", "1e+300"}, "event.huge": {"", ""}, "event.s": {"", `"5"`}, "event.b": {"", "true"},
		"event.z": {"", ""}, "event.l": {"", ""}, "event.o": {"", ""}, "event.o.p.q": {"-2.5", "-2.5"}, "event.none": {"", ""}, "event.n.x": {"", ""},
	} {
		a := mustParse(t, withPattern(`aggregate: {event: a, sum: `+field+`, is: '> 5'}`)).Trigger.Pattern.Aggregate
		number, value := "", ""
		if n, ok := a.Field.Number(predicate.NewProperties(props)); ok {
			number = fmt.Sprint(n)
		}
		if v, ok := a.Field.Value(predicate.NewProperties(props)); ok {
			value = v
		}
		if number != want.number || value != want.value {
			t.Errorf("%s is %q and %q, want %q and %q", field, number, value, want.number, want.value)
		}
	}
}
