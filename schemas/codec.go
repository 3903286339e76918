package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrUndecodable marks bytes that are no record of the type; such a record goes to the dead letters.
var ErrUndecodable = errors.New("undecodable record")

// Codec turns a T into bytes and back. A Codec holds no state and may be used by many goroutines.
type Codec[T any] interface {
	// Append appends the encoding of v to dst.
	Append(dst []byte, v T) ([]byte, error)
	// Decode returns a T that shares no memory with b, or an error that wraps ErrUndecodable.
	Decode(b []byte) (T, error)
}

// Borrower is a Codec that can decode without copying, for steps that are run for every record there is.
type Borrower[T any] interface {
	Codec[T]
	// Borrow returns a T that lies in the memory of b, so b must not change as long as any of it is in use.
	// Who keeps a part of it copies that part: it would keep all of b. spare is a T that was given back,
	// to be filled again, or the zero value.
	Borrow(spare T, b []byte) (T, error)
	// Return takes a T back, which nobody uses any more; what was taken out of it stays good.
	Return(v T)
}

// JSON is the codec for a user's own types.
type JSON[T any] struct{}

// Append implements Codec.
func (JSON[T]) Append(dst []byte, v T) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("encode %T: %w", v, err)
	}
	return append(dst, b...), nil
}

// Decode implements Codec.
func (JSON[T]) Decode(b []byte) (T, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("%w: %T: %w", ErrUndecodable, v, err)
	}
	return v, nil
}

// Message is what the generated records have in common.
type Message[M any] interface {
	*M
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
	UnmarshalVT([]byte) error
}

// Proto is the codec of a generated record; T is *M. Fields that a newer version added survive
// a decode and encode.
type Proto[M any, T Message[M]] struct{}

// Append implements Codec.
func (Proto[M, T]) Append(dst []byte, v T) ([]byte, error) {
	n := v.SizeVT()
	at := len(dst)
	dst = append(dst, make([]byte, n)...)
	if _, err := v.MarshalToSizedBufferVT(dst[at:]); err != nil {
		return dst[:at], fmt.Errorf("encode %T: %w", v, err)
	}
	return dst, nil
}

// Decode implements Codec.
func (Proto[M, T]) Decode(b []byte) (T, error) {
	v := T(new(M))
	if err := v.UnmarshalVT(b); err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrUndecodable, v, err)
	}
	return v, nil
}
