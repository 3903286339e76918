//go:build !nochdb

package embedded

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// engineSignals are the signals whose handlers the library replaces and Go
// needs back: for its own scheduling, for turning faults into panics and for
// an ordered stop.
var engineSignals = [...]syscall.Signal{
	syscall.SIGILL, syscall.SIGABRT, syscall.SIGFPE, syscall.SIGBUS, syscall.SIGSEGV, syscall.SIGURG, syscall.SIGTERM,
	syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// sigactionBytes is more than any libc's struct sigaction.
const sigactionBytes = 256

// chdb is the part of the library that we call.
type chdb struct {
	cmdline    func(argc int, argv []*byte) unsafe.Pointer
	resultErr  func(result unsafe.Pointer) string
	setSignals func(enabled int)
	sigaction  func(sig int, act, old unsafe.Pointer) int
}

func startEngine(lib string, args []string) (*engine, error) {
	c, err := loadChdb(lib)
	if err != nil {
		return nil, err
	}
	restore := c.saveSignals()
	c.setSignals(0)
	restore() // loading it has replaced some already
	e := &engine{done: make(chan error, 1), restoreSignals: restore}
	go func() { e.done <- c.run(args) }() // ends with the engine or the process
	return e, nil
}

func loadChdb(path string) (*chdb, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open the ClickHouse library: %w", err)
	}
	var c chdb
	libc, err := purego.Dlopen("", purego.RTLD_NOW)
	if err != nil {
		return nil, fmt.Errorf("open the C library: %w", err)
	}
	if err := bind(libc, "sigaction", &c.sigaction); err != nil {
		return nil, err
	}
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("load the ClickHouse library (it needs glibc; Alpine's musl will not do): %w", err)
	}
	err = errors.Join(
		bind(lib, "chdb_query_cmdline", &c.cmdline),
		bind(lib, "chdb_result_error", &c.resultErr),
		bind(lib, "chdb_set_signal_handlers_enabled", &c.setSignals),
	)
	if err != nil {
		return nil, fmt.Errorf("%s is not version %s of the ClickHouse library: %w", path, chdbVersion, err)
	}
	return &c, nil
}

// bind makes fn, a pointer to a function variable, call the symbol.
func bind(lib uintptr, symbol string, fn any) error {
	at, err := purego.Dlsym(lib, symbol)
	if err != nil {
		return fmt.Errorf("find %s: %w", symbol, err)
	}
	purego.RegisterFunc(fn, at)
	return nil
}

// saveSignals returns a function that sets the handlers of this moment again.
func (c *chdb) saveSignals() func() {
	saved := make([][sigactionBytes]byte, len(engineSignals))
	for i, s := range engineSignals {
		c.sigaction(int(s), nil, unsafe.Pointer(&saved[i][0]))
	}
	return func() {
		for i, s := range engineSignals {
			c.sigaction(int(s), unsafe.Pointer(&saved[i][0]), nil)
		}
	}
}

// run returns when the engine ends. It keeps its OS thread for itself, as a
// main function may leave things behind in it.
func (c *chdb) run(args []string) error {
	runtime.LockOSThread()
	argv := make([]*byte, 0, len(args)+1)
	for _, a := range args {
		b := append([]byte(a), 0)
		argv = append(argv, &b[0])
	}
	argv = append(argv, nil)
	result := c.cmdline(len(args), argv)
	runtime.KeepAlive(argv)
	if result == nil {
		return errors.New("the engine refused its options")
	}
	if msg := c.resultErr(result); msg != "" {
		return errors.New(msg)
	}
	return nil
}

// unread is how many bytes in the pipe wait for a reader.
func unread(pipe *os.File) int {
	var n int32
	conn, err := pipe.SyscallConn()
	if err != nil {
		return 0
	}
	_ = conn.Control(func(fd uintptr) {
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&n)))
	})
	return int(n)
}
