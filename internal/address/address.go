// Package address makes network addresses fit to keep: short of the person behind them.
package address

import "net/netip"

// Truncate zeroes what tells one household from another: IPv4 is kept to /24, IPv6 to /48. What is
// no address, such as a host name, becomes empty.
func Truncate(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	bits := 48
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.Addr().String()
}
