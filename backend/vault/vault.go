// Package vault owns the keys of the product: the master key, how it is
// protected (by the operating system's keyring or by a passphrase), the data
// keys of each owner, and how a secret is sealed and opened with them.
//
// It stores no rows. A Header, wrapped data keys and sealed secrets are given
// back to the caller to store, and nothing in them is secret. The keyring holds
// the master key and nothing else.
//
// A vault whose key cannot be had is locked, never reset: no function here
// makes a key for an existing Header, falls back to plain text, or overwrites
// another key in the keyring.
//
//	master key (32 random bytes, in memory while unlocked)
//	  protected by  the keyring  |  Argon2id(passphrase) → AES-256-GCM
//	  wraps         a Tink keyset for each owner ("workstation", a profile's id)
//	                  inside, for a profile with a passcode: Argon2id(passcode) → AES-256-GCM
//	                  seals      each secret, bound to vault, owner, table, column and row
package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"sync"

	"github.com/google/uuid"
	tinksubtle "github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

const (
	// headerVersion is raised when the meaning of a Header changes.
	headerVersion = 1
	// masterKeySize is that of AES-256.
	masterKeySize = 32
	// maxHeaderSize bounds what ParseHeader reads; a real header is under 600 bytes.
	maxHeaderSize = 4 << 10
	// checkValue is sealed by the master key in Header.Check, so that a wrong key is noticed.
	checkValue = "chartkey vault"
)

// Protection says what guards the master key.
type Protection string

const (
	// ByKeyring: the master key is an entry of the operating system's keyring.
	ByKeyring Protection = "keyring"
	// ByPassphrase: the master key is in the Header, wrapped by a key derived from a passphrase.
	ByPassphrase Protection = "passphrase"
)

// Header is what a vault is recognised and unlocked by. The caller stores it
// (as JSON) beside the data. It holds nothing secret, but losing it loses the
// vault when a passphrase protects it.
type Header struct {
	Version int `json:"version"`
	// VaultID is a UUID. It is also the account of the keyring entry.
	VaultID    string     `json:"vault_id"`
	Protection Protection `json:"protection"`
	// KDF and WrappedMaster are there with ByPassphrase only.
	KDF           *KDF   `json:"kdf,omitempty"`
	WrappedMaster []byte `json:"wrapped_master,omitempty"`
	// Check is a known value sealed by the master key.
	Check []byte `json:"check"`
}

// ParseHeader reads a stored header and checks that it makes sense, its cost
// parameters above all: a changed file must not ask for 100 GB of memory.
func ParseHeader(b []byte) (Header, error) {
	var h Header
	if len(b) > maxHeaderSize {
		return Header{}, errDamaged("The vault's header is not readable.")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&h); err != nil {
		return Header{}, errDamaged("The vault's header is not readable.").Because(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Header{}, errDamaged("The vault's header is not readable.")
	}
	if err := h.validate(); err != nil {
		return Header{}, err
	}
	return h, nil
}

func (h Header) validate() error {
	if h.Version > headerVersion {
		return errTooNew()
	}
	ok := h.Version == headerVersion && validVaultID(h.VaultID) && len(h.Check) > 0
	switch h.Protection {
	case ByKeyring:
		ok = ok && h.KDF == nil && len(h.WrappedMaster) == 0
	case ByPassphrase:
		ok = ok && h.KDF != nil && h.KDF.valid() && len(h.WrappedMaster) > 0
	default:
		ok = false
	}
	if !ok {
		return errDamaged("The vault's header does not make sense.")
	}
	return nil
}

// validVaultID accepts a UUID in its one canonical form, so that two spellings
// never name one keyring entry.
func validVaultID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

// Vault holds the master key while it is unlocked. Its methods and those of its
// data keys may be used by several goroutines at once. After Close, and on a
// nil Vault, they answer with the fault vault-locked.
type Vault struct {
	id string

	mu     sync.RWMutex // held for reading while a key is used, for writing while keys come and go
	master secret.Value // empty once closed
	wrap   tink.AEAD    // AES-256-GCM under master; nil once closed
	// keys are the data keys in memory, by a hash of what is stored of them.
	keys map[keyID]*heldKey

	deriving sync.Mutex // held while a passcode becomes a key: that takes much memory, so one at a time
}

func newVault(id string, master []byte) (*Vault, error) {
	wrap, err := tinksubtle.NewAESGCM(master)
	if err != nil {
		return nil, errDamaged("The vault's key has the wrong size.").Because(err)
	}
	return &Vault{id: id, master: secret.Own(master), wrap: wrap, keys: map[keyID]*heldKey{}}, nil
}

// create makes a vault with a new master key. An empty id means a new one.
func create(id string) (*Vault, error) {
	if id == "" {
		id = uuid.NewString()
	} else if !validVaultID(id) {
		return nil, fault.Newf("vault-id", "Leave the vault's id out to have one made.", "The vault's id %q is not a UUID in lower case.", id)
	}
	master := make([]byte, masterKeySize)
	_, _ = rand.Read(master) // never fails: it ends the process where there is no randomness
	return newVault(id, master)
}

// CreateWithKeyring makes a vault whose master key is kept in the keyring. id
// is a UUID, or "" to have one made. Call it for a new data folder only: where
// sealed rows exist, their key is the only one that helps.
func CreateWithKeyring(ctx context.Context, k *Keyring, id string) (*Vault, Header, error) {
	v, err := create(id)
	if err != nil {
		return nil, Header{}, err
	}
	h, err := v.ProtectWithKeyring(ctx, k)
	if err != nil {
		v.Close()
		return nil, Header{}, err
	}
	return v, h, nil
}

// CreateWithPassphrase makes a vault whose master key is wrapped by a
// passphrase. id is as for CreateWithKeyring; the zero Cost is the recommended one.
func CreateWithPassphrase(id string, passphrase secret.Value, cost Cost) (*Vault, Header, error) {
	v, err := create(id)
	if err != nil {
		return nil, Header{}, err
	}
	h, err := v.ProtectWithPassphrase(passphrase, cost)
	if err != nil {
		v.Close()
		return nil, Header{}, err
	}
	return v, h, nil
}

// UnlockWithKeyring opens the vault of h with the key in the keyring. Faults:
// passphrase-needed (h is protected so), keyring-unavailable, keyring-locked,
// keyring-timeout, keyring-entry-missing, keyring-entry-mismatch, vault-damaged.
func UnlockWithKeyring(ctx context.Context, k *Keyring, h Header) (*Vault, error) {
	if err := h.validate(); err != nil {
		return nil, err
	}
	if h.Protection != ByKeyring {
		return nil, errPassphraseNeeded()
	}
	stored, err := k.Get(ctx, h.VaultID)
	if err != nil {
		return nil, err
	}
	defer stored.Wipe()
	master, err := decodeMaster(stored)
	if err != nil {
		return nil, errKeyringEntryMismatch()
	}
	v, err := newVault(h.VaultID, master)
	if err != nil {
		return nil, err
	}
	if !v.passes(h.Check) {
		v.Close()
		return nil, errKeyringEntryMismatch()
	}
	return v, nil
}

// UnlockWithPassphrase opens the vault of h. It takes about a fifth of a second
// and 64 MiB, which is the point. Faults: passphrase-needed (none given),
// passphrase-wrong, keyring-protected (h needs no passphrase), vault-damaged.
func UnlockWithPassphrase(h Header, passphrase secret.Value) (*Vault, error) {
	if err := h.validate(); err != nil {
		return nil, err
	}
	if h.Protection != ByPassphrase {
		return nil, fault.New("keyring-protected", "This vault is protected by the keyring, not by a passphrase.",
			"Unlock it with the keyring.")
	}
	if passphrase.IsEmpty() {
		return nil, errPassphraseNeeded()
	}
	master, err := h.KDF.unwrap(passphrase, h.WrappedMaster, h.KDF.binding("master", h.VaultID))
	if err != nil {
		return nil, errPassphraseWrong()
	}
	v, err := newVault(h.VaultID, master)
	if err != nil {
		return nil, err
	}
	if !v.passes(h.Check) {
		v.Close()
		return nil, errDamaged("The vault's header was changed.")
	}
	return v, nil
}

// ID gives the vault's UUID, which is Binding.Vault.
func (v *Vault) ID() string {
	if v == nil {
		return ""
	}
	return v.id
}

// ProtectWithPassphrase gives the header under which passphrase opens this
// vault: the first time, for another passphrase, or in place of the keyring.
// Nothing that is sealed changes. The caller stores the header and only then,
// if the keyring protected the vault before, deletes its entry (Keyring.Delete
// with the vault's id).
func (v *Vault) ProtectWithPassphrase(passphrase secret.Value, cost Cost) (Header, error) {
	if err := CheckNewPassphrase(passphrase); err != nil {
		return Header{}, err
	}
	kdf, err := newKDF(cost)
	if err != nil {
		return Header{}, err
	}
	h := Header{Version: headerVersion, VaultID: v.ID(), Protection: ByPassphrase, KDF: &kdf}
	err = v.use(func() error {
		if h.WrappedMaster, err = kdf.wrap(passphrase, v.master.Bytes(), kdf.binding("master", v.id)); err != nil {
			return err
		}
		h.Check, err = v.wrap.Encrypt([]byte(checkValue), bind("check", v.id))
		return err
	})
	if err != nil {
		return Header{}, err
	}
	return h, nil
}

// ProtectWithKeyring puts the master key into the keyring, reads it back, and
// gives the header to store. Once that is stored, the passphrase no longer
// opens the vault. It never replaces another key: that is keyring-entry-mismatch.
func (v *Vault) ProtectWithKeyring(ctx context.Context, k *Keyring) (Header, error) {
	h := Header{Version: headerVersion, VaultID: v.ID(), Protection: ByKeyring}
	var stored secret.Value
	err := v.use(func() (err error) {
		stored = encodeMaster(v.master)
		h.Check, err = v.wrap.Encrypt([]byte(checkValue), bind("check", v.id))
		return err
	})
	if err != nil {
		return Header{}, err
	}
	// Outside the lock: the keyring may ask the person, and Close must not wait for that.
	defer stored.Wipe()
	if err := k.Set(ctx, h.VaultID, stored); err != nil {
		return Header{}, err
	}
	return h, nil
}

// Close wipes the master key and forgets every data key. It waits for a seal or
// open that is under way. What Tink and the Go runtime copied while the vault
// was open is left to the garbage collector.
func (v *Vault) Close() {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.master.Wipe()
	v.wrap = nil
	for _, held := range v.keys {
		held.key = nil // a DataKey may outlive the vault, and must not keep the key
	}
	clear(v.keys)
}

// use runs f while the vault is certain to stay open.
func (v *Vault) use(f func() error) error {
	if v == nil {
		return errLocked()
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.wrap == nil {
		return errLocked()
	}
	return f()
}

func (v *Vault) passes(check []byte) bool {
	got, err := v.wrap.Decrypt(check, bind("check", v.id))
	return err == nil && subtle.ConstantTimeCompare(got, []byte(checkValue)) == 1
}

func encodeMaster(master secret.Value) secret.Value {
	b := make([]byte, base64.StdEncoding.EncodedLen(masterKeySize))
	base64.StdEncoding.Encode(b, master.Bytes())
	return secret.Own(b)
}

func decodeMaster(stored secret.Value) ([]byte, error) {
	b := make([]byte, base64.StdEncoding.DecodedLen(len(stored.Bytes())))
	n, err := base64.StdEncoding.Strict().Decode(b, stored.Bytes())
	if err != nil || n != masterKeySize {
		clear(b)
		return nil, errKeyringEntryMismatch()
	}
	return b[:n], nil
}

// bind encodes what a ciphertext belongs to as its associated data. Each part
// is preceded by its length, so that ("ab","c") and ("a","bc") differ; the first
// part is the purpose, so that a value sealed for one purpose never opens for another.
func bind(purpose string, parts ...string) []byte {
	out := append([]byte("chartkey/1"), 0)
	for _, p := range append([]string{purpose}, parts...) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}
