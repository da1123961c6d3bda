package workstation_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"chartkey/backend/audit"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// auditRow is a row of the activity record as it is stored.
type auditRow struct {
	seq                int64
	body, patient, mac []byte
	keyed              bool
}

// archive is a real activity record, whose rows can be changed behind Chartkey's back.
type archive struct {
	*bench
	db   *sql.DB
	rows []auditRow
	head string
}

// newArchive makes a small record with all that there is: entries with and
// without the key, with and without a patient, begun and ended.
func newArchive(t *testing.T) *archive {
	t.Helper()
	b := newBench(t, simulator.Settings{})
	reg := b.register(t) // before there is a vault
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	a := &archive{bench: b, db: sqlOf(t, b.home)}
	a.exec(t, "PRAGMA synchronous = off")
	a.db.SetMaxOpenConns(1)
	rows, err := a.db.QueryContext(t.Context(), "SELECT seq, body, patient, mac, keyed FROM audit ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	kinds := map[string]bool{}
	for rows.Next() {
		var r auditRow
		if err := rows.Scan(&r.seq, &r.body, &r.patient, &r.mac, &r.keyed); err != nil {
			t.Fatal(err)
		}
		a.rows = append(a.rows, r)
		kinds[fmt.Sprintf("keyed %v patient %v", r.keyed, len(r.patient) > 0)] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if err := a.db.QueryRowContext(t.Context(), "SELECT head FROM audit_chain").Scan(&a.head); err != nil {
		t.Fatal(err)
	}
	if !kinds["keyed false patient false"] || !kinds["keyed true patient true"] || !kinds["keyed true patient false"] {
		t.Fatalf("the record has %v", kinds)
	}
	if r := a.verify(t); !r.Whole() || int(r.Entries) != len(a.rows) {
		t.Fatalf("the record is not whole to begin with: %+v", r)
	}
	return a
}

func (a *archive) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := a.db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (a *archive) verify(t *testing.T, anchors ...audit.Anchor) audit.Result {
	t.Helper()
	r, err := a.VerifyAudit(t.Context(), anchors...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// restore puts the record back as it was.
func (a *archive) restore(t *testing.T) {
	t.Helper()
	a.exec(t, "DELETE FROM audit")
	for _, r := range a.rows {
		a.exec(t, "INSERT INTO audit (seq, body, patient, mac, keyed) VALUES (?, ?, ?, ?, ?)", r.seq, r.body, r.patient, r.mac, r.keyed)
	}
	a.exec(t, "UPDATE audit_chain SET head = ?", a.head)
}

func TestEachChangedByteOfTheRecordIsFound(t *testing.T) {
	a := newArchive(t)
	for _, r := range a.rows {
		for column, value := range map[string][]byte{"body": r.body, "patient": r.patient, "mac": r.mac} {
			for i := range value {
				changed := slices.Clone(value)
				changed[i] ^= 1
				a.exec(t, "UPDATE audit SET "+column+" = ? WHERE seq = ?", changed, r.seq)
				if found := a.verify(t); found.Whole() || (r.keyed && found.Bad != r.seq) || found.Bad < r.seq {
					t.Errorf("byte %d of the %s of entry %d was changed: %+v", i, column, r.seq, found)
				}
			}
			if column == "patient" && value == nil {
				a.exec(t, "UPDATE audit SET patient = x'00' WHERE seq = ?", r.seq)
				if a.verify(t).Whole() {
					t.Errorf("a patient was added to entry %d", r.seq)
				}
				a.exec(t, "UPDATE audit SET patient = NULL WHERE seq = ?", r.seq)
			}
			a.exec(t, "UPDATE audit SET "+column+" = ? WHERE seq = ?", value, r.seq)
		}
		a.exec(t, "UPDATE audit SET keyed = 1 - keyed WHERE seq = ?", r.seq)
		if found := a.verify(t); found.Whole() || found.Bad != r.seq {
			t.Errorf("entry %d says otherwise by which key it was written: %+v", r.seq, found)
		}
		a.exec(t, "UPDATE audit SET keyed = 1 - keyed WHERE seq = ?", r.seq)
		for _, seq := range []int64{0, -1, r.seq + 1000, 1 << 62} {
			a.exec(t, "UPDATE audit SET seq = ? WHERE seq = ?", seq, r.seq)
			if a.verify(t).Whole() {
				t.Errorf("entry %d has the number %d now", r.seq, seq)
			}
			a.exec(t, "UPDATE audit SET seq = ? WHERE seq = ?", r.seq, seq)
		}
	}
	for i := range a.head {
		for _, bit := range []byte{1, 0x20} {
			changed := []byte(a.head)
			changed[i] ^= bit
			a.exec(t, "UPDATE audit_chain SET head = ?", string(changed))
			if found := a.verify(t); found.Whole() {
				t.Errorf("byte %d of the seal was changed: %s", i, changed)
			}
		}
	}
	a.restore(t)
	if found := a.verify(t); !found.Whole() {
		t.Errorf("put back: %+v", found)
	}
}

func TestWhatIsMissingFromTheRecordOrOutOfOrderIsFound(t *testing.T) {
	a := newArchive(t)
	last := a.rows[len(a.rows)-1].seq
	for name, c := range map[string]struct {
		change string
		bad    int64
	}{
		"the last":                        {fmt.Sprintf("DELETE FROM audit WHERE seq = %d", last), last},
		"the last two":                    {fmt.Sprintf("DELETE FROM audit WHERE seq >= %d", last-1), last - 1},
		"the first":                       {"DELETE FROM audit WHERE seq = 1", 1},
		"one in the middle":               {"DELETE FROM audit WHERE seq = 3", 3},
		"one, with the others moved up":   {"DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3", 3},
		"all":                             {"DELETE FROM audit", 1},
		"two changed places":              {fmt.Sprintf("UPDATE audit SET seq = -7 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = %d; UPDATE audit SET seq = %d WHERE seq = -7", last, last), 3},
		"a copy of an old one at the end": {fmt.Sprintf("INSERT INTO audit SELECT %d, body, patient, mac, keyed FROM audit WHERE seq = 3", last+1), last + 1},
		"a patient of another":            {fmt.Sprintf("UPDATE audit SET patient = (SELECT patient FROM audit WHERE patient IS NOT NULL LIMIT 1) WHERE seq = %d", 1), 1},
		"the seal":                        {"UPDATE audit_chain SET head = ''", 0},
		"the seal's row, and a new one":   {"UPDATE audit_chain SET head = '{}'", 0},
	} {
		a.exec(t, c.change)
		if found := a.verify(t); found.Whole() || (c.bad > 0 && found.Bad != c.bad) {
			t.Errorf("%s: %+v, want entry %d", name, found, c.bad)
		}
		// Nothing is written over it: that would vouch for who did it.
		if _, err := a.Read(t.Context(), "Mercy", "Patient/amara-nwosu"); strings.Contains(c.change, "head") && err == nil {
			t.Errorf("%s: something was recorded over a broken seal", name)
		}
		a.restore(t)
	}
	// An older copy of the whole record is whole in itself; what was noted elsewhere tells.
	noted := a.verify(t).Anchor
	if _, err := a.Read(t.Context(), "Mercy", "Patient/amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	later := a.verify(t, noted)
	if !later.Whole() {
		t.Fatalf("%+v", later)
	}
	a.restore(t)
	if found := a.verify(t, noted); !found.Whole() {
		t.Errorf("%+v", found)
	}
	if found := a.verify(t, later.Anchor); found.Whole() {
		t.Errorf("the record was put back, and %+v", found)
	}
}

// TestADamagedRecordGoesOnOnlyAfterAnAdminHasSaidSo follows a damage to its end.
func TestADamagedRecordGoesOnOnlyAfterAnAdminHasSaidSo(t *testing.T) {
	a := newArchive(t)
	a.exec(t, "UPDATE audit_chain SET head = replace(head, 'seq\":', 'seq\":1')")
	_, err := a.Read(t.Context(), "Mercy", "Patient/amara-nwosu")
	wantCode(t, err, "audit-damaged")
	_, err = a.BeginConnect(t.Context(), "Mercy", workstation.ConnectOptions{})
	wantCode(t, err, "audit-damaged")
	if s, err := a.Status(t.Context(), "Mercy"); err != nil || s.State != workstation.Connected {
		t.Errorf("what asks nobody and does nothing still answers: %+v %v", s, err)
	}
	if log, err := a.AuditLog(t.Context(), 100); err != nil || len(log) == 0 {
		t.Errorf("the record cannot be seen: %v", err)
	}
	if err := a.ResealAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(t.Context(), "Mercy", "Patient/amara-nwosu"); err != nil {
		t.Error(err)
	}
	if found := a.verify(t); !found.Whole() || found.DamagedTo == 0 || len(found.Notices()) == 0 {
		t.Errorf("the damage is not told of any more: %+v", found)
	}
}
