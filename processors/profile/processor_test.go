package profile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func send(r *proctest.Run, tenant, user, traits string, erased bool) {
	proctest.Send(r, topics.Traits, schemas.Key(tenant, user), &schemas.TraitUpdate{Tenant: tenant, User: user, Traits: []byte(traits), Erased: erased})
}

// told is what went out since, one word for each profile; a minus is before the key of one that was deleted.
func told(r *proctest.Run) string {
	var all []string
	for _, p := range proctest.Take(r, topics.Profiles) {
		all = append(all, fmt.Sprintf("%s/%s %s", p.Tenant, p.User, p.Traits))
	}
	for _, key := range proctest.TakeDeleted(r, topics.Profiles) {
		all = append(all, "-"+key)
	}
	return strings.Join(all, "; ")
}

func TestAProfileGoesOutWholeWheneverItChanges(t *testing.T) {
	r := proctest.New(t, Processor)
	for _, step := range []struct{ tenant, user, traits, want string }{
		{"demo", "ann", `{"country": "GB", "plan": "free"}`, `demo/ann {"country":"GB","plan":"free"}`},
		{"demo", "ann", `{"plan": "gold", "address": {"city": "York", "zip": null}}`, `demo/ann {"address":{"city":"York","zip":null},"country":"GB","plan":"gold"}`},
		{"demo", "ann", `{"plan": "gold"}`, ``},
		{"other", "ann", `{"plan": "x"}`, `other/ann {"plan":"x"}`},
		{"demo", "ann", `{"address": null, "never": null}`, `demo/ann {"country":"GB","plan":"gold"}`},
		{"demo", "ann", `[1]`, ``},
		{"demo", "ann", `{"country": null, "plan": null}`, `-demo/ann`},
		{"demo", "ann", `{"country": null}`, ``},
		{"demo", "ann", `{"plan": "back"}`, `demo/ann {"plan":"back"}`},
	} {
		send(r, step.tenant, step.user, step.traits, false)
		r.Advance(time.Second)
		if got := told(r); got != step.want {
			t.Errorf("%s of %s/%s: %q, want %q", step.traits, step.tenant, step.user, got, step.want)
		}
	}
	send(r, "demo", "ann", "", true)
	if got := told(r); got != "-demo/ann" || r.Row("demo/ann") != nil {
		t.Errorf("erased: %q, a row of %d bytes", got, len(r.Row("demo/ann")))
	}
	// Of one that is not there, too: it may have gone out empty, by an older version.
	send(r, "demo", "ann", "", true)
	if got := told(r); got != "-demo/ann" || r.Row("demo/ann") != nil {
		t.Errorf("erased again: %q, a row of %d bytes", got, len(r.Row("demo/ann")))
	}
	if r.Row("other/ann") == nil {
		t.Error("the other tenant's user was erased")
	}
	proctest.Send(r, topics.Traits, "demo/bob", &schemas.TraitUpdate{Tenant: "demo", User: "ann", Traits: []byte(`{"a":1}`)})
	if got := told(r); got != "" || r.Row("demo/bob") != nil {
		t.Errorf("another user's update: %q", got)
	}
}

func TestAProfileIsBounded(t *testing.T) {
	r := proctest.New(t, Processor)
	for i := range 3 {
		var many, long []string
		for j := range MaxTraits {
			many = append(many, fmt.Sprintf(`"t%d": %d`, i*MaxTraits/2+j, j))
		}
		for j := range 40 {
			long = append(long, fmt.Sprintf(`"t%d": %q`, i*40+j, strings.Repeat("x", 1000)))
		}
		send(r, "demo", "many", "{"+strings.Join(many, ", ")+"}", false)
		send(r, "demo", "long", "{"+strings.Join(long, ", ")+"}", false)
	}
	send(r, "demo", "long", `{"t1": "small", "u": 1}`, false)
	last := map[string]*schemas.Profile{}
	for _, p := range proctest.Take(r, topics.Profiles) {
		last[p.User] = p
	}
	if n := strings.Count(string(last["many"].Traits), ":"); n != MaxTraits {
		t.Errorf("%d traits are kept", n)
	}
	if n := len(last["long"].Traits); n > MaxBytes || n < MaxBytes/2 || !strings.Contains(string(last["long"].Traits), `"t1":"small"`) {
		t.Errorf("%d bytes are kept", n)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a": 1}`), []byte(`{"a": null, "b": {"c": [1e400]}}`))
	f.Add([]byte(nil), []byte(`{"": "\u0000"}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		one := merge(nil, a)
		two := merge(one, b)
		if again := merge(two, b); string(again) != string(two) {
			t.Fatalf("%q and %q make %q, once more %q", a, b, two, again)
		}
		if len(two) > MaxBytes+len(one) {
			t.Fatalf("%d bytes", len(two))
		}
	})
}
