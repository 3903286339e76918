package pack

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
)

// pick draws one of some things.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomID(r *rand.Rand) string {
	text := string(appendUUID(nil, randomBytes(r, half)))
	switch r.IntN(12) {
	case 0:
		return pick(r, "", "a", "ü", "\xff\x00", strings.Repeat("long", 60), "dwell.events.v1/3/"+strconv.Itoa(r.IntN(1e6)))
	case 1:
		return processors.DeriveID(text)
	case 2:
		return strings.ToUpper(text)
	case 3: // nearly
		return pick(r, text[1:], text+"0", text[:8]+"0"+text[9:], strings.Repeat("g", hexText), strings.ReplaceAll(text, "-", "_"), strings.Repeat("-", uuidText))
	}
	return text
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// randomMS is a time, mostly one of the same hour.
func randomMS(r *rand.Rand) int64 {
	return pick(r, 0, 0, 1767225600000+r.Int64N(3600_000), 1767225600000+r.Int64N(3600_000), 1767225600000+r.Int64N(3600_000), r.Int64()-r.Int64(), math.MaxInt64, math.MinInt64, -1)
}

func randomNumber(r *rand.Rand) float64 {
	return pick(r, 0, math.Copysign(0, -1), 1, -1, 50.5, 0.1, 19.99, -7.25, float64(randomMS(r)), r.NormFloat64(), math.NaN(), math.Inf(1), math.Inf(-1),
		math.MaxFloat64, math.SmallestNonzeroFloat64, maxWhole, -maxWhole, maxWhole-1, math.Float64frombits(r.Uint64()))
}

// newer are fields that this version does not know.
func newer(r *rand.Rand) []byte {
	if r.IntN(8) > 0 {
		return nil
	}
	return append([]byte{0xfa, 0x07, 0x03}, "new"...)
}

// randomProgress fills the lists of a progress with n events of some.
func randomProgress(r *rand.Rand, ids []string, times []int64, n int) (p progress) {
	for range n {
		i := r.IntN(len(ids))
		p.ids = append(p.ids, ids[i])
		p.times = append(p.times, pick(r, times[i], times[i], times[i], times[i], times[i], randomMS(r)))
	}
	if r.IntN(2) == 0 {
		for range n {
			p.steps = append(p.steps, pick[uint32](r, 0, 1, 2, 1<<16, math.MaxUint32))
		}
	}
	if r.IntN(2) == 0 {
		for range n {
			p.numbers = append(p.numbers, randomNumber(r))
		}
	}
	p.floor, p.due, p.newer = randomMS(r), randomMS(r), newer(r)
	return p
}

// randomRow is a row with up to size recent ids, ids, campaigns and events of each.
func randomRow(r *rand.Rand, size int) *schemas.EngageRow {
	row := &schemas.EngageRow{}
	ids, times := make([]string, 1+r.IntN(size)), make([]int64, 0, size)
	for i := range ids {
		ids[i] = randomID(r)
		times = append(times, randomMS(r))
	}
	s := pick(r, uint32(1767225600), 0, math.MaxUint32-5)
	for range r.IntN(size) {
		row.RecentIds = append(row.RecentIds, pick(r, r.Uint64(), hashOf(pick(r, ids...)), hashOf(pick(r, ids...))))
		row.RecentS = append(row.RecentS, s)
		s += pick(r, 0, 1, 60, r.Uint32N(1e6))
	}
	for range r.IntN(size) {
		p := randomProgress(r, ids, times, r.IntN(4)*r.IntN(size)/4)
		t := &schemas.TriggerRow{
			Campaign: pick(r, "", "count-", "sequence-", strings.Repeat("very-long-", 30)) + pick(r, "", strconv.Itoa(r.IntN(100))), Pattern: r.Uint64(),
			EventIds: p.ids, EventTimesMs: p.times, EventSteps: p.steps, EventNumbers: p.numbers, FloorMs: p.floor, DueMs: p.due,
			HighestMs: randomMS(r), Fired: pick[uint32](r, 0, 0, 1, math.MaxUint32), LastMatchMs: pick(r, 0, randomMS(r)), Shadow: r.IntN(4) == 0,
		}
		if n := len(p.times); n > 0 && r.IntN(2) == 0 {
			t.HighestMs = p.times[n-1]
		}
		t.KeepNewer(p.newer)
		for range r.IntN(3) * r.IntN(4) {
			p := randomProgress(r, ids, times, r.IntN(4))
			part := &schemas.TriggerPart{
				Value: pick(r, "", `"x"`, "7", strings.Repeat("v", 200)), EventIds: p.ids, EventTimesMs: p.times, EventSteps: p.steps, EventNumbers: p.numbers, FloorMs: p.floor, DueMs: p.due,
			}
			part.KeepNewer(p.newer)
			t.Parts = append(t.Parts, part)
		}
		row.Triggers = append(row.Triggers, t)
	}
	row.Gates = pick(r, nil, &schemas.GateState{}, &schemas.GateState{Zone: "Europe/London", Spends: []*schemas.Spend{{AtMs: 7, Scopes: []uint64{1, 2}}}})
	row.Profile = pick(r, nil, &schemas.ProfileState{Traits: []*schemas.UserTrait{{Name: "plan", Value: []byte(`"gold"`)}}})
	row.Identity = pick(r, nil, &schemas.IdentityState{Claimed: []string{"a", ""}})
	row.ProtoReflect().SetUnknown(newer(r))
	return row
}

func plainOf(t *testing.T, row *schemas.EngageRow) []byte {
	t.Helper()
	b, err := plain{}.Append(nil, row)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// roundTrip fails unless the row comes back exactly, from bytes that are its only ones.
func roundTrip(t *testing.T, row *schemas.EngageRow) []byte {
	t.Helper()
	b, err := Append([]byte("before"), row)
	if err != nil || !bytes.HasPrefix(b, []byte("before")) {
		t.Fatalf("%q: %v", b, err)
	}
	b = b[len("before"):]
	got, err := Decode(b)
	if err != nil {
		t.Fatalf("%v: %x of %v", err, b, row)
	}
	if !proto.Equal(got, row) || !bytes.Equal(plainOf(t, got), plainOf(t, row)) { // Equal takes -0 for 0
		t.Fatalf("got %v\nwant %v\nby %x", got, row, b)
	}
	again, err := Append(nil, got)
	if err != nil || !bytes.Equal(again, b) {
		t.Fatalf("encodes to %x\nand to %x: %v", b, again, err)
	}
	was := proto.Clone(got)
	for i := range b {
		b[i]++
	}
	if !proto.Equal(got, was) {
		t.Fatal("the row shares memory with its bytes")
	}
	return again
}

func TestRowsComeBackExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	packed, linked := 0, 0
	for i := range 6000 {
		b := roundTrip(t, randomRow(r, 2+i%40))
		if len(b) > 1 && b[0] == Form {
			packed++
			linked += int(b[1] & 1)
		}
	}
	if packed < 5000 || linked < 500 {
		t.Errorf("%d rows were packed, %d had recent ids that were held: too few to say anything", packed, linked)
	}
}

func TestHugeRowsComeBackExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3 {
		roundTrip(t, randomRow(r, 700))
	}
	row := &schemas.EngageRow{Triggers: []*schemas.TriggerRow{{Campaign: "one"}, {Campaign: "two"}}}
	for i := range 20_000 { // one campaign with all, another with the same again
		for _, p := range row.Triggers {
			p.EventIds = append(p.EventIds, strconv.Itoa(i))
			p.EventTimesMs = append(p.EventTimesMs, int64(i))
		}
	}
	if n := len(roundTrip(t, row)); n > 300_000 {
		t.Errorf("%d bytes", n)
	}
}

func TestRowsWithoutAnythingToPackArePlain(t *testing.T) {
	for name, row := range map[string]*schemas.EngageRow{
		"empty":                 {},
		"a pointer":             {Identity: &schemas.IdentityState{Owner: "ann"}},
		"ids alone":             {RecentIds: []uint64{1}},
		"times alone":           {RecentIds: []uint64{1}, RecentS: []uint32{1, 2}},
		"an event without time": {Triggers: []*schemas.TriggerRow{{EventIds: []string{""}}}},
		"a step too many":       {Triggers: []*schemas.TriggerRow{{EventSteps: []uint32{0}}}},
		"a part's number":       {Triggers: []*schemas.TriggerRow{{Parts: []*schemas.TriggerPart{{EventNumbers: []float64{1}}}}}},
	} {
		want, err := row.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if got := roundTrip(t, row); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", name, got, want)
		}
	}
}

// A field that a record gains must be packed, or added to rest, or left plain: this test says so.
func TestEveryFieldOfARowIsPacked(t *testing.T) {
	row := &schemas.EngageRow{}
	fill(row.ProtoReflect())
	roundTrip(t, row)
	if b := roundTrip(t, row); b[0] != Form {
		t.Errorf("%x is not packed", b)
	}
}

// fill sets every field, and in every message one that is not known.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		var v protoreflect.Value
		switch f.Kind() {
		case protoreflect.MessageKind:
			if f.IsList() {
				fill(m.Mutable(f).List().AppendMutable().Message())
			} else {
				fill(m.Mutable(f).Message())
			}
			continue
		case protoreflect.StringKind:
			v = protoreflect.ValueOfString(string(f.Name()))
		case protoreflect.BytesKind:
			v = protoreflect.ValueOfBytes([]byte(f.Name()))
		case protoreflect.BoolKind:
			v = protoreflect.ValueOfBool(true)
		case protoreflect.DoubleKind:
			v = protoreflect.ValueOfFloat64(2.5)
		case protoreflect.Fixed64Kind:
			v = protoreflect.ValueOfUint64(uint64(f.Number()))
		case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
			v = protoreflect.ValueOfUint32(uint32(f.Number()))
		default:
			v = protoreflect.ValueOfInt64(int64(f.Number()))
		}
		if f.IsList() {
			m.Mutable(f).List().Append(v)
		} else {
			m.Set(f, v)
		}
	}
	m.SetUnknown([]byte{0xfa, 0x07, 0x01, 'n'})
}

func TestDamagedRowsAreRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	row := randomRow(r, 30)
	row.Gates, row.Profile, row.Identity = nil, nil, nil
	row.ProtoReflect().SetUnknown(nil)
	whole, err := Append(nil, row)
	if err != nil || whole[0] != Form {
		t.Fatal(err)
	}
	for n := 1; n < len(whole); n++ {
		if _, err := Decode(whole[:n]); !errors.Is(err, schemas.ErrUndecodable) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for name, rest := range map[string]*schemas.EngageRow{
		"an id":      {RecentIds: []uint64{1}},
		"a second":   {RecentS: []uint32{1}},
		"a campaign": {Triggers: []*schemas.TriggerRow{{}}},
	} {
		b, err := rest.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(append(slices.Clone(whole), b...)); !errors.Is(err, schemas.ErrUndecodable) {
			t.Errorf("%s once more: %v", name, err)
		}
	}
	var old schemas.EngageRow
	if err := old.UnmarshalVT(whole); err == nil {
		t.Error("a version that knows no packing reads a packed row")
	}
}

// memory is what a decode of b allocates, in bytes.
func memory(b []byte) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = Decode(b)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestAShortInputClaimsLittleMemory(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 300 {
		whole, err := Append(nil, randomRow(r, 2+i%20))
		if err != nil {
			t.Fatal(err)
		}
		at := r.IntN(len(whole) + 1)
		b := slices.Concat(whole[:at], huge, whole[at:])
		if n := memory(b); n > uint64(400*len(b)+4096) {
			t.Fatalf("%d bytes take %d: %x", len(b), n, b)
		}
	}
}

// Else a few bytes could claim a long name again and again.
func TestANameSharesNoMoreThanItMay(t *testing.T) {
	for shared, ok := range map[byte]bool{maxShared - nibble: true, maxShared - nibble + 1: false} {
		b := appendName([]byte{Form, 0, 0, 2}, "", strings.Repeat("n", 3000))
		b = append(b, make([]byte, 9)...)
		b = append(appendUvarint(append(b, nibble<<4), uint64(shared)), make([]byte, 9)...)
		row, err := Decode(b)
		if (err == nil) != ok || ok && len(row.Triggers[1].Campaign) != maxShared {
			t.Errorf("%d bytes: %v", int(shared)+nibble, err)
		}
	}
}

func TestListsOfARowAreApart(t *testing.T) {
	row := campaignRow(12)
	b, err := Append(nil, row)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got.Triggers { // as a step may
		_ = append(p.EventIds, "x")
		_ = append(p.EventTimesMs, -1)
		_ = append(p.EventSteps, 99)
		_ = append(p.EventNumbers, 99)
	}
	if !proto.Equal(got, row) {
		t.Errorf("got %v\nwant %v", got, row)
	}
}
