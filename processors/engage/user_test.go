package engage

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const (
	trendsFile = "testdata/campaigns/trends.yaml"
	vipFile    = "testdata/campaigns/vip.yaml"
)

func source(t testing.TB, file string, changes ...string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(s, changes[i]) {
			t.Fatalf("%s does not hold %q", file, changes[i])
		}
		s = strings.ReplaceAll(s, changes[i], changes[i+1])
	}
	return s
}

func identify(r *proctest.Run, tenant, user, id, traits string) *schemas.Event {
	now := r.Now().UnixMilli()
	return &schemas.Event{Id: id, Tenant: tenant, UserId: user, Type: "identify", Name: "identify", TimeMs: now, ReceivedMs: now, Traits: []byte(traits)}
}

func track(r *proctest.Run, tenant, user, id, name, props string) *schemas.Event {
	now := r.Now().UnixMilli()
	return &schemas.Event{Id: id, Tenant: tenant, UserId: user, Type: "track", Name: name, TimeMs: now, ReceivedMs: now, Properties: []byte(props)}
}

// rowIn is what the row of a key holds; nil: no row.
func rowIn(t testing.TB, r *proctest.Run, key string) *schemas.EngageRow {
	t.Helper()
	b := r.Row(key)
	if b == nil {
		return nil
	}
	row, err := Processor.DecodeRow(bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	return processors.State[schemas.EngageRow](row)
}

func join(r *proctest.Run, tenant, user, audience string, version int64) {
	m := &schemas.Member{Tenant: tenant, User: user, Audience: audience, Version: version}
	proctest.Send(r, topics.Members, schemas.Key(tenant, user), m)
}

func makeCurrent(r *proctest.Run, tenant, audience string, version int64) {
	proctest.Declare(r, topics.Declarations, "List/"+tenant+"/"+audience, &schemas.Declaration{Kind: "List", Tenant: tenant, Name: audience, Version: fmt.Sprint(version)})
}

func words(r *proctest.Run) string {
	var all []string
	for _, v := range proctest.Take(r, topics.Verdicts) {
		all = append(all, v.Verdict)
	}
	return strings.Join(all, " ")
}

func TestEachTenantKnowsItsOwnUsers(t *testing.T) {
	r := proctest.New(t, Processor)
	for _, tenant := range []string{"demo", "other"} {
		declareSource(t, r, tenant, source(t, trendsFile))
		declareSource(t, r, tenant, source(t, vipFile))
	}
	post(r, identify(r, "demo", "ann", "1", `{"country": "GB"}`))
	post(r, track(r, "demo", "ann", "2", "deposit", `{"amount": 500}`))
	if got := words(r); got != Sent {
		t.Errorf("demo: %q", got)
	}
	post(r, track(r, "other", "ann", "2", "deposit", `{"amount": 500}`))
	if got := words(r); got != Outside {
		t.Errorf("other: %q", got)
	}
	join(r, "demo", "ann", "vip", 5)
	makeCurrent(r, "demo", "vip", 5)
	makeCurrent(r, "other", "vip", 5)
	post(r, track(r, "demo", "ann", "3", "bet", `{}`))
	post(r, track(r, "other", "ann", "3", "bet", `{}`))
	if got := words(r); got != Sent+" "+Outside {
		t.Errorf("lists: %q", got)
	}
}

func TestARowKeepsTheTraitsThatSomethingReads(t *testing.T) {
	r := proctest.New(t, Processor)
	said := `{"country": "GB", "plan": "gold", "email": "a@example.com", "fav": {"b": [1, 2]}}`
	kept := func() string {
		var all []string
		for _, tr := range rowIn(t, r, "demo/ann").GetProfile().GetTraits() {
			all = append(all, tr.Name+"="+string(tr.Value))
		}
		return strings.Join(all, " ")
	}
	for i, step := range []struct{ declare, want string }{
		{"", ""},
		{trendsFile, `country="GB"`}, // a trait's where and a campaign's audience
		{"keep", `country="GB" fav={"b":[1,2]}`},
	} {
		switch step.declare {
		case "":
		case "keep":
			declareSource(t, r, "demo", "apiVersion: dwell/v1\nkind: Trait\nmetadata: {name: fav}\nspec: {keep: true}\n")
		default:
			declareSource(t, r, "demo", source(t, step.declare))
		}
		post(r, identify(r, "demo", "ann", fmt.Sprint(i), said))
		post(r, identify(r, "demo", "ann", fmt.Sprint(i), said)) // a duplicate
		if got := kept(); got != step.want {
			t.Errorf("%s: %s is kept, want %s", step.declare, got, step.want)
		}
	}
	updates := proctest.Take(r, topics.Traits)
	if len(updates) != 3 || string(updates[0].Traits) != said || updates[0].User != "ann" || updates[2].EventId != "2" {
		t.Errorf("for the profiles: %v", updates)
	}
	post(r, identify(r, "demo", "ann", "gone", `{"country": null, "fav": null}`))
	if row := rowIn(t, r, "demo/ann"); row.Profile != nil {
		t.Errorf("null leaves %v", row.Profile)
	}
	// What nobody reads any more goes when the user is idle.
	post(r, identify(r, "demo", "ann", "back", said))
	for _, key := range []string{"Campaign/demo/cashback", "Trait/demo/games", "Trait/demo/fav"} {
		r.Retract(topics.Declarations.Name, key)
	}
	r.Advance(8 * 24 * time.Hour)
	if row := rowIn(t, r, "demo/ann"); row != nil {
		t.Errorf("an idle user of whom nothing is read: %v", row)
	}
}

func TestMoreTraitsThanARowKeepsAreSaid(t *testing.T) {
	r := proctest.New(t, Processor)
	var files, traits []string
	for i := range profile.MaxTraits + 2 {
		files = append(files, fmt.Sprintf("apiVersion: dwell/v1\nkind: Trait\nmetadata: {name: t%d}\nspec: {keep: true}\n", i))
		traits = append(traits, fmt.Sprintf(`"t%d": %d`, i, i))
	}
	declareSource(t, r, "demo", strings.Join(files, "---\n"))
	post(r, identify(r, "demo", "ann", "1", "{"+strings.Join(traits, ", ")+"}"))
	got := proctest.Take(r, topics.Verdicts)
	if len(got) != 1 || got[0].Verdict != Overfull || !bytes.Contains(got[0].Detail, []byte(`not kept t8, t9`)) || !bytes.Contains(got[0].Detail, []byte(`"count":2`)) {
		t.Errorf("got %v", got)
	}
	if n := len(rowIn(t, r, "demo/ann").Profile.Traits); n != profile.MaxTraits {
		t.Errorf("%d are kept", n)
	}
	// A value that became too long is not known any more, rather than the one before.
	post(r, identify(r, "demo", "bob", "1", `{"t1": "short"}`))
	post(r, identify(r, "demo", "bob", "2", fmt.Sprintf(`{"t1": %q}`, strings.Repeat("x", profile.MaxTraitBytes))))
	if got := words(r); got != Overfull || rowIn(t, r, "demo/bob").Profile != nil {
		t.Errorf("%q, %v", got, rowIn(t, r, "demo/bob"))
	}
}

func TestRowsForgetListsThatAreOver(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", source(t, vipFile))
	lists := func(user string) int { return len(rowIn(t, r, "demo/"+user).GetProfile().GetListIds()) }
	for _, user := range []string{"ann", "bob", "cat"} {
		join(r, "demo", user, "vip", 10)
	}
	makeCurrent(r, "demo", "vip", 10)
	r.Advance(30 * 24 * time.Hour)
	if lists("ann") != 1 || lists("bob") != 1 {
		t.Errorf("idle members are forgotten: %d, %d", lists("ann"), lists("bob"))
	}
	join(r, "demo", "bob", "vip", 20)
	if lists("bob") != 2 {
		t.Errorf("while a version is loaded bob is in %d", lists("bob"))
	}
	makeCurrent(r, "demo", "vip", 20)
	join(r, "demo", "bob", "vip", 30) // touched: the version before is dropped
	if lists("bob") != 2 {
		t.Errorf("bob is in %d versions", lists("bob"))
	}
	// A member of nothing that is current has no row after a week.
	r.Advance(8 * 24 * time.Hour)
	if r.Row("demo/ann") != nil || r.Row("demo/bob") == nil {
		t.Errorf("rows: ann %v, bob %v", rowIn(t, r, "demo/ann"), rowIn(t, r, "demo/bob"))
	}
	r.Retract(topics.Declarations.Name, "Audience/demo/vip")
	r.Advance(8 * 24 * time.Hour)
	if r.Row("demo/bob") != nil {
		t.Errorf("the audience is gone, bob's row is %v", rowIn(t, r, "demo/bob"))
	}
}

func TestMembershipsOfOthersAreRefused(t *testing.T) {
	r := proctest.New(t, Processor)
	for name, m := range map[string]*schemas.Member{
		"another user": {Tenant: "demo", User: "bob", Audience: "vip", Version: 1}, "another tenant": {Tenant: "x", User: "ann", Audience: "vip", Version: 1},
		"no name": {Tenant: "demo", User: "ann", Version: 1}, "no version": {Tenant: "demo", User: "ann", Audience: "vip"},
	} {
		proctest.Send(r, topics.Members, "demo/ann", m)
		if got := words(r); got != Invalid || r.Row("demo/ann") != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestFaultyAudiencesAndTraitsKeepTheVersionBefore(t *testing.T) {
	good := "apiVersion: dwell/v1\nkind: Audience\nmetadata: {name: gb}\nspec: {where: 'user.country == \"GB\"'}\n"
	c := fold(nil, "Audience/demo/gb", declaration(good), false)
	bad := fold(c, "Audience/demo/gb", declaration(strings.Replace(good, "where", "were", 1)), false)
	if f := bad.Faults(); len(f) != 1 || f[0].Tenant != "demo" || f[0].Name != "gb" || f[0].InForce == "" || !strings.Contains(f[0].Err.Error(), "did you mean") {
		t.Errorf("faults are %+v", f)
	}
	if bad.book.Audience("demo", "gb") == nil || !bad.book.Wanted("demo")("country") || len(c.Faults()) > 0 {
		t.Error("the version before is not in force")
	}
	gone := fold(bad, "Audience/demo/gb", nil, true)
	if len(gone.Faults()) > 0 || gone.book.Audience("demo", "gb") != nil || gone.book.Wanted("demo")("country") {
		t.Error("a tombstone leaves something")
	}
}

// An event that no campaign, trait or audience reads leaves the row as it was, but for its id: nobody
// looks into it.
func TestWhatNobodyReadsIsNotLookedInto(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", source(t, trendsFile))
	post(r, track(r, "demo", "ann", "1", "scroll", `no JSON at all`))
	if row := rowIn(t, r, "demo/ann"); row.Profile != nil || row.Triggers != nil || len(row.RecentIds) != 1 {
		t.Errorf("the row is %v", row)
	}
}

// profileRow is the row of testdata/row_profile.hex.
func profileRow() *schemas.EngageRow {
	return &schemas.EngageRow{Profile: &schemas.ProfileState{
		Traits:  []*schemas.UserTrait{{Name: "country", Value: []byte(`"GB"`)}, {Name: "fav", Value: []byte(`{"b":[1,2]}`)}},
		ListIds: []uint64{profile.ListID("vip"), profile.ListID("vip")}, ListVersions: []int64{1767225600000, 1767312000000},
		Computed: []*schemas.ComputedTrait{
			{Definition: 1, Oldest: 81816, Offsets: []uint32{0, 3}, Counts: []uint32{1, 300}, Numbers: []float64{-0.5, 1e9}},
			{Definition: 2, Oldest: 81816, Offsets: []uint32{0, 0}, Hashes: []uint64{7, 1 << 60}, Level: 3},
			{Definition: 3, Oldest: 81816, Offsets: []uint32{0}, Values: [][]byte{[]byte(`"x"`)}, TimesMs: []int64{1767225600000}},
		},
	}}
}

func TestStoredProfilesDecodeForEver(t *testing.T) {
	b, got := stored(t, "row_profile.hex", profileRow())
	if again, err := (rowCodec{}).Append(nil, got); err != nil || !bytes.Equal(again, b) {
		t.Errorf("encodes to %x: %v", again, err)
	}
	// Definitions and lists are named in rows for ever.
	if id := profile.ListID("vip"); id != 0x2fb15aba6ad7e324 {
		t.Errorf("the list vip is %#x", id)
	}
}
