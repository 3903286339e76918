package handle

import "testing"

func TestHandleIsResolvedOnce(t *testing.T) {
	var r Registry[string]
	a, b := r.Put("a"), r.Put("b")
	for _, c := range []struct {
		handle []byte
		want   string
		ok     bool
	}{{b, "b", true}, {a, "a", true}, {a, "", false}, {nil, "", false}, {[]byte("12345678"), "", false}} {
		if got, ok := r.Take(c.handle); got != c.want || ok != c.ok {
			t.Errorf("Take(%v) = %q, %v", c.handle, got, ok)
		}
	}
	c := r.Put("c")
	r.Clear()
	if _, ok := r.Take(c); ok {
		t.Error("a cleared handle was resolved")
	}
	if v, ok := r.Take(r.Put("d")); v != "d" || !ok {
		t.Error("a handle after Clear was not resolved")
	}
}
