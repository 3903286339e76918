package schemas

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Fact is one event that counts: deduplicated, and flat for analysts. Facts travel in blocks.
type Fact struct {
	EventID, Tenant, User, Type, Name          string
	TimeMS, ReceivedMS                         int64
	N                                          uint32 // events it stands for, ≥ 1
	Path, Referrer, UserAgent, Address, Source string
	Properties                                 []byte
	At                                         Coordinates // of the event it came from
}

// MaxBlockBytes is the most that a block holds before compression.
const MaxBlockBytes = 512 << 10

// blockV1 opens every encoded block: zstd of a FactBlock follows.
const blockV1 = 'B'

// FactBlocks packs facts into records and back. The zero value is ready.
type FactBlocks struct{}

// Pack encodes facts, in order, into as few records as MaxBlockBytes allows.
func (FactBlocks) Pack(facts []*Fact) ([][]byte, error) {
	var out [][]byte
	for len(facts) > 0 {
		n := 0
		for size := 0; n < len(facts); n++ {
			if size += facts[n].size(); size > MaxBlockBytes && n > 0 {
				break
			}
		}
		b := blockFor(n)
		for _, f := range facts[:n] {
			b.add(f)
		}
		facts = facts[n:]
		raw, err := b.MarshalVT()
		if err != nil {
			return nil, fmt.Errorf("encode a block of %d facts: %w", n, err)
		}
		out = append(out, encoder.EncodeAll(raw, []byte{blockV1}))
	}
	return out, nil
}

// Unpack decodes one record. The block may be shared by many readers; it does not alias b.
func (FactBlocks) Unpack(b []byte) (*FactBlock, error) {
	if len(b) == 0 || b[0] != blockV1 {
		return nil, fmt.Errorf("%w: fact block: unknown version", ErrUndecodable)
	}
	raw, err := decoder.DecodeAll(b[1:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: fact block: %w", ErrUndecodable, err)
	}
	f := &FactBlock{}
	if err := f.UnmarshalVTUnsafe(raw); err != nil { // raw is ours alone: its strings may point into it
		return nil, fmt.Errorf("%w: fact block: %w", ErrUndecodable, err)
	}
	return f, f.check()
}

func (f *Fact) size() int {
	return len(f.EventID) + len(f.Tenant) + len(f.User) + len(f.Type) + len(f.Name) + len(f.Path) + len(f.Referrer) +
		len(f.UserAgent) + len(f.Address) + len(f.Source) + len(f.Properties) + len(f.At.Topic) + 48
}

// blockFor is a block with room for n facts in each column.
func blockFor(n int) *FactBlock {
	text := make([]string, 11*n) // one piece of memory for the columns of texts
	column := func() []string {
		c := text[0:0:n]
		text = text[n:]
		return c
	}
	return &FactBlock{
		EventId: column(), Tenant: column(), User: column(), Type: column(), Name: column(), Path: column(), Referrer: column(),
		UserAgent: column(), Address: column(), Source: column(), SrcTopic: column(),
		TimeMs: make([]int64, 0, n), ReceivedMs: make([]int64, 0, n), N: make([]uint32, 0, n), Properties: make([][]byte, 0, n),
		SrcPartition: make([]int32, 0, n), SrcOffset: make([]int64, 0, n),
	}
}

func (b *FactBlock) add(f *Fact) {
	b.EventId = append(b.EventId, f.EventID)
	b.Tenant = append(b.Tenant, f.Tenant)
	b.User = append(b.User, f.User)
	b.Type = append(b.Type, f.Type)
	b.Name = append(b.Name, f.Name)
	b.TimeMs = append(b.TimeMs, f.TimeMS)
	b.ReceivedMs = append(b.ReceivedMs, f.ReceivedMS)
	b.N = append(b.N, f.N)
	b.Path = append(b.Path, f.Path)
	b.Referrer = append(b.Referrer, f.Referrer)
	b.UserAgent = append(b.UserAgent, f.UserAgent)
	b.Address = append(b.Address, f.Address)
	b.Source = append(b.Source, f.Source)
	b.Properties = append(b.Properties, f.Properties)
	b.SrcTopic = append(b.SrcTopic, f.At.Topic)
	b.SrcPartition = append(b.SrcPartition, f.At.Partition)
	b.SrcOffset = append(b.SrcOffset, f.At.Offset)
}

// Len is the number of facts.
func (b *FactBlock) Len() int { return len(b.EventId) }

// Fact returns fact i, sharing memory with the block.
func (b *FactBlock) Fact(i int) Fact {
	return Fact{
		EventID: b.EventId[i], Tenant: b.Tenant[i], User: b.User[i], Type: b.Type[i], Name: b.Name[i],
		TimeMS: b.TimeMs[i], ReceivedMS: b.ReceivedMs[i], N: b.N[i],
		Path: b.Path[i], Referrer: b.Referrer[i], UserAgent: b.UserAgent[i], Address: b.Address[i], Source: b.Source[i],
		Properties: b.Properties[i], At: Coordinates{b.SrcTopic[i], b.SrcPartition[i], b.SrcOffset[i]},
	}
}

// check refuses a block that Pack would not make: one without facts, or with columns that differ in length.
func (b *FactBlock) check() error {
	n := b.Len()
	if n == 0 {
		return fmt.Errorf("%w: fact block: no facts", ErrUndecodable)
	}
	for _, m := range []int{
		len(b.Tenant), len(b.User), len(b.Type), len(b.Name), len(b.TimeMs), len(b.ReceivedMs), len(b.N), len(b.Path), len(b.Referrer),
		len(b.UserAgent), len(b.Address), len(b.Source), len(b.Properties), len(b.SrcTopic), len(b.SrcPartition), len(b.SrcOffset),
	} {
		if m != n {
			return fmt.Errorf("%w: fact block: columns of %d and %d facts", ErrUndecodable, n, m)
		}
	}
	return nil
}

// EncodeAll and DecodeAll are stateless and may run side by side. A fact alone may pass
// MaxBlockBytes; eight times that is a forged size.
var (
	encoder = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest)))
	decoder = must(zstd.NewReader(nil, zstd.WithDecoderMaxMemory(8*MaxBlockBytes)))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("schemas: zstd options: " + err.Error())
	}
	return v
}
