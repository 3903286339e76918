package schemas

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Limits of one frame.
const (
	// MaxFrameBytes bounds a frame as it comes in.
	MaxFrameBytes = MaxEventBytes
	// MaxFrameSlots bounds the open slots of one page view.
	MaxFrameSlots = 64
	// MaxSeq is the highest seq.
	MaxSeq = math.MaxInt32
	// MaxFrameMS bounds every time in a frame: what a browser's number holds exactly.
	MaxFrameMS = 1 << 53
	// MaxPixels bounds areas: a million times as much still fits an int64.
	MaxPixels = 1_000_000_000_000
)

// Key is the frame's key in Kafka.
func (f *Frame) Key() string { return Key(f.Tenant, f.User) }

// Validate reports every fault of a frame, by the names that the browser uses. A frame that passes
// has ids within MaxIDBytes, times within [0, MaxFrameMS] (wt aside) and areas within [0, MaxPixels].
func (f *Frame) Validate() error {
	var c frameCheck
	if strings.Contains(f.Tenant, "/") {
		c.add("tenant: %q holds a slash", f.Tenant)
	}
	c.id("tenant", f.Tenant, true)
	c.id("user", f.User, true)
	c.id("pv", f.PageView, true)
	c.seq("seq", f.Seq)
	c.ms("ct", f.CtMs)
	c.ms("est", f.EstMs)
	c.ms("ect", f.EctMs)
	c.ms("act", f.ActMs)
	c.ms("received time", f.ReceivedMs)
	c.area("vw", int64(f.ViewportWidth))
	c.area("vh", int64(f.ViewportHeight))
	if n := len(f.Slots); n > MaxFrameSlots {
		c.add("slots: %d, at most %d are taken", n, MaxFrameSlots)
		return errors.Join(c.faults...)
	}
	for i, s := range f.Slots {
		c.slot(s)
		for _, before := range f.Slots[:i] {
			if before.Slot == s.Slot {
				c.add("slots: %q is there twice", clip(s.Slot))
			}
		}
	}
	return errors.Join(c.faults...)
}

// frameCheck collects faults; it names a field only when there is one, so that a good frame costs
// no memory.
type frameCheck struct{ faults []error }

func (c *frameCheck) add(format string, a ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, a...))
}

func (c *frameCheck) id(field, v string, must bool) {
	switch {
	case must && v == "":
		c.add("%s: is empty", field)
	case len(v) > MaxIDBytes:
		c.add("%s: %d bytes, at most %d are taken", field, len(v), MaxIDBytes)
	case !utf8.ValidString(v):
		c.add("%s: %q is no UTF-8", field, v)
	}
}

func (c *frameCheck) seq(field string, v uint32) {
	if v > MaxSeq {
		c.add("%s: %d, at most %d is taken", field, v, MaxSeq)
	}
}

func (c *frameCheck) ms(field string, v int64) {
	if v < 0 || v > MaxFrameMS {
		c.add("%s: %d ms lie outside 0 to %d", field, v, int64(MaxFrameMS))
	}
}

func (c *frameCheck) area(field string, v int64) {
	if v < 0 || v > MaxPixels {
		c.add("%s: %d pixels lie outside 0 to %d", field, v, int64(MaxPixels))
	}
}

func (c *frameCheck) slot(s *FrameSlot) {
	before := len(c.faults)
	c.id("name", s.Slot, true)
	c.seq("o", s.OpenedSeq)
	c.id("fill", s.Fill, false)
	c.area("in", s.InPx)
	c.area("tot", s.TotalPx)
	c.ms("mt", s.MediaMs)
	c.id("campaign", s.Campaign, false)
	c.id("creative", s.Creative, false)
	c.id("placement", s.Placement, false)
	for i := before; i < len(c.faults); i++ {
		c.faults[i] = fmt.Errorf("slots: %q: %w", clip(s.Slot), c.faults[i])
	}
}

// clip keeps a client's text in a message short.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
