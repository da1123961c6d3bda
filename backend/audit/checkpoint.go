package audit

import (
	"crypto/hmac"
	"iter"
	"time"
)

// Prune shortens a record: what is older than before, counted from the oldest
// entry on, is replaced by a checkpoint made at now. Where nothing is old enough,
// head comes back as it was. Else its Checkpoint.Last.Seq has moved: the caller
// removes the rows up to there, stores the head and records what it did, all in one transaction.
//
// rows are all rows in the order of their Seq. They are verified first: a
// retention must not remove the traces of a change. The faults are audit-damaged
// and audit-key-missing. A started entry stays as long as the one that ends it,
// and what was damaged and resealed goes with the first entry after it.
func (k *Key) Prune(head Head, rows iter.Seq2[Row, error], before, now time.Time) (Head, error) {
	if k == nil {
		return Head{}, errKeyMissing()
	}
	v := newVerifier(k, head, nil)
	if err := v.begin(); err != nil {
		return Head{}, err
	}
	old := head.Checkpoint
	var (
		cuts    []Checkpoint        // the possible ends, in order
		ended   = map[int64]int64{} // the Seq that ends a started entry
		damaged int64               // rows that are there, but nothing vouches for
		open    = true              // all entries up to here are old
	)
	for row, err := range rows {
		if err != nil {
			return Head{}, err
		}
		checked := v.Entries
		if v.Problem != "" || !v.row(row) {
			break
		}
		if v.Entries == checked {
			damaged++
			continue
		}
		if open = open && row.Seq <= head.Sealed.Seq && v.entry.At.Before(before); open {
			cuts = append(cuts, Checkpoint{Last: v.prev, Keyed: v.keyed})
		}
		if v.entry.Ref > 0 {
			ended[v.entry.Ref] = row.Seq
		}
	}
	v.end()
	if err := v.Fault(); err != nil {
		return Head{}, err
	}
	for len(cuts) > 0 {
		c := cuts[len(cuts)-1]
		if from := splits(ended, c.Last.Seq); from > 0 {
			cuts = upTo(cuts, from-1)
			continue
		}
		c.At = now.UTC().Truncate(time.Millisecond)
		c.Removed = old.Removed + damaged + c.Last.Seq - old.Last.Seq
		h := k.sealed(head.Sealed, c)
		h.Tail = head.Tail
		return h, nil
	}
	return head, nil
}

// splits gives the first started entry that an end at cut would part from the one that ends it, or 0.
func splits(ended map[int64]int64, cut int64) int64 {
	first := int64(0)
	for start, end := range ended {
		if start <= cut && end > cut && (first == 0 || start < first) {
			first = start
		}
	}
	return first
}

func upTo(cuts []Checkpoint, seq int64) []Checkpoint {
	for len(cuts) > 0 && cuts[len(cuts)-1].Last.Seq > seq {
		cuts = cuts[:len(cuts)-1]
	}
	return cuts
}

// Reseal lets a damaged record go on, after a person has looked at it. What is
// there stays where it is; the new head says for good that nothing vouches for
// it, until retention removes it. A whole record comes back as it was.
// rows are all rows in the order of their Seq. The fault is audit-key-missing.
func (k *Key) Reseal(head Head, rows iter.Seq2[Row, error], now time.Time) (Head, error) {
	if k == nil {
		return Head{}, errKeyMissing()
	}
	r, err := Verify(k, head, rows)
	if err != nil || r.Whole() {
		return head, err
	}
	var last Link
	for row, err := range rows {
		if err != nil {
			return Head{}, err
		}
		if row.Seq > last.Seq {
			last = Link{row.Seq, row.MAC}
		}
	}
	c := Checkpoint{At: now.UTC().Truncate(time.Millisecond), Damaged: true}
	if hmac.Equal(k.seal(head), head.Seal) {
		c.Removed = head.Checkpoint.Removed
		if head.Sealed.Seq > last.Seq { // entries at the end are gone: their numbers are not used again
			last = head.Sealed
		}
	}
	c.Last = last
	return k.sealed(Link{}, c), nil
}
