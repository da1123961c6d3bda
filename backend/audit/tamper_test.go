package audit_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
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
		found := c.verify(t, k)
		if found.Whole() {
			t.Errorf("row %d: a change of its %s is not seen", i+1, what)
		} else if found.Bad != int64(i+1) {
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
	if tried < 4000 {
		t.Error("few changes were tried:", tried)
	}
}

func TestAChangeOfAnyByteOfTheHeadShows(t *testing.T) {
	day, k := aDay(t)
	tail := day.copy()
	tail.add(t, nil, added("Late"), nil)
	pruned := tail.copy()
	pruned.prune(t, k, timeOf(t, pruned.rows[3]))
	resealed := day.copy()
	resealed.rows[2].Body[5] ^= 1
	resealed.reseal(t, k)
	resealed.add(t, k, added("New"), nil)
	for name, whole := range map[string]*record{"a day": day, "with a tail": tail, "pruned": pruned, "resealed": resealed} {
		if found := whole.verify(t, k); !found.Whole() {
			t.Fatalf("%s: %+v", name, found)
		}
		tried := 0
		for i, b := range changed(whole.head.Bytes()) {
			head, err := audit.ParseHead(b)
			if err != nil {
				continue
			}
			if found, err := audit.Verify(k, head, each(whole.rows)); err == nil && found.Whole() {
				t.Errorf("%s: change %d of the head is not seen:\n%s\n%s", name, i, b, whole.head.Bytes())
			}
			tried++
		}
		if tried < 100 {
			t.Errorf("%s: few changes were tried: %d", name, tried)
		}
	}
}

func TestKeyedEntriesCannotBecomeUnkeyed(t *testing.T) {
	whole, k := aDay(t)
	forge := func(from int, head audit.Head) *record {
		// Everything from an entry on is written anew without the key, as the product would have.
		c := &record{rows: slices.Clone(whole.rows[:from]), now: whole.now}
		c.head = audit.Head{Sealed: head.Sealed, Checkpoint: head.Checkpoint, Seal: head.Seal}
		var last audit.Link
		if from > 0 {
			last = audit.Link{Seq: c.rows[from-1].Seq, MAC: c.rows[from-1].MAC}
		}
		forger := audit.Head{Tail: last}
		for range 9 {
			var row audit.Row
			var err error
			row, forger, err = (*audit.Key)(nil).Append(forger, func() audit.Entry { e := added("Forged"); e.At = whole.now; return e }(), nil)
			if err != nil {
				t.Fatal(err)
			}
			c.rows = append(c.rows, row)
		}
		c.head.Tail = forger.Tail
		return c
	}
	for from := range whole.rows {
		c := forge(from, whole.head)
		if c.verify(t, k).Whole() {
			t.Errorf("forged from entry %d on: not seen", from+1)
		}
		// The product goes on and seals what it finds: the change must show still.
		c.add(t, k, added("Next"), nil)
		if c.verify(t, k).Whole() {
			t.Errorf("forged from entry %d on, then sealed: not seen", from+1)
		}
		// Without the seal, the record must not pass as one that never had a key.
		c = forge(from, audit.Head{})
		if c.verify(t, k).Whole() {
			t.Errorf("forged from entry %d on, without a seal: not seen", from+1)
		}
		if _, _, err := k.Append(c.head, func() audit.Entry { e := added("Next"); e.At = whole.now; return e }(), nil); fault.Code(err) != "audit-damaged" {
			t.Errorf("a head without a seal was sealed: %v", err)
		}
	}
}

func forged(t testing.TB, prev audit.Link, at audit.Row) audit.Row {
	t.Helper()
	e := added("Forged")
	e.At = timeOf(t, at)
	row, _, err := (*audit.Key)(nil).Append(audit.Head{Tail: prev}, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// Anybody can compute the hash of an unkeyed entry. Once it is sealed, that must not help.
func TestUnkeyedEntriesCannotBeRewrittenOnceSealed(t *testing.T) {
	whole, k := aDay(t)
	for _, from := range []int{0, 1, 5} {
		c := whole.copy()
		var prev audit.Link
		if from > 0 {
			prev = audit.Link{Seq: c.rows[from-1].Seq, MAC: c.rows[from-1].MAC}
		}
		for i := from; !c.rows[i].Keyed; i++ {
			c.rows[i] = forged(t, prev, c.rows[i])
			prev = audit.Link{Seq: c.rows[i].Seq, MAC: c.rows[i].MAC}
		}
		found := c.verify(t, k)
		if found.Whole() || found.Bad != prev.Seq+1 || !strings.Contains(found.Problem, "without the key") {
			t.Errorf("from entry %d: %+v", from+1, found)
		}
	}
}

func TestEachFieldOfTheHeadIsSealed(t *testing.T) {
	whole, k := aDay(t)
	pruned := whole.copy()
	pruned.prune(t, k, timeOf(t, pruned.rows[2]))
	for name, r := range map[string]*record{"whole": whole, "pruned": pruned} {
		for i, row := range r.rows {
			at := audit.Link{Seq: row.Seq, MAC: row.MAC}
			for field, change := range map[string]func(*audit.Head){
				"sealed":    func(h *audit.Head) { h.Sealed = at },
				"last":      func(h *audit.Head) { h.Checkpoint.Last = at },
				"keyed":     func(h *audit.Head) { h.Checkpoint.Keyed = at },
				"both":      func(h *audit.Head) { h.Checkpoint.Last, h.Checkpoint.Keyed = at, at },
				"none":      func(h *audit.Head) { h.Checkpoint = audit.Checkpoint{} },
				"time":      func(h *audit.Head) { h.Checkpoint.At = h.Checkpoint.At.Add(time.Millisecond) },
				"removed":   func(h *audit.Head) { h.Checkpoint.Removed++ },
				"damaged":   func(h *audit.Head) { h.Checkpoint.Damaged = !h.Checkpoint.Damaged },
				"no seal":   func(h *audit.Head) { h.Seal = nil },
				"half seal": func(h *audit.Head) { h.Seal = h.Seal[:16] },
			} {
				head := r.head
				change(&head)
				if string(head.Bytes()) == string(r.head.Bytes()) {
					continue
				}
				for _, rows := range [][]audit.Row{r.rows, r.rows[:i+1], r.rows[i+1:], nil} {
					if found, err := audit.Verify(k, head, each(rows)); err != nil || found.Whole() || found.Bad != 0 {
						t.Errorf("%s: %s at entry %d: %+v %v", name, field, row.Seq, found, err)
					}
				}
				e := added("Next")
				e.At = r.now
				if _, _, err := k.Append(head, e, nil); fault.Code(err) != "audit-damaged" {
					t.Errorf("%s: %s at entry %d was sealed: %v", name, field, row.Seq, err)
				}
			}
		}
	}
}

// Two copies of a folder that went on apart have one key. Their entries and heads do not mix.
func TestForksDoNotMix(t *testing.T) {
	one, k := aDay(t)
	two := one.copy()
	one.add(t, k, added("One"), nil)
	two.add(t, k, added("Two"), nil)
	if found, err := audit.Verify(k, one.head, each(two.rows)); err != nil || found.Bad != 8 {
		t.Errorf("%+v %v", found, err)
	}
}

func TestKeyedEntriesWithoutASealAreSeen(t *testing.T) {
	whole, _ := aDay(t)
	found, err := audit.Verify(nil, audit.Head{}, each(whole.rows))
	if err != nil || found.Bad != 3 || !strings.Contains(found.Problem, "seal is missing") {
		t.Errorf("%+v %v", found, err)
	}
	for _, head := range []audit.Head{{Sealed: audit.Link{Seq: 7}}, {Checkpoint: audit.Checkpoint{Last: audit.Link{Seq: 2}}}, {Checkpoint: audit.Checkpoint{Damaged: true}}} {
		for _, rows := range [][]audit.Row{whole.rows[2:], nil} {
			if found, err := audit.Verify(nil, head, each(rows)); err != nil || found.Whole() {
				t.Errorf("%+v %v", found, err)
			}
		}
	}
}

func TestAHeadThatWasChangedIsNotSealedAgain(t *testing.T) {
	whole, k := aDay(t)
	e := added("Next")
	e.At = whole.now
	for i, row := range whole.rows[:6] {
		head := whole.head
		head.Sealed = audit.Link{Seq: row.Seq, MAC: row.MAC}
		if _, _, err := k.Append(head, e, nil); fault.Code(err) != "audit-damaged" {
			t.Errorf("the record was cut after entry %d and went on: %v", i+1, err)
		}
		if found, err := audit.Verify(k, head, each(whole.rows[:i+1])); err != nil || found.Whole() || found.Bad != 0 {
			t.Errorf("the record was cut after entry %d: %+v %v", i+1, found, err)
		}
	}
	head := whole.head
	head.Tail = audit.Link{Seq: math.MaxInt64}
	if _, _, err := k.Append(head, e, nil); fault.Code(err) != "audit-damaged" {
		t.Errorf("after the last number: %v", err)
	}
}

// An older copy of everything is whole in itself. This is what the record
// cannot show alone, and what an anchor is for.
func TestOnlyAnAnchorShowsThatTheRecordWasPutBack(t *testing.T) {
	r, k := aDay(t)
	old := r.copy()
	r.add(t, k, added("Later"), nil)
	if found, err := audit.Verify(k, old.head, each(r.rows)); err != nil || found.Bad != 8 {
		t.Errorf("only the head was put back: %+v %v", found, err)
	}
	noted := r.verify(t, k).Anchor
	if parsed, err := audit.ParseAnchor(" " + noted.String() + "\n"); err != nil || parsed != noted {
		t.Fatalf("%v %v", parsed, err)
	}
	if found := r.verify(t, k, noted); !found.Whole() {
		t.Errorf("%+v", found)
	}
	r.add(t, k, added("Later still"), nil)
	if found := r.verify(t, k, noted); !found.Whole() {
		t.Errorf("after it went on: %+v", found)
	}

	if found := old.verify(t, k); !found.Whole() {
		t.Errorf("an older copy is not whole: %+v", found)
	}
	if found := old.verify(t, k, noted); found.Whole() || found.Bad != 8 {
		t.Errorf("put back: %+v", found)
	}
	old.add(t, k, added("Something else"), nil)
	old.add(t, k, added("And more"), nil)
	if found := old.verify(t, k, noted); found.Whole() || found.Bad != 8 {
		t.Errorf("put back and gone on: %+v", found)
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
