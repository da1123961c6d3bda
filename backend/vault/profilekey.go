package vault

import (
	"bytes"
	"crypto/sha256"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

// minPasscode is in characters. It is shorter than a passphrase because it is
// typed many times a day and never guards alone: a guess also takes the master key.
const minPasscode = 6

// lockedKeyset is what a keyset under a passcode is bound as, in both layers.
const lockedKeyset = "locked keyset"

// WrappedKey is a data key as the caller stores it, as columns or as JSON.
// Nothing in it is secret.
type WrappedKey struct {
	Wrapped []byte `json:"wrapped"`
	// KDF is nil where the master key alone wraps the data key. Otherwise a
	// passcode wraps it first, and the master key around that.
	KDF *KDF `json:"kdf,omitempty"`
}

// CheckNewPasscode tells whether a passcode may guard a profile: at least 6
// characters, nothing that some keyboards cannot type again. Faults:
// passcode-needed, passcode-too-short, passcode-unusable.
func CheckNewPasscode(passcode secret.Value) error {
	if passcode.IsEmpty() {
		return errPasscodeNeeded()
	}
	n, err := characters(passcode)
	if err != nil {
		return fault.New("passcode-unusable", "The passcode has characters that cannot be used.",
			"Use letters, digits, punctuation and spaces.")
	}
	if n < minPasscode {
		return fault.Newf("passcode-too-short", "Choose a longer one.", "The passcode is shorter than %d characters.", minPasscode)
	}
	return nil
}

// NewLockedKey makes a data key for owner, a profile's id, that opens only with
// both the master key and passcode. It gives the key, unlocked, with its wrapped
// form, which the caller stores. The zero Cost is the recommended one; Calibrate
// finds one for this machine. Faults: those of CheckNewPasscode, passphrase-cost,
// vault-locked.
func (v *Vault) NewLockedKey(owner string, passcode secret.Value, cost Cost) (*DataKey, WrappedKey, error) {
	if owner == "" {
		return nil, WrappedKey{}, errOwner()
	}
	if err := CheckNewPasscode(passcode); err != nil {
		return nil, WrappedKey{}, err
	}
	// Before the work, so that a locked vault says so at once.
	if err := v.use(func() error { return nil }); err != nil {
		return nil, WrappedKey{}, err
	}
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, WrappedKey{}, err
	}
	key, err := aead.New(handle)
	if err != nil {
		return nil, WrappedKey{}, err
	}
	var plain bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewBinaryWriter(&plain)); err != nil {
		return nil, WrappedKey{}, err
	}
	defer clear(plain.Bytes())
	stored, err := v.lock(owner, plain.Bytes(), passcode, cost)
	if err != nil {
		return nil, WrappedKey{}, err
	}
	k, err := v.hold(owner, stored.id(v.id, owner), key)
	if err != nil {
		return nil, WrappedKey{}, err
	}
	return k, stored, nil
}

// UnlockKey unwraps the stored data key k of owner. Where k has no KDF, that is
// DataKey, and passcode is ignored. Otherwise it derives the passcode's key each
// time, whether or not the data key is in memory: that somebody else unlocked it
// says nothing of this passcode.
//
// Faults: vault-locked; vault-damaged where anything of k was changed or k belongs to
// another owner or vault, which is found before any work is done for the
// passcode; passcode-needed (none given); passcode-wrong.
func (v *Vault) UnlockKey(owner string, k WrappedKey, passcode secret.Value) (*DataKey, error) {
	if k.KDF == nil {
		return v.DataKey(owner, k.Wrapped)
	}
	plain, err := v.unlock(owner, k, passcode)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	key, err := readKeyset(plain)
	if err != nil {
		return nil, err
	}
	return v.hold(owner, k.id(v.id, owner), key)
}

// ChangePasscode gives the form of k that opens with the passcode next instead of
// old, or instead of none where k has no KDF (old is ignored then). The data key
// stays the same, and so does all that it sealed; a DataKey of it stays usable.
// The caller replaces the stored form. A copy of the former one opens as it did
// before. Faults: those of UnlockKey for k and old, those of NewLockedKey for next.
func (v *Vault) ChangePasscode(owner string, k WrappedKey, old, next secret.Value, cost Cost) (WrappedKey, error) {
	if err := CheckNewPasscode(next); err != nil {
		return WrappedKey{}, err
	}
	plain, err := v.unlock(owner, k, old)
	if err != nil {
		return WrappedKey{}, err
	}
	defer clear(plain)
	if _, err := readKeyset(plain); err != nil {
		return WrappedKey{}, err
	}
	return v.lock(owner, plain, next, cost)
}

// lock wraps a keyset by a passcode, and that by the master key: without the
// master key there is nothing to try a guess on.
func (v *Vault) lock(owner string, plain []byte, passcode secret.Value, cost Cost) (WrappedKey, error) {
	kdf, err := newKDF(cost)
	if err != nil {
		return WrappedKey{}, err
	}
	k := WrappedKey{KDF: &kdf}
	binding := kdf.binding(lockedKeyset, v.id, owner)
	var inner []byte
	err = v.derive(func() (err error) {
		inner, err = kdf.wrap(passcode, plain, binding)
		return err
	})
	if err != nil {
		return WrappedKey{}, err
	}
	err = v.use(func() (err error) {
		k.Wrapped, err = v.wrap.Encrypt(inner, binding)
		return err
	})
	if err != nil {
		return WrappedKey{}, err
	}
	return k, nil
}

// unlock gives the keyset in k in the clear, which the caller clears.
func (v *Vault) unlock(owner string, k WrappedKey, passcode secret.Value) ([]byte, error) {
	if owner == "" {
		return nil, errOwner()
	}
	if k.KDF == nil {
		return v.unwrapKeyset(owner, k.Wrapped)
	}
	kdf := *k.KDF
	var binding, inner []byte
	err := v.use(func() (err error) {
		// The bounds come first, then the master key's word for every parameter.
		if len(k.Wrapped) > maxWrappedKey || !kdf.valid() {
			return errDamaged("A stored data key is not readable.")
		}
		binding = kdf.binding(lockedKeyset, v.id, owner)
		if inner, err = v.wrap.Decrypt(k.Wrapped, binding); err != nil {
			return errDamaged("A stored data key was changed or belongs elsewhere.").Because(err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if passcode.IsEmpty() {
		return nil, errPasscodeNeeded()
	}
	var plain []byte
	err = v.derive(func() (err error) {
		plain, err = kdf.unwrap(passcode, inner, binding)
		return err
	})
	if err != nil {
		return nil, errPasscodeWrong()
	}
	return plain, nil
}

// derive runs f, which turns a passcode into a key. It does not hold mu meanwhile:
// that takes half a second, for which Close and every other key would wait.
func (v *Vault) derive(f func() error) error {
	v.deriving.Lock()
	defer v.deriving.Unlock()
	return f()
}

// id is that of a key under a passcode. No key without one has the same, so that
// DataKey never answers for it from memory.
func (k WrappedKey) id(vaultID, owner string) keyID {
	return sha256.Sum256(bind("held", string(k.KDF.binding(lockedKeyset, vaultID, owner)), string(k.Wrapped)))
}
