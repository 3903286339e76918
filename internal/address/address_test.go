package address

import "testing"

func TestTruncate(t *testing.T) {
	for in, want := range map[string]string{
		"83.149.9.216": "83.149.9.0", "::ffff:83.149.9.216": "83.149.9.0",
		"2001:db8:1:2:3::4": "2001:db8:1::", "fe80::1%eth0": "fe80::", "example.org": "", "": "",
	} {
		if got := Truncate(in); got != want {
			t.Errorf("Truncate(%q) = %q, want %q", in, got, want)
		}
	}
}
