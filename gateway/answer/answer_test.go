package answer

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRefusalSaysWhenToComeAgain(t *testing.T) {
	for retry, want := range map[time.Duration]string{0: "", time.Millisecond: "1", 2 * time.Second: "2", 2001 * time.Millisecond: "3"} {
		w := httptest.NewRecorder()
		Refuse(w, time.Unix(1000, 0), fmt.Errorf("wrapped: %w", Busy("full", retry)))
		if w.Code != 503 || w.Header().Get("Retry-After") != want || (w.Header().Get("X-RateLimit-Reset") == "") != (want == "") {
			t.Errorf("%s: %d %v", retry, w.Code, w.Header())
		}
	}
}

func TestOwnFaultsKeepTheirInsides(t *testing.T) {
	w := httptest.NewRecorder()
	Refuse(w, time.Unix(1000, 0), errors.New("dial tcp 10.0.0.1: refused"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "10.0.0.1") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
