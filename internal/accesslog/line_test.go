package accesslog

import (
	"strings"
	"testing"
	"time"
)

func TestCombinedLine(t *testing.T) {
	l, err := Parse(`83.149.9.216 - frank [17/May/2015:10:05:03 +0200] "GET /a?b=c HTTP/1.1" 200 203023 "http://x/" "Mozilla \"5.0\" (X; Y)"`)
	want := Line{
		Address: "83.149.9.216", Time: l.Time, Method: "GET", Target: "/a?b=c", Protocol: "HTTP/1.1",
		Status: 200, Bytes: 203023, Referrer: "http://x/", Agent: `Mozilla "5.0" (X; Y)`,
	}
	if err != nil || l != want {
		t.Fatalf("got %+v, %v", l, err)
	}
	if at := time.Date(2015, 5, 17, 8, 5, 3, 0, time.UTC); !l.Time.Equal(at) {
		t.Errorf("time = %v, want %v", l.Time, at)
	}
}

func TestDashMeansNone(t *testing.T) {
	l, err := Parse(`::1 - - [17/May/2015:10:05:03 +0000] "HEAD / HTTP/1.0" 304 - "-" "-"`)
	if err != nil || l.Bytes != 0 || l.Referrer != "" || l.Agent != "" {
		t.Fatalf("got %+v, %v", l, err)
	}
}

func TestFaultsNameTheField(t *testing.T) {
	const ok = `1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "x"`
	for _, c := range []struct{ line, fault string }{
		{"", "address"},
		{strings.Replace(ok, "[17", "17", 1), "time"},
		{strings.Replace(ok, "17/May", "17/Mai", 1), "time"},
		{strings.Replace(ok, "GET / HTTP/1.1", "GET /", 1), "request"},
		{strings.Replace(ok, "GET / HTTP/1.1", "GET /a b HTTP/1.1", 1), "request"},
		{strings.Replace(ok, " 200 ", " ok ", 1), "status"},
		{strings.Replace(ok, " 200 1 ", " 200 -1 ", 1), "bytes"},
		{strings.TrimSuffix(ok, `"`), "agent"},
		{ok + " more", "after the agent"},
		{strings.Repeat("a", MaxLineBytes+1), "bytes"},
	} {
		if _, err := Parse(c.line); err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("Parse(%.60q) = %v, want a fault about %s", c.line, err, c.fault)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "x"`)
	f.Add(`a b c [] "" 1 - "\\" "\"`)
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err == nil && (l.Method == "" || l.Target == "" || l.Status < 100 || l.Bytes < 0) {
			t.Errorf("Parse(%q) = %+v without a fault", s, l)
		}
	})
}
