package audit

import (
	"crypto/hmac"
	"fmt"
	"iter"
	"time"

	"chartkey/backend/fault"
)

// Result is what a verification found.
type Result struct {
	// Bad is the first entry that is not as it was written, or 0.
	Bad int64 `json:"bad,omitzero"`
	// Problem says in a sentence what is wrong with that entry, or with the seal
	// where Bad is 0. It is empty where the record is whole.
	Problem string `json:"problem,omitzero"`
	// First and Last are the entries that were checked, and 0 where there is none.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// Entries counts them, Unkeyed those of them that were written without the key,
	// and Unsealed those that come after the seal and so are not yet vouched for.
	Entries  int64 `json:"entries"`
	Unkeyed  int64 `json:"unkeyed"`
	Unsealed int64 `json:"unsealed"`
	// Removed counts the entries that retention removed before First.
	Removed int64 `json:"removed"`
	// DamagedTo is the last entry that nothing vouches for, where a person has resealed a damaged record at DamagedAt.
	DamagedTo int64     `json:"damaged_to,omitzero"`
	DamagedAt time.Time `json:"damaged_at,omitzero" ts_type:"string"`
	// Anchor is the sealed end of a whole record, to be kept elsewhere.
	Anchor Anchor `json:"anchor,omitzero" ts_type:"string"`
}

// Whole tells that no entry was changed, removed, moved or added.
func (r Result) Whole() bool { return r.Problem == "" }

// Notices are sentences about what is no failure but should be known.
func (r Result) Notices() []string {
	var n []string
	if r.Unsealed > 0 {
		n = append(n, fmt.Sprintf("%s not yet sealed: written while the vault was not unlocked. The next entry that is written with the vault unlocked seals %s.",
			count(r.Unsealed, "entry is", "entries are"), map[bool]string{true: "it", false: "them"}[r.Unsealed == 1]))
	}
	if r.Unkeyed > r.Unsealed {
		n = append(n, fmt.Sprintf("%s written while the vault was not unlocked, and sealed later.", count(r.Unkeyed-r.Unsealed, "entry was", "entries were")))
	}
	if r.DamagedTo > 0 {
		n = append(n, fmt.Sprintf("The record was damaged and resealed on %s. Nothing vouches for the entries up to %d.",
			r.DamagedAt.Format("2006-01-02 15:04 MST"), r.DamagedTo))
	}
	if r.Removed > 0 {
		n = append(n, fmt.Sprintf("%s removed by the retention policy.", count(r.Removed, "older entry was", "older entries were")))
	}
	return n
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Fault gives the problem as the fault audit-damaged, or nil.
func (r Result) Fault() error {
	if r.Whole() {
		return nil
	}
	return fault.New("audit-damaged", r.Problem, errSeal().Advice)
}

// Verify checks rows, in the order of their Seq, against the head that was
// stored with them, and against anchors that were kept elsewhere. It needs the
// key as soon as there is a sealed head.
//
// The error tells that nothing could be checked: the key is missing
// (audit-key-missing), or a row could not be read.
func Verify(k *Key, head Head, rows iter.Seq2[Row, error], anchors ...Anchor) (Result, error) {
	v := newVerifier(k, head, anchors)
	if err := v.begin(); err != nil {
		return Result{}, err
	}
	if v.Problem == "" {
		for row, err := range rows {
			if err != nil {
				return Result{}, err
			}
			if !v.row(row) {
				break
			}
		}
		v.end()
	}
	return v.Result, nil
}

// verifier walks along the chain.
type verifier struct {
	Result
	key     *Key
	head    Head
	prev    Link // the entry before
	keyed   Link // the keyed entry before
	anchors []Anchor
	entry   Entry // the entry that row read last
}

func newVerifier(k *Key, head Head, anchors []Anchor) *verifier {
	c := head.Checkpoint
	v := &verifier{key: k, head: head, prev: c.Last, keyed: c.Keyed, anchors: anchors}
	v.Removed = c.Removed
	if c.Damaged {
		v.DamagedTo, v.DamagedAt = c.Last.Seq, c.At
	}
	return v
}

func (v *verifier) bad(seq int64, format string, args ...any) bool {
	v.Bad, v.Problem = seq, fmt.Sprintf(format, args...)
	return false
}

// begin checks the seal.
func (v *verifier) begin() error {
	switch {
	case v.key != nil && !v.key.usable(), v.key == nil && len(v.head.Seal) > 0:
		return errKeyMissing()
	case v.key == nil: // there never was a key, so nothing but the tail may be set
		if h := v.head; h.Sealed.Seq != 0 || len(h.Sealed.MAC) > 0 || !h.Checkpoint.empty() {
			v.bad(0, "%s", errSeal().Message)
		}
	case !hmac.Equal(v.key.seal(v.head), v.head.Seal):
		v.bad(0, "%s", errSeal().Message)
	}
	return nil
}

// empty tells that there was no checkpoint yet.
func (c Checkpoint) empty() bool {
	return c.Last.equal(Link{}) && c.Keyed.equal(Link{}) && c.At.IsZero() && c.Removed == 0 && !c.Damaged
}

// row checks the next row, and tells whether to go on.
func (v *verifier) row(r Row) bool {
	c := v.head.Checkpoint
	if c.Damaged && v.Entries == 0 && r.Seq <= c.Last.Seq {
		return true
	}
	want := v.prev.Seq + 1
	switch {
	case r.Seq > want:
		return v.bad(want, "Entry %d is missing.", want)
	case r.Seq <= c.Last.Seq:
		return v.bad(want, "Where entry %d belongs, there is one with the number %d, which retention has removed.", want, r.Seq)
	case r.Seq < want:
		return v.bad(want, "Where entry %d belongs, entry %d is there twice or out of order.", want, r.Seq)
	}
	e, err := r.Entry()
	switch {
	case err != nil:
		return v.bad(r.Seq, "Entry %d is not readable: it was changed.", r.Seq)
	case !r.Keyed && !hmac.Equal(openMAC(r, v.prev), r.MAC):
		return v.bad(r.Seq, "Entry %d was changed.", r.Seq)
	case r.Keyed && v.key == nil:
		return v.bad(r.Seq, "Entry %d says that it was written with a key, but the record's seal is missing.", r.Seq)
	case r.Keyed && r.Seq > v.head.Sealed.Seq:
		return v.bad(r.Seq, "Entry %d comes after the seal, but was written with the key: the seal was put back to an older one.", r.Seq)
	case r.Keyed && !hmac.Equal(v.key.rowMAC(r, v.prev, v.keyed), r.MAC):
		if from := v.keyed.Seq + 1; from < r.Seq && from > c.Last.Seq {
			return v.bad(r.Seq, "Entry %d, or one of those from %d on that were written without the key, was changed.", r.Seq, from)
		}
		return v.bad(r.Seq, "Entry %d was changed.", r.Seq)
	}
	v.entry = e
	v.prev = Link{r.Seq, r.MAC}
	if v.Entries == 0 {
		v.First = r.Seq
	}
	v.Entries++
	v.Last = r.Seq
	switch {
	case r.Keyed:
		v.keyed = v.prev
	case r.Seq > v.head.Sealed.Seq:
		v.Unkeyed++
		v.Unsealed++
	default:
		v.Unkeyed++
	}
	if r.Seq == v.head.Sealed.Seq && !v.prev.equal(v.head.Sealed) {
		return v.bad(r.Seq, "Entry %d is not the one that was sealed.", r.Seq)
	}
	for _, a := range v.anchors {
		if a.Seq == r.Seq && !a.is(v.prev) {
			return v.bad(r.Seq, "Entry %d is not the one that was noted elsewhere: the record was put back to an older one and went on from there.", r.Seq)
		}
	}
	return true
}

// end checks that nothing is missing at the end.
func (v *verifier) end() {
	if v.Problem != "" {
		return
	}
	if last := max(v.head.Sealed.Seq, v.head.Tail.Seq); last > v.prev.Seq {
		if from := v.prev.Seq + 1; from == last {
			v.bad(from, "Entry %d is missing at the end.", from)
		} else {
			v.bad(from, "Entries %d to %d are missing at the end.", from, last)
		}
		return
	}
	if v.Unsealed > 0 && !v.prev.equal(v.head.Tail) {
		v.bad(v.prev.Seq, "Entry %d is not the one that was written last.", v.prev.Seq)
		return
	}
	for _, a := range v.anchors {
		if a.Seq > v.prev.Seq {
			v.bad(v.prev.Seq+1, "The record ends with entry %d, but entry %d was noted elsewhere: the record was put back to an older one.", v.prev.Seq, a.Seq)
			return
		}
	}
	v.Anchor = anchorOf(v.head.Sealed)
}
