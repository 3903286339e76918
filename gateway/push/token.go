package push

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// MinSecretBytes is the least that a secret may have.
const MinSecretBytes = 16

// maxTokenBytes bounds a token before anything in it is looked at.
const maxTokenBytes = 2048

// ErrToken marks a token that opens nothing; the text says why.
var ErrToken = errors.New("push token refused")

// claims are a token's payload.
type claims struct {
	Tenant string `json:"tenant"`
	User   string `json:"user"`
	// Exp is Unix seconds; from then on the token opens nothing.
	Exp int64 `json:"exp"`
}

// MintToken makes the token that lets a browser open the channel of a tenant's user until expires
// (to the second). It is base64url(payload).base64url(HMAC-SHA256), signed with a key that only
// secret and tenant together give.
func MintToken(secret []byte, tenant, user string, expires time.Time) (string, error) {
	if len(secret) < MinSecretBytes {
		return "", fmt.Errorf("mint a push token: the secret has %d bytes, at least %d are needed", len(secret), MinSecretBytes)
	}
	if tenant == "" || user == "" || len(user) > schemas.MaxIDBytes {
		return "", fmt.Errorf("mint a push token: tenant and user must be set, the user of at most %d bytes", schemas.MaxIDBytes)
	}
	payload, err := json.Marshal(claims{tenant, user, expires.Unix()})
	if err != nil {
		return "", fmt.Errorf("mint a push token: %w", err)
	}
	body := base64.RawURLEncoding.EncodeToString(payload)
	return body + "." + base64.RawURLEncoding.EncodeToString(sign(secret, tenant, body)), nil
}

// CheckToken returns the user that the token names and when it expires, or an error that wraps
// ErrToken. A token of another tenant is refused like a forged one.
func CheckToken(secret []byte, tenant, token string, now time.Time) (user string, expires time.Time, err error) {
	refuse := func(why string) (string, time.Time, error) {
		return "", time.Time{}, fmt.Errorf("%w: %s", ErrToken, why)
	}
	if len(secret) < MinSecretBytes {
		return refuse("this gateway has no push secret")
	}
	body, mac, ok := strings.Cut(token, ".")
	if !ok || len(token) > maxTokenBytes {
		return refuse("it is none")
	}
	got, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || !hmac.Equal(got, sign(secret, tenant, body)) {
		return refuse("its signature does not fit the key's tenant")
	}
	payload, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return refuse("its payload is not base64url")
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil || c.Tenant != tenant || c.User == "" {
		return refuse("its payload names no user of the tenant")
	}
	if expires = time.Unix(c.Exp, 0); !now.Before(expires) {
		return refuse("it has expired")
	}
	return c.User, expires, nil
}

func sign(secret []byte, tenant, body string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("dwell push token v1\x00" + tenant))
	h = hmac.New(sha256.New, h.Sum(nil))
	h.Write([]byte(body))
	return h.Sum(nil)
}
