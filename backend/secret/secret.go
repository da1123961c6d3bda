// Package secret has the one type for what must not be seen: tokens, client
// secrets, codes, verifiers, passphrases and keys.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// mark is all that a Value shows of itself.
const mark = "‹secret›"

// Value is a value that must not be seen: a token, a client secret, a
// passphrase, a key. However it is printed, logged or marshalled, it shows a
// mark. Copies of a Value share one buffer, so Wipe empties all of them. The
// zero Value is empty. Secrets are compared with Equal; == does not compile.
type Value struct {
	// A function, because reflection cannot look into one. fmt calls no methods of
	// a Value in an unexported field; it would print a slice, and with some verbs
	// what a pointer leads to.
	buf func() *buffer
}

type buffer struct{ b []byte }

// New makes a secret of a copy of v. A caller that gives bytes wipes its own.
func New[T ~string | ~[]byte](v T) Value {
	if len(v) == 0 {
		return Value{}
	}
	return Own([]byte(string(v)))
}

// Own makes a secret that takes over b: the caller must not use b any more.
func Own(b []byte) Value {
	if len(b) == 0 {
		return Value{}
	}
	kept := &buffer{b: b}
	return Value{buf: func() *buffer { return kept }}
}

// Reveal gives the value as a string. A Go string cannot be wiped: reveal late
// and keep it short-lived.
func (s Value) Reveal() string { return string(s.Bytes()) }

// Bytes gives the buffer itself, for use without another copy. It must be
// neither kept nor changed.
func (s Value) Bytes() []byte {
	if s.buf == nil {
		return nil
	}
	return s.buf().b
}

// IsEmpty tells whether there is no value, because none was given or it was wiped.
func (s Value) IsEmpty() bool { return len(s.Bytes()) == 0 }

// Equal compares in a time that depends on the lengths only.
func (s Value) Equal(other Value) bool {
	return subtle.ConstantTimeCompare(s.Bytes(), other.Bytes()) == 1
}

// Wipe overwrites the value and empties s and every copy of it. It must not run
// while another goroutine reads the secret.
func (s Value) Wipe() {
	if s.buf == nil {
		return
	}
	kept := s.buf()
	clear(kept.b)
	kept.b = nil
}

// String gives the mark.
func (s Value) String() string { return mark }

// GoString gives the mark.
func (s Value) GoString() string { return mark }

// Format writes the mark for every verb, %x and %d among them.
func (s Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mark) }

// MarshalText gives the mark.
func (s Value) MarshalText() ([]byte, error) { return []byte(mark), nil }

// MarshalJSON gives the mark as a JSON string.
func (s Value) MarshalJSON() ([]byte, error) { return []byte(`"` + mark + `"`), nil }

// LogValue gives the mark to log/slog.
func (s Value) LogValue() slog.Value { return slog.StringValue(mark) }
