package vault

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// mark is all that a Secret shows of itself.
const mark = "‹secret›"

// Secret is a value that must not be seen: a token, a client secret, a
// passphrase, a key. However it is printed, logged or marshalled, it shows a
// mark. Copies of a Secret share one buffer, so Wipe empties all of them. The
// zero Secret is empty. Secrets are compared with Equal; == does not compile.
type Secret struct {
	// A function, because reflection cannot look into one. fmt calls no methods of
	// a Secret in an unexported field; it would print a slice, and with some verbs
	// what a pointer leads to.
	buf func() *buffer
}

type buffer struct{ b []byte }

// NewSecret makes a secret of a copy of v. A caller that gives bytes wipes its own.
func NewSecret[T ~string | ~[]byte](v T) Secret {
	if len(v) == 0 {
		return Secret{}
	}
	return ownSecret([]byte(string(v)))
}

// ownSecret makes a secret that takes over b.
func ownSecret(b []byte) Secret {
	if len(b) == 0 {
		return Secret{}
	}
	kept := &buffer{b: b}
	return Secret{buf: func() *buffer { return kept }}
}

// Reveal gives the value as a string. A Go string cannot be wiped: reveal late
// and keep it short-lived.
func (s Secret) Reveal() string { return string(s.bytes()) }

// bytes gives the buffer itself, for use inside this package without another copy.
func (s Secret) bytes() []byte {
	if s.buf == nil {
		return nil
	}
	return s.buf().b
}

// IsEmpty tells whether there is no value, because none was given or it was wiped.
func (s Secret) IsEmpty() bool { return len(s.bytes()) == 0 }

// Equal compares in a time that depends on the lengths only.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare(s.bytes(), other.bytes()) == 1
}

// Wipe overwrites the value and empties s and every copy of it. It must not run
// while another goroutine reads the secret.
func (s Secret) Wipe() {
	if s.buf == nil {
		return
	}
	kept := s.buf()
	clear(kept.b)
	kept.b = nil
}

// String gives the mark.
func (s Secret) String() string { return mark }

// GoString gives the mark.
func (s Secret) GoString() string { return mark }

// Format writes the mark for every verb, %x and %d among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mark) }

// MarshalText gives the mark.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mark), nil }

// MarshalJSON gives the mark as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mark + `"`), nil }

// LogValue gives the mark to log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mark) }
