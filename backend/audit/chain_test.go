package audit_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/secret"
)

// write is docs/audit.md's encoding, written a second time: numbers as 8 bytes,
// big endian, and bytes after their length.
func write(h hash.Hash, fields ...any) []byte {
	number := func(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	for _, f := range fields {
		switch f := f.(type) {
		case int64:
			number(f)
		case string:
			number(int64(len(f)))
			h.Write([]byte(f))
		case []byte:
			number(int64(len(f)))
			h.Write(f)
		case audit.Link:
			number(f.Seq)
			number(int64(len(f.MAC)))
			h.Write(f.MAC)
		}
	}
	return h.Sum(nil)
}

func linkOf(r audit.Row) audit.Link { return audit.Link{Seq: r.Seq, MAC: r.MAC} }

// A record outlives the version that wrote it, so the way it is chained cannot change by accident.
func TestTheChainIsAsDocumented(t *testing.T) {
	raw := bytes.Repeat([]byte{7}, 32)
	r := &record{now: morning}
	r.add(t, nil, added("One"), nil)
	r.add(t, nil, added("Two"), nil)
	known, err := audit.KeyFrom(secret.New(raw))
	if err != nil {
		t.Fatal(err)
	}
	mac := func(fields ...any) []byte { return write(hmac.New(sha256.New, raw), fields...) }
	var none audit.Link
	zero := time.Time{}.Format(time.RFC3339Nano)

	one, two := r.rows[0], r.rows[1]
	if !bytes.Equal(one.MAC, write(sha256.New(), "chartkey audit 1 open row", one.Seq, none, one.Body, []byte(nil))) ||
		!bytes.Equal(two.MAC, write(sha256.New(), "chartkey audit 1 open row", two.Seq, linkOf(one), two.Body, []byte(nil))) {
		t.Error("unkeyed entries are chained otherwise")
	}
	r.head.Seal = mac("chartkey audit 1 head", none, none, none, zero, int64(0), int64(0))
	three := r.add(t, known, added("Three"), []byte("sealed"))
	if !bytes.Equal(three.MAC, mac("chartkey audit 1 row", three.Seq, linkOf(two), three.Body, []byte("sealed"), none)) {
		t.Error("keyed entries are chained otherwise")
	}
	four := r.add(t, nil, added("Four"), nil)
	five := r.add(t, known, added("Five"), nil)
	if !bytes.Equal(five.MAC, mac("chartkey audit 1 row", five.Seq, linkOf(four), five.Body, []byte(nil), linkOf(three))) {
		t.Error("keyed entries are chained to the keyed one before otherwise")
	}
	if !bytes.Equal(r.head.Seal, mac("chartkey audit 1 head", linkOf(five), none, none, zero, int64(0), int64(0))) {
		t.Error("the head is sealed otherwise")
	}
	r.prune(t, known, timeOf(t, r.rows[3]))
	if !bytes.Equal(r.head.Seal, mac("chartkey audit 1 head", linkOf(five), linkOf(three), linkOf(three), r.now.Format(time.RFC3339Nano), int64(3), int64(0))) {
		t.Error("a checkpoint is sealed otherwise")
	}
	if found := r.verify(t, known); !found.Whole() {
		t.Errorf("%+v", found)
	}
	// Who can compute the hash can add to the tail, but nothing that is no entry.
	odd := audit.Row{Seq: 6, Body: []byte(`{"action":"read"}`)}
	odd.MAC = write(sha256.New(), "chartkey audit 1 open row", odd.Seq, linkOf(five), odd.Body, []byte(nil))
	r.rows, r.head.Tail = append(r.rows, odd), linkOf(odd)
	if found := r.verify(t, known); found.Whole() || found.Bad != 6 {
		t.Errorf("%+v", found)
	}
	if got := string(three.Body); got != `{"at":"2026-03-02T08:03:00Z","action":"registration","detail":"added","registration_name":"Three","origin":"window"}` {
		t.Errorf("the body is %s", got)
	}
}
