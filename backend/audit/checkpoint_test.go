package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
)

func TestRetentionLeavesACheckpoint(t *testing.T) {
	for _, c := range []struct {
		name   string
		before int // the first entry that is too new to go
		first  int64
	}{
		{"nothing is old enough", 1, 1},
		{"the entries without a key", 3, 3},
		{"one with a key", 4, 4},
		{"what began stays with its end", 5, 4},
		{"what began and ended", 6, 6},
		{"an unkeyed entry between keyed ones", 7, 7},
		{"everything", 8, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, k := aDay(t)
			r.add(t, nil, added("Late"), nil) // what is not yet sealed stays in any case
			before := r.now.Add(time.Second)
			if c.before <= 7 {
				before = timeOf(t, r.rows[c.before-1])
			}
			if removed := r.prune(t, k, before); removed != c.first-1 || r.rows[0].Seq != c.first {
				t.Fatalf("%d removed", removed)
			}
			if found := r.verify(t, k); !found.Whole() {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestAPrunedRecordGoesOn(t *testing.T) {
	for before := 1; before <= 8; before++ {
		r, k := aDay(t)
		r.add(t, nil, added("Late"), nil)
		at := timeOf(t, r.rows[before-1])
		removed := r.prune(t, k, at)
		found := r.verify(t, k)
		if !found.Whole() || found.Removed != removed || found.Unsealed != 1 {
			t.Errorf("before entry %d: %+v", before, found)
		}
		r.add(t, k, audit.Entry{Action: audit.Audit, Detail: audit.DetailCheckpoint, Origin: audit.FromBackground}, nil)
		r.add(t, k, added("New"), nil)
		if found := r.verify(t, k); !found.Whole() || found.Last != 10 || found.Removed != removed || found.Unsealed != 0 {
			t.Errorf("before entry %d, and on: %+v", before, found)
		}
		removed += r.prune(t, k, r.now)
		if found := r.verify(t, k); !found.Whole() || found.Removed != removed || found.Entries != 1 || found.Removed != 9 {
			t.Errorf("before entry %d, and again: %+v", before, found)
		}
		// What retention removed must not come back, and nothing else may go in its name.
		back, _ := aDay(t)
		r.rows = slices.Insert(r.rows, 0, back.rows[0])
		if found := r.verify(t, k); found.Whole() || !strings.Contains(found.Problem, "retention has removed") {
			t.Errorf("an entry came back: %+v", found)
		}
		r.rows = nil
		if r.verify(t, k).Whole() {
			t.Error("more went than was removed")
		}
	}
}

func TestRetentionDoesNotRemoveTraces(t *testing.T) {
	r, k := aDay(t)
	r.rows[1].Body[10] ^= 1
	if _, err := k.Prune(r.head, each(r.rows), r.now, r.now); fault.Code(err) != "audit-damaged" || !strings.Contains(err.Error(), "Entry 2") {
		t.Errorf("%v", err)
	}
	r, k = aDay(t)
	r.rows = r.rows[:5]
	if _, err := k.Prune(r.head, each(r.rows), r.now, r.now); fault.Code(err) != "audit-damaged" {
		t.Errorf("a cut end: %v", err)
	}
	if _, err := (*audit.Key)(nil).Prune(r.head, each(r.rows), r.now, r.now); fault.Code(err) != "audit-key-missing" {
		t.Errorf("%v", err)
	}
}

func TestADamagedRecordGoesOnAndStaysMarked(t *testing.T) {
	next := map[string]int64{"nothing left": 8, "a changed seal": 8, "a seal cut back": 8, "a cut end": 8}
	for name, damage := range map[string]func(r *record){
		"a changed entry":   func(r *record) { r.rows[3].Body[10] ^= 1 },
		"a removed entry":   func(r *record) { r.rows = slices.Delete(r.rows, 3, 4) },
		"a cut end":         func(r *record) { r.rows = r.rows[:4] },
		"nothing left":      func(r *record) { r.rows = nil },
		"a changed seal":    func(r *record) { r.head.Seal = nil },
		"a seal cut back":   func(r *record) { r.head.Sealed = audit.Link{Seq: 4, MAC: r.rows[3].MAC} },
		"a head that is no": func(r *record) { r.head = audit.Head{} },
		"negative numbers":  func(r *record) { r.rows[0].Seq = -4 },
	} {
		t.Run(name, func(t *testing.T) {
			r, k := aDay(t)
			damage(r)
			if r.verify(t, k).Whole() {
				t.Fatal("the damage is not seen")
			}
			r.reseal(t, k)
			at := r.now
			row := r.add(t, k, audit.Entry{Action: audit.Audit, Detail: audit.DetailResealed, Origin: audit.FromCommandLine}, nil)
			if want := next[name]; want != 0 && row.Seq != want {
				t.Errorf("it goes on with entry %d, not %d", row.Seq, want)
			}
			r.add(t, nil, added("Unkeyed"), nil)
			r.add(t, k, added("New"), nil)
			found := r.verify(t, k)
			if !found.Whole() || found.Entries != 3 || !found.DamagedAt.Equal(at) || found.DamagedTo != row.Seq-1 {
				t.Fatalf("%+v", found)
			}
			if n := strings.Join(found.Notices(), " "); found.DamagedTo > 0 && !strings.Contains(n, "damaged") {
				t.Errorf("the damage is not told: %q", n)
			}
			// Sealed entries are as guarded as before.
			bad := r.copy()
			bad.rows[len(bad.rows)-3].Body[10] ^= 1
			if bad.verify(t, k).Whole() {
				t.Error("a change after the damage is not seen")
			}
			bad = r.copy()
			bad.rows = append(bad.rows, bad.rows[0])
			if bad.verify(t, k).Whole() {
				t.Error("an entry that was added after the damage is not seen")
			}
			// It cannot be resealed again while it is whole: the mark stays.
			before := string(r.head.Bytes())
			r.reseal(t, k)
			if string(r.head.Bytes()) != before {
				t.Error("a whole record was resealed")
			}
			// Nothing of the damaged time goes while retention covers it, and all of it afterwards.
			r.now = r.now.Add(time.Hour)
			n := int64(len(r.rows))
			if removed := r.prune(t, k, at); removed != 0 {
				t.Errorf("%d removed", removed)
			}
			if removed := r.prune(t, k, r.now); removed != n || len(r.rows) != 0 {
				t.Errorf("%d of %d removed", removed, n)
			}
			if found := r.verify(t, k); !found.Whole() || found.DamagedTo != 0 || found.Removed != n {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestResealingKeepsWhatItCanTrust(t *testing.T) {
	r, k := aDay(t)
	r.prune(t, k, timeOf(t, r.rows[2]))
	r.rows[1].MAC = nil
	r.reseal(t, k)
	if found := r.verify(t, k); !found.Whole() || found.Removed != 2 || found.DamagedTo != 7 {
		t.Errorf("%+v", found)
	}
	r.head.Seal[0] ^= 1
	r.reseal(t, k)
	if found := r.verify(t, k); !found.Whole() || found.Removed != 0 || found.DamagedTo != 7 {
		t.Errorf("%+v", found)
	}
}
