package audit_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chartkey/backend/audit"
)

// A record of any history is whole, and any one change to it shows.
func TestRandomRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &record{now: morning}
		var key *audit.Key
		var open []audit.Entry
		var written, removed int64
		add := func(k *audit.Key, e audit.Entry) {
			r.now = r.now.Add(time.Duration(rapid.IntRange(-30, 300).Draw(t, "seconds")) * time.Second) // clocks are set back too
			e.At = r.now
			row, head, err := k.Append(r.head, e, rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "patient"))
			if err != nil {
				t.Fatal(err)
			}
			if row.Seq != r.head.Next() {
				t.Fatalf("Next said %d, not %d", r.head.Next(), row.Seq)
			}
			r.rows, r.head = append(r.rows, row), head
			written++
			if e, _ := row.Entry(); e.Phase == audit.Started {
				open = append(open, e)
			}
		}
		verify := func() audit.Result {
			found, err := audit.Verify(key, r.head, each(r.rows))
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 9).Draw(t, "step"); {
			case op == 0 && key == nil:
				k, head, err := audit.NewKey(r.head)
				if err != nil {
					t.Fatal(err)
				}
				key, r.head = k, head
			case op == 1:
				add(nil, added(rapid.String().Draw(t, "name")))
			case op == 2 && key != nil:
				before := r.now.Add(-time.Duration(rapid.IntRange(-60, 3000).Draw(t, "age")) * time.Second)
				head, err := key.Prune(r.head, each(r.rows), before, r.now)
				if err != nil {
					t.Fatal(err)
				}
				gone := head.Checkpoint.Last.Seq
				for _, row := range r.rows {
					e, _ := row.Entry()
					if row.Seq <= gone && !e.At.Before(before) {
						t.Fatalf("entry %d went, though it is new", row.Seq)
					}
					if row.Seq > gone && e.Ref > 0 && e.Ref <= gone && e.Ref > r.head.Checkpoint.Last.Seq {
						t.Fatalf("entry %d stayed without entry %d that began it", row.Seq, e.Ref)
					}
				}
				r.rows = slices.DeleteFunc(slices.Clone(r.rows), func(row audit.Row) bool { return row.Seq <= gone })
				r.head, removed = head, gone
			case op <= 4:
				add(key, act(atEHR, audit.Connect, "").Started(r.now))
			case op <= 6 && len(open) > 0:
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				add(key, open[i].Ended(r.now, nil))
				open = slices.Delete(open, i, i+1)
			default:
				add(key, added(rapid.String().Draw(t, "name")))
			}
			if found := verify(); !found.Whole() || found.Entries != written-removed || found.Removed != removed {
				t.Fatalf("%+v, though %d were written and %d removed", found, written, removed)
			}
		}

		// Change something at or below the seal, or in an entry's chain.
		n := len(r.rows)
		if n == 0 {
			return
		}
		rows, head := r.rows, r.head
		r.rows = slices.Clone(rows)
		i := rapid.IntRange(0, n-1).Draw(t, "at")
		row := &r.rows[i]
		flip := func(b []byte) []byte {
			if len(b) == 0 {
				return []byte{1}
			}
			b = slices.Clone(b)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			return b
		}
		switch rapid.IntRange(0, 7).Draw(t, "change") {
		case 0:
			row.Body = flip(row.Body)
		case 1:
			row.Patient = flip(row.Patient)
		case 2:
			row.MAC = flip(row.MAC)
		case 3:
			row.Seq += rapid.Int64Range(1, 5).Draw(t, "by")
		case 4:
			row.Keyed = !row.Keyed
		case 5:
			r.rows = slices.Delete(r.rows, i, i+1)
		case 6:
			r.rows = slices.Insert(r.rows, rapid.IntRange(0, n).Draw(t, "to"), *row)
		case 7:
			b := flip(head.Bytes())
			h, err := audit.ParseHead(b)
			if err != nil || bytes.Equal(h.Bytes(), head.Bytes()) {
				return
			}
			if len(head.Seal) == 0 { // nothing seals it yet; the chain itself must not be changed
				return
			}
			if bytes.Equal(h.Seal, head.Seal) && h.Tail.Seq <= head.Sealed.Seq && head.Tail.Seq == 0 {
				return
			}
			r.head = h
		}
		if found := verify(); found.Whole() {
			t.Fatalf("the change is not seen: %+v", found)
		}
	})
}

func FuzzBody(f *testing.F) {
	r, _ := aDay(f)
	for _, row := range r.rows {
		f.Add(row.Body)
	}
	for _, s := range []string{"", "{}", "null", `{"at":"2026-01-01T00:00:00Z","action":"read","origin":"window"} `, `{"at":"2026-01-01T00:00:00+01:00","action":"read","origin":"window"}`,
		`{"at":"2026-01-01T00:00:00Z","action":"read","origin":"window","seq":1}`, `{"at":"2026-01-01T00:00:00Z","action":"read","origin":"window","patient":"Patient/1"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := audit.Row{Seq: 1, Body: body}.Entry()
		if err != nil {
			if e.Action != audit.Unreadable || e.Seq != 1 {
				t.Fatalf("%+v", e)
			}
			return
		}
		row, _, err := (*audit.Key)(nil).Append(audit.Head{}, e, nil)
		if err != nil || !bytes.Equal(row.Body, body) {
			t.Fatalf("%q was read, and is written as %q: %v", body, row.Body, err)
		}
	})
}

func FuzzHead(f *testing.F) {
	r, k := aDay(f)
	f.Add(r.head.Bytes())
	f.Add([]byte(`{"tail":{"seq":3,"mac":"AAAA"}}`))
	f.Add([]byte(`{"sealed":{"seq":-3},"checkpoint":{"at":"2026-01-01T00:00:00Z","damaged":true}}`))
	e := added("Next")
	e.At = morning
	f.Fuzz(func(t *testing.T, b []byte) {
		head, err := audit.ParseHead(b)
		if err != nil {
			return
		}
		if len(b) > 0 && !bytes.Equal(head.Bytes(), b) {
			t.Fatalf("%q was read, and is written as %q", b, head.Bytes())
		}
		found, err := audit.Verify(k, head, each(r.rows))
		if err != nil {
			t.Fatal(err)
		}
		if found.Whole() && !bytes.Equal(b, r.head.Bytes()) && head.Tail.Seq == 0 {
			t.Fatalf("a forged head passes: %q", b)
		}
		if _, _, err := k.Append(head, e, nil); err == nil && !bytes.Equal(head.Seal, r.head.Seal) {
			t.Fatalf("a forged head was sealed: %q", b)
		}
	})
}

func FuzzAnchor(f *testing.F) {
	f.Add("7:0123456789abcdef0123456789abcdef")
	f.Add("-1:")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := audit.ParseAnchor(s)
		if err != nil {
			return
		}
		if again, err := audit.ParseAnchor(a.String()); err != nil || again != a || a.IsZero() {
			t.Fatalf("%q: %v %v %v", s, a, again, err)
		}
	})
}

const benchmarkEntries = 10_000

func aLongRecord(b *testing.B) (*record, *audit.Key) {
	r := &record{now: morning}
	k := r.newKey(b)
	e := act(atEHR, audit.Read, audit.DetailResource)
	e.Resource = "Observation"
	for range benchmarkEntries / 2 {
		started, err := r.add(b, k, e.Started(r.now), make([]byte, 80)).Entry()
		if err != nil {
			b.Fatal(err)
		}
		r.add(b, k, started.Ended(r.now, nil), make([]byte, 80))
	}
	return r, k
}

func BenchmarkAppend10000(b *testing.B) {
	for b.Loop() {
		aLongRecord(b)
	}
}

func BenchmarkVerify10000(b *testing.B) {
	r, k := aLongRecord(b)
	for b.Loop() {
		if found := r.verify(b, k); !found.Whole() {
			b.Fatal(found)
		}
	}
}

func BenchmarkPrune10000(b *testing.B) {
	r, k := aLongRecord(b)
	for b.Loop() {
		if _, err := k.Prune(r.head, each(r.rows), r.now, r.now); err != nil {
			b.Fatal(err)
		}
	}
}
