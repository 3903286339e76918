package predicate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/internal/seedtest"
)

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// literals that CEL and JSON write alike, near each other and at the edges.
var literals = []string{
	`0`, `1`, `-1`, `2`, `10`, `0.0`, `1.0`, `1.5`, `-0.5`, `1e3`, `1000`, `9007199254740993`, `9007199254740992.0`, `9223372036854775807`,
	`-9223372036854775808`, `9223372036854775807.0`, `1e300`, `true`, `false`, `null`, `""`, `"a"`, `"b"`, `"ab"`, `"1"`, `"ä"`,
}

func randomCondition(r *rand.Rand, depth int) string {
	path := pick(r, "event.a", "event.b", "event.c", "event.d.e", "event.d.f.g", "event.none", "user.a", "user.b", "user.d.f.g", "user.none")
	if depth > 0 {
		switch r.IntN(5) {
		case 0:
			return "(" + randomCondition(r, depth-1) + " && " + randomCondition(r, depth-1) + ")"
		case 1:
			return "(" + randomCondition(r, depth-1) + " || " + randomCondition(r, depth-1) + " || " + randomCondition(r, depth-1) + ")"
		case 2:
			return "!(" + randomCondition(r, depth-1) + ")"
		}
	}
	switch r.IntN(8) {
	case 0:
		return path
	case 1:
		var list []string
		for range r.IntN(4) {
			list = append(list, pick(r, literals...))
		}
		return path + " in [" + strings.Join(list, ", ") + "]"
	}
	op, lit := pick(r, "==", "!=", "<", "<=", ">", ">="), pick(r, literals...)
	if lit == "null" && op != "==" && op != "!=" { // CEL's checker knows that null has no order
		op = "=="
	}
	if r.IntN(2) == 0 {
		return lit + " " + op + " " + path
	}
	return path + " " + op + " " + lit
}

func randomProperties(r *rand.Rand) string {
	value := func() string {
		if r.IntN(6) == 0 {
			return pick(r, `[]`, `[1]`, `{}`, `{"e": 1}`, `12345678901234567890`, `1e999`, `-1e999`, `1e-400`, `-0`)
		}
		return pick(r, literals...)
	}
	var fields []string
	for _, name := range []string{"a", "b", "c"} {
		if r.IntN(4) > 0 {
			fields = append(fields, fmt.Sprintf("%q: %s", name, value()))
		}
	}
	if r.IntN(3) > 0 {
		fields = append(fields, fmt.Sprintf(`"d": %s`, pick(r, `{"e": `+value()+`, "f": {"g": `+value()+`}}`, `{"f": 1}`, `7`, `null`, `[{"e": 1}]`)))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// known is a user in a map.
type known map[string]any

func (k known) Field(name string) (any, bool) { v, ok := k[name]; return v, ok }

func userOf(object string) known { return known(parseObject([]byte(object))) }

func TestClosuresDecideAsCEL(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	truths := 0
	for range 2_000 {
		source := randomCondition(r, 3)
		p, err := Compile(source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if p.closure == nil {
			t.Fatalf("%s was not compiled to a closure", source)
		}
		for range 20 {
			props, user := randomProperties(r), userOf(randomProperties(r))
			got, want := p.Matches(NewProperties([]byte(props)).Of(user)), p.evaluate(NewProperties([]byte(props)).Of(user))
			if got != want {
				t.Fatalf("%s of %s and %v: the closure says %v, CEL %v", source, props, user, got, want)
			}
			if got {
				truths++
			}
		}
	}
	if truths < 4_000 {
		t.Errorf("only %d of 40,000 were true: the cases prove little", truths)
	}
}

func TestConditionsBeyondClosuresRunInCEL(t *testing.T) {
	props := `{"amount": 10.0, "tags": ["vip", "new"], "name": "anna", "items": [{"sku": "a", "n": 2}], "o": {"z": 1, "b": 2, "a": 3}, "flag": "yes"}`
	for source, want := range map[string]bool{
		`event.amount >= 10`:                                          true,
		`event.amount * 2.0 == 20.0`:                                  true,
		`has(event.amount) && !has(event.nope)`:                       true,
		`"vip" in event.tags`:                                         true,
		`event["amount"] == 10`:                                       true,
		`event.name.startsWith("an") && event.name.matches("^a.*a$")`: true,
		`event.items.exists(i, i.sku == "a" && i.n > 1)`:              true,
		`event.items[0].n == event.items[0].n`:                        true,
		`event.tags.size() == 2 && size(event.o) == 3`:                true,
		`event.o.map(k, k) == ["a", "b", "z"]`:                        true,
		`event.map(k, k)[0] == "amount"`:                              true,
		`event.o == event.o`:                                          true,
		`event.nope.size() == 0`:                                      false,
		`event.flag`:                                                  false,
		`event.items[7].n == 1`:                                       false,
		`event.amount + 1 == 11`:                                      false, // a double and an int have no sum
		`event.nope == 1 || event.amount == 10`:                       true,
		`event.nope == 1 && event.amount == 10`:                       false,
		`!(event.nope == 1)`:                                          false,
		`"` + strings.Repeat("a", 100) + `" == event.name`:            false,
	} {
		p, err := Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		for range 20 { // the order of a Go map differs from run to run
			if got := p.Matches(NewProperties([]byte(props))); got != want {
				t.Errorf("%s is %v", source, got)
				break
			}
		}
	}
}

func TestACostlyConditionIsFalse(t *testing.T) {
	const source = `event.l.all(a, event.l.all(b, event.l.all(c, a + b + c >= 0)))`
	p, err := Compile(source)
	if err != nil {
		t.Fatal(err)
	}
	list := func(n int) string { return `{"l": [1` + strings.Repeat(",1", n-1) + `]}` }
	if !p.Matches(NewProperties([]byte(list(5)))) {
		t.Error("a short list is not taken")
	}
	if p.Matches(NewProperties([]byte(list(2000)))) {
		t.Error("eight billion steps were taken")
	}
}

func TestWhatIsNoObjectHasNoFields(t *testing.T) {
	has, err := Compile(`has(event.a)`)
	if err != nil {
		t.Fatal(err)
	}
	is, err := Compile(`event.a == 1`)
	if err != nil {
		t.Fatal(err)
	}
	for props, want := range map[string]bool{
		`{"a": 1}`: true, " {\"a\":1}\n": true, ``: false, `null`: false, `[]`: false, `7`: false, `{"a": 1`: false, `{"a": 1} x`: false, `{"a": 1}{}`: false, "\xff": false,
	} {
		for _, p := range []Predicate{has, is} {
			if got := p.Matches(NewProperties([]byte(props))); got != want {
				t.Errorf("%s of %q is %v", p, props, got)
			}
		}
	}
	if !(Predicate{}).Matches(NewProperties([]byte("no JSON"))) {
		t.Error("no condition is not true of everything")
	}
}

func TestPropertiesAreParsedOnceAndOnlyWhenAsked(t *testing.T) {
	raw := []byte(`{"a": 1}`)
	props := NewProperties(raw)
	if (Predicate{}).Matches(props); props.parsed != nil || props.isRead {
		t.Error("no condition had the properties parsed")
	}
	p, err := Compile(`event.a == 1`)
	if err != nil {
		t.Fatal(err)
	}
	p.Matches(props)
	copy(raw, `{"a": 2}`)
	if !p.Matches(props) {
		t.Error("the properties were parsed twice")
	}
	if n := testing.AllocsPerRun(100, func() { p.Matches(props) }); n > 0 {
		t.Errorf("a closure over parsed properties allocates %v times", n)
	}
}

func TestTheUserIsReadByNameOnly(t *testing.T) {
	for source, want := range map[string]string{
		`user.country == "GB"`:                           "country",
		`has(user.b) && user["a"] == 1 || user.b.c == 2`: "a b",
		`event.items.exists(i, i == user.favourite)`:     "favourite",
		`event.amount > 1 && event.currency == "EUR"`:    "",
	} {
		p, err := Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
		} else if got := strings.Join(p.UserFields(), " "); got != want {
			t.Errorf("%s reads %q, want %q", source, got, want)
		}
	}
	for _, source := range []string{`user == user`, `size(user) > 1`, `user[event.name] == 1`, `user.exists(k, k == "a")`, `"a" in user`} {
		if _, err := Compile(source); err == nil || !strings.Contains(err.Error(), "write user.NAME") {
			t.Errorf("%s: %v", source, err)
		}
	}
	if _, err := CompileUser(`event.a == 1`); err == nil {
		t.Error("an event is read where there is none")
	}
	gb, err := CompileUser(`user.country == "GB" && user.deposits.startsWith("7")`)
	if err != nil {
		t.Fatal(err)
	}
	if gb.Matches(NewProperties(nil)) || !gb.Matches(NewProperties(nil).Of(known{"country": "GB", "deposits": "77"})) || gb.Matches(NewProperties(nil).Of(known{"country": "GB"})) {
		t.Error("it is not decided by what is known of the user")
	}
}
