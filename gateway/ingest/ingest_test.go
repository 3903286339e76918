package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

var (
	limits = Limits{EventBytes: 2000, BatchBytes: 8000, Items: 50}
	sender = Sender{Tenant: "acme", Source: "web", Address: "203.0.113.0", UserAgent: "UA", NowMS: 1_800_000_000_000}
)

// FuzzCalls: whatever comes in, each item ends either as an event of the sender's tenant that decodes
// again, or as a fault that says what, where and what to do.
func FuzzCalls(f *testing.F) {
	for _, s := range []string{
		`{"userId":"ann","event":"e","properties":{"a":[1,{}]},"timestamp":"2026-01-01T00:00:00Z"}`,
		`{"batch":[{"type":"track","userId":"u","event":"e"},{"type":"x"},null,7,"s",[]],"context":{"userAgent":"a","page":{"path":"/"}}}`,
		`{"batch":[]}`, `{"batch":{}}`, `{"userId":7}`, `{`, ``, `null`, `[]`, "{\"userId\":\"\xff\"}", `{"tenant":"rival","userId":"u","type":"alias"}`,
		`{"anonymousId":"a","traits":"x"}`, `{"writeKey":"k","USERID":"u","event":"` + strings.Repeat("e", 300) + `"}`, `{"userId":"a\u0000/b"}`,
	} {
		for kind := range Kinds() {
			f.Add(kind, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		name := Kinds()[max(kind, 0)%len(Kinds())]
		c, err := ParseCalls(name, body, limits)
		if err != nil {
			told(t, err)
			return
		}
		for i := range c.Len() {
			e, err := c.Event(i, sender)
			if err != nil {
				told(t, err)
				continue
			}
			if e.Tenant != "acme" || e.Source != "web" || e.ReceivedMs != sender.NowMS || e.Validate() != nil || !strings.HasPrefix(e.Key(), "acme/") {
				t.Errorf("event %v", e)
			}
			if name != Batch && e.Type != name {
				t.Errorf("a %s came out of %s", e.Type, name)
			}
			again(t, topics.Events, e)
		}
	})
}

func FuzzFrames(f *testing.F) {
	for _, s := range []string{
		`{"writeKey":"k","anonymousId":"a","frames":[{"v":1,"uid":"eve","pv":"p","seq":0,"ct":1.5,"slots":{"s":{"o":0,"fill":7,"in":1,"tot":2}}}]}`,
		`{"userId":"u","frames":[{},null,1]}`, `{"userId":"u","frames":[]}`, `{"userId":"u"}`, `{"frames":[{}]}`, `{`, ``, `{"userId":"u","frames":["` + strings.Repeat("x", 3000) + `"]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := ParseFrames(body, limits)
		if err != nil {
			told(t, err)
			return
		}
		for i := range p.Len() {
			frame, err := p.Frame(i, sender)
			if err != nil {
				told(t, err)
				continue
			}
			if frame.Tenant != "acme" || frame.User == "" || frame.ReceivedMs != sender.NowMS {
				t.Errorf("frame %v", frame)
			}
			again(t, topics.Frames, frame)
		}
	})
}

func told(t *testing.T, err error) {
	t.Helper()
	f, ok := errors.AsType[*answer.Fault](err)
	if !ok || f.Status != 400 && f.Status != 413 || f.What == "" || f.Where == "" || f.Do == "" {
		t.Errorf("refused with %#v", err)
	}
}

func again[T fmt.Stringer](t *testing.T, topic topics.Topic[T], v T) {
	t.Helper()
	b, err := topic.Codec.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := topic.Codec.Decode(b)
	if err != nil || got.String() != v.String() {
		t.Errorf("encoded %v, decoded %v, %v", v, got, err)
	}
}

func TestAgentHeaderIsCutBetweenCharacters(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	for _, agent := range []string{"", "Agent/1", strings.Repeat("é", 2000), "x" + strings.Repeat("é", 2000), "a\xffb"} {
		r.Header.Set("User-Agent", agent)
		s := FromRequest(r, false)
		if len(s.UserAgent) > maxAgentBytes || !utf8.ValidString(s.UserAgent) || len(agent) > 3000 && len(s.UserAgent) < maxAgentBytes-3 {
			t.Errorf("%.10q became %d bytes", agent, len(s.UserAgent))
		}
	}
}

func TestItemsAreBoundedOneByOne(t *testing.T) {
	fits := `{"type":"track","userId":"u","event":"e","properties":{"x":"` + strings.Repeat("y", 1900) + `"}}`
	c, err := ParseCalls(Batch, []byte(`{"batch":[`+fits+`,`+strings.Replace(fits, "y", strings.Repeat("y", 200), 1)+`]}`), limits)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Event(0, sender); err != nil {
		t.Error(err)
	}
	if _, err := c.Event(1, sender); answer.Of(err).Status != 413 {
		t.Errorf("err = %v", err)
	}
}

func TestUserIDWinsOverAnonymousID(t *testing.T) {
	p, err := ParseFrames([]byte(`{"userId":"ann","anonymousId":"x","frames":[{"v":1,"pv":"p","seq":0,"ct":1,"slots":{}}]}`), limits)
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Frame(0, sender)
	if err != nil || schemas.Key(f.Tenant, f.User) != "acme/ann" {
		t.Errorf("%v, %v", f, err)
	}
}

// TestBombIsNotUnpacked counts what reading one allocates: a few times the limit, not its 32 MiB.
func TestBombIsNotUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	z, err := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for range 32 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const limit = 500 << 10
	r := httptest.NewRequest(http.MethodPost, "/", &bomb)
	r.Header.Set("Content-Encoding", "gzip")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := Budget{Bytes: limit}
	_, free, err := b.Read(httptest.NewRecorder(), r, limit)
	free()
	runtime.ReadMemStats(&after)
	if answer.Of(err).Status != 413 || b.held.Load() != 0 {
		t.Errorf("err = %v, %d bytes held", err, b.held.Load())
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("reading it took %d MiB", took>>20)
	}
}
