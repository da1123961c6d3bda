package audit_test

import (
	"fmt"
	"slices"
	"testing"

	"chartkey/backend/audit"
)

// changed gives every way to change one byte of b, to cut it and to lengthen it.
func changed(b []byte) [][]byte {
	var all [][]byte
	for i := range b {
		for _, x := range []byte{0x01, 0x20, 0x80} {
			c := slices.Clone(b)
			c[i] ^= x
			all = append(all, c)
		}
	}
	if len(b) > 0 {
		all = append(all, nil, b[1:], b[:len(b)-1])
	}
	return append(all, append(slices.Clone(b), 0), append(slices.Clone(b), ' '))
}

func TestAChangeOfAnyByteShows(t *testing.T) {
	whole, k := aDay(t)
	tried := 0
	seen := func(what string, i int, change func(*record)) {
		t.Helper()
		c := whole.copy()
		change(c)
		found, err := audit.Verify(k, c.head, each(c.rows))
		if err == nil && found.Whole() {
			t.Errorf("row %d: a change of its %s is not seen", i+1, what)
		}
		if err == nil && found.Bad < int64(i) {
			t.Errorf("row %d: a change of its %s is blamed on entry %d", i+1, what, found.Bad)
		}
		tried++
	}
	for i, row := range whole.rows {
		for _, b := range changed(row.Body) {
			seen("body", i, func(r *record) { r.rows[i].Body = b })
		}
		for _, b := range changed(row.Patient) {
			seen("patient", i, func(r *record) { r.rows[i].Patient = b })
		}
		for _, b := range changed(row.MAC) {
			seen("MAC", i, func(r *record) { r.rows[i].MAC = b })
		}
		for bit := range 64 {
			seen("number", i, func(r *record) { r.rows[i].Seq ^= 1 << bit })
		}
		seen("way", i, func(r *record) { r.rows[i].Keyed = !row.Keyed })
	}
	for i, b := range changed(whole.head.Bytes()) {
		head, err := audit.ParseHead(b)
		if err != nil {
			continue
		}
		if found, err := audit.Verify(k, head, each(whole.rows)); err == nil && found.Whole() {
			t.Errorf("change %d of the head is not seen: %s", i, b)
		}
		tried++
	}
	if tried < 5000 {
		t.Error("few changes were tried:", tried)
	}
}

func TestARemovalAMoveOrACopyShows(t *testing.T) {
	whole, k := aDay(t)
	other, _ := aDay(t)
	n := len(whole.rows)
	try := func(what string, bad int64, rows []audit.Row) {
		t.Helper()
		found, err := audit.Verify(k, whole.head, each(rows))
		if err != nil {
			t.Fatal(err)
		}
		if found.Whole() {
			t.Errorf("%s is not seen", what)
		} else if bad > 0 && found.Bad != bad {
			t.Errorf("%s is blamed on entry %d, not %d: %s", what, found.Bad, bad, found.Problem)
		}
	}
	for i := range n {
		seq := int64(i + 1)
		try(fmt.Sprintf("the removal of %d", seq), seq, slices.Delete(slices.Clone(whole.rows), i, i+1))
		try(fmt.Sprintf("the end cut from %d", seq), seq, whole.rows[:i])
		try(fmt.Sprintf("the beginning cut up to %d", seq), 1, whole.rows[i+1:])
		for j := range n {
			at := min(i, j)
			if i != j {
				swapped := slices.Clone(whole.rows)
				swapped[i], swapped[j] = swapped[j], swapped[i]
				try(fmt.Sprintf("%d and %d swapped", i+1, j+1), int64(at+1), swapped)
				swapped[i].Seq, swapped[j].Seq = swapped[j].Seq, swapped[i].Seq
				try(fmt.Sprintf("%d and %d swapped with their numbers", i+1, j+1), 0, swapped)
			}
			try(fmt.Sprintf("%d twice", i+1), 0, slices.Insert(slices.Clone(whole.rows), j, whole.rows[i]))
		}
		if whole.rows[i].Keyed {
			spliced := slices.Clone(whole.rows)
			spliced[i] = other.rows[i]
			try(fmt.Sprintf("%d of another record", i+1), seq, spliced)
			try("another record's end", 0, append(slices.Clone(whole.rows[:i]), other.rows[i:]...))
		}
	}
}
