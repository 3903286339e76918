package embedded

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

const loopback = "127.0.0.1"

// PortInUseError says that a port somebody asked for is taken.
type PortInUseError struct {
	Port int
	// What wanted it, in a few words.
	What string
}

func (e *PortInUseError) Error() string {
	return fmt.Sprintf("port %d for %s is in use by another program", e.Port, e.What)
}

// claim names a port somebody wants; zero means any free one.
type claim struct {
	port int
	what string
}

// freePorts checks that every claimed port can be listened on and picks free
// ones for the zeros. It holds none of them, so another program can still take
// one before the server does; the server then fails to start.
func freePorts(claims ...claim) ([]int, error) {
	ports := make([]int, len(claims))
	for i, c := range claims {
		l, err := net.Listen("tcp", address(c.port))
		if err != nil {
			return nil, listenError(c, err)
		}
		defer l.Close() // together at the end, so that no number comes twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

func listenError(c claim, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &PortInUseError{Port: c.port, What: c.what}
	}
	return fmt.Errorf("listen for %s: %w", c.what, err)
}

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
