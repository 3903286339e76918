package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dwellhq/dwell/internal/accesslog"
)

// digestBytes of the unpacked file make its digest.
const digestBytes = 1 << 20

// source reads lines of a plain or gzip file.
type source struct {
	digest string
	text   string
	err    error

	file *os.File
	in   *bufio.Reader
}

// open reads the file's first MiB to know it by.
func open(path string) (*source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	in, err := unpack(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	head, err := in.Peek(digestBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	sum := sha256.Sum256(head)
	return &source{digest: hex.EncodeToString(sum[:]), file: f, in: in}, nil
}

func unpack(f *os.File) (*bufio.Reader, error) {
	raw := bufio.NewReader(f)
	magic, err := raw.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return bufio.NewReaderSize(raw, digestBytes), nil
	}
	z, err := gzip.NewReader(raw)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return bufio.NewReaderSize(z, digestBytes), nil
}

// next reads a line into text; false at the end or on an error. Of a line beyond the limit of
// accesslog only the front is kept: it will not parse.
func (s *source) next() bool {
	line, more, err := s.in.ReadLine()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.err = err
		}
		return false
	}
	s.text = string(line[:min(len(line), accesslog.MaxLineBytes+1)])
	for more && err == nil {
		_, more, err = s.in.ReadLine()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return true
}

func (s *source) close() { s.file.Close() }
