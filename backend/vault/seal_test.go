package vault_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/vault"
)

func newKey(t testing.TB, v *vault.Vault, owner string) (*vault.DataKey, []byte) {
	t.Helper()
	key, wrapped, err := v.NewDataKey(owner)
	if err != nil {
		t.Fatal(err)
	}
	return key, wrapped
}

func TestASealedSecretOpensAtItsOwnPlaceOnly(t *testing.T) {
	v, _ := create(t)
	other, _ := create(t)
	alice, _ := newKey(t, v, "alice")
	bob, _ := newKey(t, v, "bob")
	elsewhere, _ := newKey(t, other, "alice")

	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 12, -1)
		place := vault.Binding{Table: name.Draw(t, "table"), Column: name.Draw(t, "column"), Row: name.Draw(t, "row")}
		text := rapid.String().Draw(t, "secret")
		sealed, err := alice.Seal(place, secret.New(text))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := alice.Open(place, sealed); err != nil || s.Reveal() != text {
			t.Fatalf("it does not open at its place: %v", err)
		}
		named := place
		named.Vault = v.ID()
		if _, err := alice.Open(named, sealed); err != nil {
			t.Fatalf("naming the vault in use changes something: %v", err)
		}
		if len(text) > 3 && bytes.Contains(sealed, []byte(text)) {
			t.Fatal("the secret is readable")
		}

		refused := func(key *vault.DataKey, at vault.Binding, sealed []byte) {
			s, err := key.Open(at, sealed)
			if fault.Code(err) != "vault-damaged" || !s.IsEmpty() {
				t.Fatalf("it opened at %+v", at)
			}
		}
		refused(bob, place, sealed)
		refused(elsewhere, place, sealed)

		flipped := bytes.Clone(sealed)
		flipped[rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		refused(alice, place, flipped)
		refused(alice, place, sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "length")])
		refused(alice, place, append(bytes.Clone(sealed), rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "more")...))

		moved := place
		parts := []*string{&moved.Table, &moved.Column, &moved.Row, &moved.Vault}
		*parts[rapid.IntRange(0, 3).Draw(t, "which part")] = name.Draw(t, "moved to")
		if moved != place {
			refused(alice, moved, sealed)
		}
		// One letter from one part to the next: only the lengths tell.
		shifted := vault.Binding{Table: place.Table + place.Column[:1], Column: place.Column[1:], Row: place.Row}
		refused(alice, shifted, sealed)
	})
}

func TestTwoSealsOfOneSecretDiffer(t *testing.T) {
	v, _ := create(t)
	key, _ := newKey(t, v, "p")
	place := vault.Binding{Table: "t", Column: "c", Row: "r"}
	a, err := key.Seal(place, secret.New("s"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := key.Seal(place, secret.New("s"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) {
		t.Error("whoever reads the store sees that two secrets are equal")
	}
}

func TestAnIncompletePlaceIsRefused(t *testing.T) {
	v, _ := create(t)
	key, _ := newKey(t, v, "p")
	for _, b := range []vault.Binding{{}, {Table: "t", Column: "c"}, {Table: "t", Row: "r"}, {Column: "c", Row: "r"}} {
		if _, err := key.Seal(b, secret.New("s")); fault.Code(err) != "vault-binding" {
			t.Errorf("%+v: %v", b, err)
		}
	}
	if _, _, err := v.NewDataKey(""); fault.Code(err) != "vault-owner" {
		t.Errorf("%v", err)
	}
}

func TestADataKeyBelongsToItsOwnerAndVault(t *testing.T) {
	v, _ := create(t)
	other, _ := create(t)
	_, wrapped := newKey(t, v, "alice")
	changed := bytes.Clone(wrapped)
	changed[len(changed)-1] ^= 1
	for name, f := range map[string]func() (*vault.DataKey, error){
		"another owner": func() (*vault.DataKey, error) { return v.DataKey("bob", wrapped) },
		"another vault": func() (*vault.DataKey, error) { return other.DataKey("alice", wrapped) },
		"changed":       func() (*vault.DataKey, error) { return v.DataKey("alice", changed) },
		"empty":         func() (*vault.DataKey, error) { return v.DataKey("alice", nil) },
		"huge":          func() (*vault.DataKey, error) { return v.DataKey("alice", make([]byte, 1<<20)) },
	} {
		if key, err := f(); key != nil || fault.Code(err) != "vault-damaged" {
			t.Errorf("%s: %v", name, err)
		}
	}
	key, err := v.DataKey("alice", wrapped)
	if err != nil || key.Owner() != "alice" {
		t.Errorf("%v", err)
	}
}

func FuzzOpen(f *testing.F) {
	v, _ := create(f)
	key, wrapped := newKey(f, v, "p")
	place := vault.Binding{Vault: v.ID(), Table: "t", Column: "c", Row: "r"}
	sealed, err := key.Seal(place, secret.New("s"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, wrapped, "t")
	f.Add([]byte{}, []byte{}, "")
	f.Add(sealed[:5], wrapped[:5], "t\x00c")
	f.Fuzz(func(t *testing.T, b, w []byte, table string) {
		if k, err := v.DataKey("p", w); err == nil {
			// The envelope may carry what Tink ignores; the key in it is the real one.
			if _, err := k.Open(place, sealed); err != nil {
				t.Fatal("a made-up key was unwrapped")
			}
		}
		s, err := key.Open(vault.Binding{Table: table, Column: "c", Row: "r"}, b)
		if own := bytes.Equal(b, sealed) && table == "t"; own != (err == nil) || !own && !s.IsEmpty() {
			t.Fatalf("own %v, error %v", own, err)
		}
	})
}

// A refresh token of a large server, as a JWT, is about this long.
var token = strings.Repeat("x", 2048)

func BenchmarkSeal(b *testing.B) {
	v, _ := create(b)
	key, _ := newKey(b, v, "p")
	place, s := vault.Binding{Table: "grant", Column: "refresh_token", Row: uuid.NewString()}, secret.New(token)
	b.SetBytes(int64(len(token)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Seal(place, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	v, _ := create(b)
	key, _ := newKey(b, v, "p")
	place := vault.Binding{Table: "grant", Column: "refresh_token", Row: uuid.NewString()}
	sealed, err := key.Seal(place, secret.New(token))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(token)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Open(place, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRawAESGCM is what the standard library alone takes to seal the same.
func BenchmarkRawAESGCM(b *testing.B) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		b.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		b.Fatal(err)
	}
	plain, place := []byte(token), []byte("grant refresh_token row")
	b.SetBytes(int64(len(token)))
	b.ReportAllocs()
	for b.Loop() {
		gcm.Seal(nil, nil, plain, place)
	}
}
