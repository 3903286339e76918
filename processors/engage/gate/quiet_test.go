package gate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/dwellhq/dwell/internal/seedtest"
)

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// quietAt reads the clock on the wall as text, as a person would.
func quietAt(at time.Time, zone *time.Location, from, to string) bool {
	shows := at.In(zone).Format("15:04")
	if from < to {
		return from <= shows && shows < to
	}
	return shows >= from || shows < to
}

// changes are the days of 2026 on which the offset of a zone changes; without any, two plain ones.
func changes(zone *time.Location) (days []time.Time) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for at.Year() == 2026 {
		next := at.Add(time.Hour)
		if _, a := at.In(zone).Zone(); true {
			if _, b := next.In(zone).Zone(); a != b {
				days = append(days, at)
			}
		}
		at = next
	}
	if days == nil {
		days = []time.Time{time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)}
	}
	return days
}

// The end of quiet hours is held against a search, minute by minute, over the days on which the
// clocks change: by an hour, by half an hour (Lord Howe), at midnight (Santiago), never (Kathmandu).
func TestQuietHoursEndWhereASearchFindsTheEnd(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	for _, name := range []string{"Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "UTC"} {
		zone := mustZone(t, name)
		for _, day := range changes(zone) {
			for range 300 {
				fromMinute, toMinute := r.IntN(24*60), r.IntN(24*60)
				if r.IntN(2) == 0 { // near the change
					toMinute = r.IntN(4 * 60)
				}
				if fromMinute == toMinute {
					continue
				}
				h := Hours{From: time.Duration(fromMinute) * time.Minute, To: time.Duration(toMinute) * time.Minute}
				from, to := fmt.Sprintf("%02d:%02d", fromMinute/60, fromMinute%60), fmt.Sprintf("%02d:%02d", toMinute/60, toMinute%60)
				now := day.Add(time.Duration(r.IntN(48*60)-30*60) * time.Minute)
				want := now
				for quietAt(want, zone, from, to) {
					want = want.Add(time.Minute)
				}
				within := time.Duration(r.IntN(60_000)) * time.Millisecond // any moment of the minute
				end, quiet := h.End(now.Add(within), zone)
				if quiet != !want.Equal(now) {
					t.Fatalf("%s, %s-%s: at %s quiet is %v", name, from, to, now, quiet)
				}
				if quiet && !end.Equal(want) {
					t.Fatalf("%s, %s-%s: quiet from %s ends %s, want %s", name, from, to, now.In(zone), end.In(zone), want.In(zone))
				}
			}
		}
	}
}

func TestQuietHoursOnDaysOfChange(t *testing.T) {
	for _, c := range []struct{ zone, from, to, now, end string }{
		{"Europe/London", "22:00", "08:00", "2026-03-28T23:30:00Z", "2026-03-29T07:00:00Z"},
		{"Europe/London", "22:00", "08:00", "2026-03-27T23:30:00Z", "2026-03-28T08:00:00Z"},
		{"Europe/London", "22:00", "08:00", "2026-10-24T22:00:00Z", "2026-10-25T08:00:00Z"},
		{"Europe/London", "22:00", "01:30", "2026-03-28T23:30:00Z", "2026-03-29T01:00:00Z"}, // 01:30 is never shown: over at 02:00
		{"Europe/London", "22:00", "01:30", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"}, // the first 01:30
		{"Europe/London", "22:00", "01:30", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"}, // 01:00 again: quiet again
		{"Europe/London", "22:00", "08:00", "2026-03-29T07:00:00Z", ""},
		{"Europe/London", "22:00", "08:00", "2026-03-29T06:59:59Z", "2026-03-29T07:00:00Z"},
		{"Europe/London", "13:00", "14:00", "2026-06-01T12:00:00Z", "2026-06-01T13:00:00Z"},
		{"Europe/London", "13:00", "14:00", "2026-06-01T13:00:00Z", ""},
		{"", "00:00", "23:59", "2026-06-01T12:00:00Z", "2026-06-01T23:59:00Z"},
	} {
		h, now := Hours{From: wall(t, c.from), To: wall(t, c.to)}, instant(t, c.now)
		var user *time.Location
		if c.zone != "" {
			user = mustZone(t, c.zone)
		}
		end, quiet := h.End(now, user)
		if quiet != (c.end != "") || quiet && !end.Equal(instant(t, c.end)) {
			t.Errorf("%+v: %v, until %s", c, quiet, end)
		}
		// A zone of the campaign's own goes before the user's.
		h.Zone = user
		if again, q := h.End(now, mustZone(t, "Asia/Tokyo")); user != nil && (q != quiet || !again.Equal(end)) {
			t.Errorf("%+v: %v, until %s with a user in Tokyo", c, q, again)
		}
	}
}

func TestZonesAreTheSameEverywhere(t *testing.T) {
	for name, good := range map[string]bool{"UTC": true, "Europe/London": true, "": false, "Local": false, "../etc/passwd": false, "Mars/Olympus": false, "GMT+25": false} {
		if zone, err := Zone(name); (err == nil) != good || (zone != nil) != good {
			t.Errorf("%q: %v, %v", name, zone, err)
		}
	}
	if _, err := Zone(string(make([]byte, 10_000))); err == nil || len(err.Error()) > 1000 {
		t.Error("a huge name is taken, or quoted whole")
	}
}

func wall(t *testing.T, text string) time.Duration {
	t.Helper()
	var h, m int
	if _, err := fmt.Sscanf(text, "%d:%d", &h, &m); err != nil {
		t.Fatal(err)
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
