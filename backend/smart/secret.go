package smart

import (
	"fmt"
	"log/slog"
)

// Secret holds a token, a code, a verifier or a client secret. However it is
// printed, logged or marshalled it shows a mark; Reveal is the one way to the
// text. It keeps the text behind a pointer, because fmt prints the unexported
// fields of a struct without asking them.
type Secret struct{ text *string }

const secretMark = "‹secret›"

// NewSecret wraps text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal gives the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero tells whether there is nothing to hide.
func (s Secret) IsZero() bool { return s.text == nil }

// String gives the mark, or "" for the zero Secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return secretMark
}

// GoString gives the mark.
func (s Secret) GoString() string { return s.String() }

// Format writes the mark for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText gives the mark, so that no encoder sees the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue gives the mark.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
