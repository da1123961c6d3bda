package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"math"
	"time"

	"chartkey/backend/secret"
)

// Each entry is chained to the one before it. With the record's key (HMAC-SHA-256):
//
//	MAC = HMAC(key, "row", Seq, MAC of the entry before, Seq and MAC of the keyed entry before, body, sealed patient)
//
// and without it, while no vault is there or it was not yet unlocked:
//
//	MAC = SHA-256("open row", Seq, MAC of the entry before, body, sealed patient)
//
// A keyed entry names the keyed one before it too. Without that, keyed entries
// could be rewritten as unkeyed ones until the next keyed entry is written over them.
//
// The head is what the record ends with, sealed by the key. Unkeyed entries after
// it are its tail, which nothing seals until the next keyed entry does.

// Row is an entry as it is stored.
type Row struct {
	Seq int64
	// Body is the entry in its canonical JSON, without the patient.
	Body []byte
	// Patient is the patient's reference, sealed by the caller, or nil. The chain covers the sealed bytes.
	Patient []byte
	MAC     []byte
	// Keyed tells by which of the two ways MAC was made.
	Keyed bool
}

// Entry reads the row's body. The patient stays sealed: the caller sets
// Entry.Patient after opening. The fault is audit-unreadable; the entry that
// comes with it has the action Unreadable and may stand in lists and exports,
// since one changed row must not hide the others.
func (r Row) Entry() (Entry, error) {
	e, err := parse(r.Body)
	if err != nil {
		e = Entry{Action: Unreadable}
	}
	e.Seq, e.Unkeyed = r.Seq, !r.Keyed
	return e, err
}

// Link is a place in the chain.
type Link struct {
	Seq int64  `json:"seq,omitzero"`
	MAC []byte `json:"mac,omitzero"`
}

func (l Link) equal(o Link) bool { return l.Seq == o.Seq && bytes.Equal(l.MAC, o.MAC) }

// Checkpoint stands for the entries up to a place. Verification goes on from it.
type Checkpoint struct {
	// Last is the last entry that the checkpoint stands for, and Keyed the last keyed one of them.
	Last  Link `json:"last,omitzero"`
	Keyed Link `json:"keyed,omitzero"`
	// At is when the checkpoint was made.
	At time.Time `json:"at,omitzero"`
	// Removed counts the entries that retention has removed since the record began.
	Removed int64 `json:"removed,omitzero"`
	// Damaged is true where a person resealed a damaged record: entries up to Last
	// may still be there, and nothing vouches for them.
	Damaged bool `json:"damaged,omitzero"`
}

// Head is what the record ends with. The caller stores it in the same
// transaction as the row that it was made for. The zero Head is that of a record
// for which there was never a key.
type Head struct {
	// Sealed is the last keyed entry, up to which Seal vouches for everything.
	Sealed     Link       `json:"sealed,omitzero"`
	Checkpoint Checkpoint `json:"checkpoint,omitzero"`
	// Seal is the HMAC of Sealed and Checkpoint.
	Seal []byte `json:"seal,omitzero"`
	// Tail is the last unkeyed entry after Sealed, if there is one. Nothing seals it.
	Tail Link `json:"tail,omitzero"`
}

// maxHead bounds what ParseHead reads; a real head is under 600 bytes.
const maxHead = 4 << 10

// Bytes gives the head in the form that ParseHead reads.
func (h Head) Bytes() []byte {
	b, err := json.Marshal(h)
	if err != nil { // a time that is none: no head of this package has one
		return nil
	}
	return b
}

// ParseHead reads a stored head. It accepts only what Bytes writes; nothing, for
// a record that has none, gives the zero Head. The fault is audit-damaged.
func ParseHead(b []byte) (Head, error) {
	var h Head
	if len(b) == 0 {
		return h, nil
	}
	if len(b) > maxHead {
		return Head{}, errSeal()
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return Head{}, errSeal().Because(err)
	}
	if !bytes.Equal(h.Bytes(), b) {
		return Head{}, errSeal()
	}
	return h, nil
}

// Next is the Seq that Append will give, for a caller that binds the sealed patient to it.
func (h Head) Next() int64 { return h.last().Seq + 1 }

// last is the entry that the next one follows.
func (h Head) last() Link {
	last := h.Sealed
	if last.Seq == 0 {
		last = h.Checkpoint.Last
	}
	if h.Tail.Seq > last.Seq {
		return h.Tail
	}
	return last
}

// keyed is the keyed entry that the next keyed one follows.
func (h Head) keyed() Link {
	if h.Sealed.Seq == 0 {
		return h.Checkpoint.Keyed
	}
	return h.Sealed
}

// Key is the record's key.
type Key struct{ value secret.Value }

// keySize is that of the HMAC's key, in bytes.
const keySize = sha256.Size

// NewKey makes a key and the first head that it seals. It is called once in the
// life of a record, in the transaction that stores the sealed key: from then on
// a missing head is a damage. Entries that were written before stay, as the tail of head.
func NewKey(head Head) (*Key, Head, error) {
	if len(head.Seal) > 0 {
		return nil, Head{}, errHasKey()
	}
	k := &Key{secret.Own(make([]byte, keySize))}
	_, _ = rand.Read(k.value.Bytes()) // never fails, says its documentation
	h := Head{Tail: head.Tail}
	h.Seal = k.seal(h)
	return k, h, nil
}

// KeyFrom makes a key of what Secret gave. The fault is audit-key-missing.
func KeyFrom(v secret.Value) (*Key, error) {
	if len(v.Bytes()) != keySize {
		return nil, errKeyMissing()
	}
	return &Key{v}, nil
}

// Secret gives the key's value, for the caller to seal and store.
func (k *Key) Secret() secret.Value { return k.value }

// usable tells that the key was not wiped.
func (k *Key) usable() bool { return len(k.value.Bytes()) == keySize }

// Append chains an entry to the record that ends with head. It gives the row to
// store and the head to store with it. A nil key writes an unkeyed entry.
//
// A head whose seal does not fit is not written over, since that would vouch for
// whoever changed it: the fault is audit-damaged, and Verify tells more. The
// other faults are audit-entry-invalid and audit-key-missing (the key was wiped).
func (k *Key) Append(head Head, e Entry, sealedPatient []byte) (Row, Head, error) {
	body, err := e.body()
	if err != nil {
		return Row{}, Head{}, err
	}
	if len(sealedPatient) > maxSealed {
		return Row{}, Head{}, errSealedTooLong()
	}
	prev := head.last()
	if prev.Seq < 0 || prev.Seq == math.MaxInt64 {
		return Row{}, Head{}, errSeal()
	}
	row := Row{Seq: prev.Seq + 1, Body: body, Patient: sealedPatient, Keyed: k != nil}
	if k == nil {
		row.MAC = openMAC(row, prev)
		head.Tail = Link{row.Seq, row.MAC}
		return row, head, nil
	}
	if !k.usable() {
		return Row{}, Head{}, errKeyMissing()
	}
	if !hmac.Equal(k.seal(head), head.Seal) {
		return Row{}, Head{}, errSeal()
	}
	row.MAC = k.rowMAC(row, prev, head.keyed())
	return row, k.sealed(Link{row.Seq, row.MAC}, head.Checkpoint), nil
}

// sealed makes a head.
func (k *Key) sealed(last Link, c Checkpoint) Head {
	h := Head{Sealed: last, Checkpoint: c}
	h.Seal = k.seal(h)
	return h
}

func (k *Key) seal(h Head) []byte {
	m := k.mac("head")
	m.link(h.Sealed)
	m.link(h.Checkpoint.Last)
	m.link(h.Checkpoint.Keyed)
	m.bytes([]byte(h.Checkpoint.At.Format(time.RFC3339Nano)))
	m.number(h.Checkpoint.Removed)
	m.flag(h.Checkpoint.Damaged)
	return m.Sum(nil)
}

func (k *Key) rowMAC(r Row, prev, keyed Link) []byte {
	m := k.mac("row")
	m.row(r, prev)
	m.link(keyed)
	return m.Sum(nil)
}

func openMAC(r Row, prev Link) []byte {
	m := input{sha256.New()}
	m.bytes([]byte(domain + "open row"))
	m.row(r, prev)
	return m.Sum(nil)
}

// domain begins what is hashed, so that no MAC of this package means anything elsewhere.
const domain = "chartkey audit 1 "

func (k *Key) mac(label string) input {
	m := input{hmac.New(sha256.New, k.value.Bytes())}
	m.bytes([]byte(domain + label))
	return m
}

// input feeds a hash with fields that cannot run into each other.
type input struct{ hash.Hash }

func (in input) number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n)) //#nosec G115 -- the bits count, not the sign
	_, _ = in.Write(b[:])
}

func (in input) bytes(b []byte) {
	in.number(int64(len(b)))
	_, _ = in.Write(b)
}

func (in input) flag(f bool) {
	if f {
		in.number(1)
	} else {
		in.number(0)
	}
}

func (in input) link(l Link) {
	in.number(l.Seq)
	in.bytes(l.MAC)
}

func (in input) row(r Row, prev Link) {
	in.number(r.Seq)
	in.link(prev)
	in.bytes(r.Body)
	in.bytes(r.Patient)
}
