package audit

import (
	"encoding/hex"
	"strconv"
	"strings"

	"chartkey/backend/fault"
)

// Anchor is the end of the record at some time, short enough to write down or
// send elsewhere. It is no secret. A record that was put back to an older copy
// is whole in itself: only an anchor that was kept elsewhere shows it.
type Anchor struct {
	Seq int64
	// MAC begins the entry's MAC, as 32 hexadecimal digits.
	MAC string
}

// anchorBytes of a MAC are far too many to be met by chance or by trying.
const anchorBytes = 16

func anchorOf(l Link) Anchor {
	if len(l.MAC) < anchorBytes {
		return Anchor{}
	}
	return Anchor{l.Seq, hex.EncodeToString(l.MAC[:anchorBytes])}
}

func (a Anchor) is(l Link) bool { return a == anchorOf(l) }

// IsZero tells that there is nothing to note yet.
func (a Anchor) IsZero() bool { return a.Seq == 0 }

// String gives the anchor as 1234:0123456789abcdef0123456789abcdef.
func (a Anchor) String() string { return strconv.FormatInt(a.Seq, 10) + ":" + a.MAC }

// MarshalText gives String.
func (a Anchor) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// ParseAnchor reads what String gave. The fault is audit-anchor-invalid.
func ParseAnchor(s string) (Anchor, error) {
	seq, mac, _ := strings.Cut(strings.TrimSpace(s), ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	b, hexErr := hex.DecodeString(mac)
	if err != nil || hexErr != nil || n < 1 || len(b) != anchorBytes {
		return Anchor{}, fault.New("audit-anchor-invalid", "That is no anchor of an activity record.",
			"Give the entry's number, a colon and 32 hexadecimal digits, as verifying the record printed them.")
	}
	return Anchor{n, hex.EncodeToString(b)}, nil
}
