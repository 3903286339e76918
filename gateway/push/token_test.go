package push

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var secret = []byte("a secret of this node")

func TestTokenOpensItsUserUntilItExpires(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	token, err := MintToken(secret, "acme", "ann", at.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, ok := range []time.Time{at, at.Add(time.Minute - time.Nanosecond)} {
		user, expires, err := CheckToken(secret, "acme", token, ok)
		if err != nil || user != "ann" || !expires.Equal(at.Add(time.Minute)) {
			t.Errorf("at %s: %q, %s, %v", ok, user, expires, err)
		}
	}
	if _, _, err := CheckToken(secret, "acme", token, at.Add(time.Minute)); !errors.Is(err, ErrToken) {
		t.Errorf("an expired token: %v", err)
	}
}

func TestForgedTokensOpenNothing(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	token, err := MintToken(secret, "acme", "ann", at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	other, err := MintToken([]byte("a secret of another node"), "acme", "ann", at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	bob, err := MintToken(secret, "acme", "bob", at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	body, mac, _ := strings.Cut(token, ".")
	bobs, _, _ := strings.Cut(bob, ".")
	for name, forged := range map[string]string{
		"empty": "", "no dot": body, "no payload": "." + mac, "no signature": body + ".", "another secret": other,
		"another payload": bobs + "." + mac, "cut": token[:len(token)-1], "padded": token + "=", "huge": token + strings.Repeat("A", 1<<20),
	} {
		if user, _, err := CheckToken(secret, "acme", forged, at); !errors.Is(err, ErrToken) {
			t.Errorf("%s: opened %q, %v", name, user, err)
		}
	}
	if _, _, err := CheckToken(secret, "rival", token, at); !errors.Is(err, ErrToken) {
		t.Errorf("another tenant's token: %v", err)
	}
	if _, _, err := CheckToken(nil, "acme", token, at); !errors.Is(err, ErrToken) {
		t.Errorf("no secret: %v", err)
	}
}

func TestMintRefusesWhatItCannotSign(t *testing.T) {
	for _, c := range []struct {
		secret       []byte
		tenant, user string
	}{{[]byte("short"), "t", "u"}, {secret, "", "u"}, {secret, "t", ""}, {secret, "t", strings.Repeat("u", 257)}} {
		if _, err := MintToken(c.secret, c.tenant, c.user, time.Unix(1, 0)); err == nil {
			t.Errorf("minted for %q, %q", c.tenant, c.user)
		}
	}
}

func FuzzCheckToken(f *testing.F) {
	at := time.Unix(1_800_000_000, 0)
	token, err := MintToken(secret, "acme", "ann", at.Add(time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{token, "", ".", "e30.e30", token[:10]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if user, _, err := CheckToken(secret, "acme", s, at); err == nil && (s != token || user != "ann") {
			t.Errorf("%q opened %q", s, user)
		}
	})
}
