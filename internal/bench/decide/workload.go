package decide

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const (
	tenant = "bench"
	// eventEveryMS is the time from one record to the next; so a million events are 33 minutes.
	eventEveryMS = 2
	// One event in twiceEvery comes twice, one in lateEvery is up to lateMS old when it arrives.
	twiceEvery, lateEvery, lateMS = 200, 50, 10_000
	// The distribution of users: P(u) falls with (zipfV + u)^-zipfS, so the first has about 0.3 % of the
	// events and most of the others have one.
	zipfS, zipfV = 1.1, 50
	// nameS is how much a user keeps to few names; each begins with names of its own.
	nameS, nameV = 1.5, 3
)

// input is the events of a run: the same for the same numbers.
type input struct {
	plans      []Plan
	n, users   int
	partitions int32
	// from is the first record's time, Unix milliseconds.
	from int64
}

// record is one event as it is in the log.
type record struct {
	key       string
	partition int32
	ms        int64
	value     []byte
}

// feed makes the records in order.
type feed struct {
	input
	random *rand.Rand
	who    *rand.Zipf
	what   *rand.Zipf
	made   int
	again  *record
	offset []int64
}

func (in input) feed() *feed {
	r := rand.New(rand.NewPCG(1, 2))
	return &feed{
		input: in, random: r, who: rand.NewZipf(r, zipfS, zipfV, uint64(in.users-1)), what: rand.NewZipf(r, nameS, nameV, eventNames-1),
		offset: make([]int64, in.partitions),
	}
}

// next is the next record with its offset in its partition; false: there are no more.
func (f *feed) next() (r record, offset int64, ok bool, err error) {
	if f.made >= f.n {
		return r, 0, false, nil
	}
	f.made++
	ms := f.from + int64(f.made)*eventEveryMS
	switch {
	case f.again != nil:
		r, f.again = *f.again, nil
		r.ms = ms
	default:
		if r, err = f.make(ms); err != nil {
			return r, 0, false, err
		}
		if f.random.IntN(twiceEvery) == 0 {
			again := r
			f.again = &again
		}
	}
	offset = f.offset[r.partition]
	f.offset[r.partition]++
	return r, offset, true, nil
}

// results are of a bet.
var results = [...]string{"win", "win", "loss", "void"}

func (f *feed) make(ms int64) (record, error) {
	u := f.who.Uint64()
	name := eventName(int((spread(u) + f.what.Uint64()) % eventNames))
	at := ms
	if f.random.IntN(lateEvery) == 0 {
		at -= int64(f.random.IntN(lateMS))
	}
	props := fmt.Sprintf(`{"amount":%d.5,"result":%q,"page":"/sports/football/%d","currency":"GBP"}`, f.random.IntN(200), results[f.random.IntN(len(results))], f.random.IntN(500))
	return f.event("user-"+strconv.FormatUint(u, 10), uuid(f.random.Uint64(), f.random.Uint64()), name, at, ms, props)
}

// event is the record of one event.
func (in input) event(user, id, name string, at, ms int64, props string) (record, error) {
	e := schemas.Event{
		Id: id, Tenant: tenant, UserId: user, Type: "track", Name: name, TimeMs: at, ReceivedMs: ms, Properties: []byte(props), Path: "/sports", Source: "bench",
	}
	b, err := topics.Events.Codec.Append(nil, &e)
	if err != nil {
		return record{}, err
	}
	key := e.Key()
	return record{key, kafka.PartitionOf(key, in.partitions), ms, b}, nil
}

// spread puts users apart, the same in every run.
func spread(u uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, u)) // never fails
	return h.Sum64() >> 8
}

// uuid is an id as clients make them: 36 bytes.
func uuid(a, b uint64) string {
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", uint32(a>>32), uint16(a>>16), uint16(a), uint16(b>>48), b&(1<<48-1))
}
