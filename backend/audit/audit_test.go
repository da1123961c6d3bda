package audit_test

import (
	"iter"
	"slices"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
)

var morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// record is a record as a caller keeps it.
type record struct {
	rows []audit.Row
	head audit.Head
	now  time.Time
}

func (r *record) add(t testing.TB, k *audit.Key, e audit.Entry, patient []byte) audit.Row {
	t.Helper()
	r.now = r.now.Add(time.Minute)
	if e.At.IsZero() {
		e.At = r.now
	}
	row, head, err := k.Append(r.head, e, patient)
	if err != nil {
		t.Fatal(err)
	}
	r.rows, r.head = append(r.rows, row), head
	return row
}

func (r *record) newKey(t testing.TB) *audit.Key {
	t.Helper()
	k, head, err := audit.NewKey(r.head)
	if err != nil {
		t.Fatal(err)
	}
	r.head = head
	return k
}

func each(rows []audit.Row) iter.Seq2[audit.Row, error] {
	return func(yield func(audit.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (r *record) verify(t testing.TB, k *audit.Key, anchors ...audit.Anchor) audit.Result {
	t.Helper()
	found, err := audit.Verify(k, r.head, each(r.rows), anchors...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (r *record) copy() *record {
	c := &record{head: r.head, now: r.now}
	c.head, _ = audit.ParseHead(r.head.Bytes())
	for _, row := range r.rows {
		row.Body, row.Patient, row.MAC = append([]byte(nil), row.Body...), append([]byte(nil), row.Patient...), append([]byte(nil), row.MAC...)
		c.rows = append(c.rows, row)
	}
	return c
}

func (r *record) prune(t testing.TB, k *audit.Key, before time.Time) int64 {
	t.Helper()
	head, err := k.Prune(r.head, each(r.rows), before, r.now)
	if err != nil {
		t.Fatal(err)
	}
	n := len(r.rows)
	if head.Checkpoint.Last.Seq != r.head.Checkpoint.Last.Seq {
		r.rows = slices.DeleteFunc(slices.Clone(r.rows), func(row audit.Row) bool { return row.Seq <= head.Checkpoint.Last.Seq })
	}
	r.head = head
	return int64(n - len(r.rows))
}

func (r *record) reseal(t testing.TB, k *audit.Key) {
	t.Helper()
	head, err := k.Reseal(r.head, each(r.rows), r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.head = head
}

func timeOf(t testing.TB, row audit.Row) time.Time {
	t.Helper()
	e, err := row.Entry()
	if err != nil {
		t.Fatal(err)
	}
	return e.At
}

func added(name string) audit.Entry {
	return audit.Entry{Action: audit.Registration, Detail: audit.DetailAdded, RegistrationName: name, Origin: audit.FromWindow}
}

// aDay is a record with everything in it: unkeyed entries, a key, an action
// outward with its patient, and an unkeyed entry between keyed ones.
func aDay(t testing.TB) (*record, *audit.Key) {
	r := &record{now: morning}
	r.add(t, nil, added("St. Elsewhere"), nil)
	r.add(t, nil, added("General"), nil)
	k := r.newKey(t)
	r.add(t, k, audit.Entry{Action: audit.Vault, Detail: audit.DetailMade, Origin: audit.FromWindow, ProfileID: "p1", ProfileName: "Ada"}, nil)
	read := audit.Entry{Action: audit.Read, Detail: audit.DetailSearch, Resource: "Observation", ProfileID: "p1", ProfileName: "Ada", Role: "clinician",
		RegistrationID: "r1", RegistrationName: "General", Server: "https://ehr.example/fhir", ClientID: "chartkey", Origin: audit.FromCommandLine}
	started := r.add(t, k, read.Started(r.now.Add(30*time.Second)), []byte("sealed Patient/1"))
	e, err := started.Entry()
	if err != nil {
		t.Fatal(err)
	}
	r.add(t, k, e.Ended(r.now.Add(30*time.Second), nil), []byte("sealed Patient/1 again"))
	r.add(t, nil, audit.Entry{Action: audit.Policy, Detail: audit.DetailIdleTime, Subject: "15m", Origin: audit.FromCommandLine}, nil)
	r.add(t, k, audit.Entry{Action: audit.SignIn, Detail: audit.DetailWrongPasscode, Fault: "passcode-wrong", Origin: audit.FromWindow, ProfileName: "Ada"}, nil)
	return r, k
}

func TestARecordIsWhole(t *testing.T) {
	r, k := aDay(t)
	found := r.verify(t, k)
	if !found.Whole() || found.Entries != 7 || found.Unkeyed != 3 || found.Unsealed != 0 || found.First != 1 || found.Last != 7 {
		t.Errorf("found %+v", found)
	}
	if len(r.head.Seal) == 0 || found.Anchor.Seq != 7 {
		t.Errorf("anchor %v", found.Anchor)
	}
	r.add(t, nil, added("Late"), nil)
	found = r.verify(t, k)
	if !found.Whole() || found.Unsealed != 1 || len(found.Notices()) != 2 {
		t.Errorf("found %+v %q", found, found.Notices())
	}
	if _, err := audit.Verify(nil, r.head, each(r.rows)); fault.Code(err) != "audit-key-missing" {
		t.Errorf("without the key: %v", err)
	}
}
