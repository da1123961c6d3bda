package vault

import (
	"bytes"
	"crypto/sha256"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

// maxWrappedKey bounds what DataKey reads; a keyset of one key takes about 120 bytes.
const maxWrappedKey = 64 << 10

// DataKey seals and opens the secrets of one owner. It is a name for a key that
// the vault holds: once that is forgotten or the vault closed, it answers vault-locked.
type DataKey struct {
	vault *Vault
	owner string
	held  *heldKey
	// lent guards held where it is this DataKey's own; nil where it is the vault's.
	lent *sync.RWMutex
}

// heldKey is an unwrapped keyset. All DataKeys of one stored key share it, so
// that none of them keeps the keyset once it is to go.
type heldKey struct {
	owner string
	key   tink.AEAD // nil once forgotten; Vault.mu guards it, or DataKey.lent
}

// keyID is a hash of all that is stored of a key.
type keyID [sha256.Size]byte

// Binding says where a sealed secret lives. It is authenticated, so a sealed
// secret that was moved to another row, column, table, owner or vault does not open.
type Binding struct {
	// Vault is the vault's id. Empty means that of the vault in use.
	Vault  string
	Table  string
	Column string
	// Row is the row's primary key.
	Row string
}

// NewDataKey makes a data key for owner ("workstation" or a profile's id) and
// gives it with its wrapped form, which the caller stores.
func (v *Vault) NewDataKey(owner string) (*DataKey, []byte, error) {
	if owner == "" {
		return nil, nil, errOwner()
	}
	var k *DataKey
	var wrapped []byte
	err := v.use(func() error {
		handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&out), v.wrap, bind("keyset", v.id, owner)); err != nil {
			return err
		}
		wrapped = out.Bytes()
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	k, err = v.DataKey(owner, wrapped)
	return k, wrapped, err
}

// DataKey unwraps the stored data key of owner. A key that was changed, or that
// belongs to another owner or vault, is vault-damaged.
func (v *Vault) DataKey(owner string, wrapped []byte) (*DataKey, error) {
	if owner == "" {
		return nil, errOwner()
	}
	id := keyID(sha256.Sum256(bind("keyset", owner, string(wrapped))))
	var held *heldKey
	if err := v.use(func() error { held = v.keys[id]; return nil }); err != nil {
		return nil, err
	}
	if held != nil {
		return &DataKey{vault: v, owner: owner, held: held}, nil
	}
	plain, err := v.unwrapKeyset(owner, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	key, err := readKeyset(plain)
	if err != nil {
		return nil, err
	}
	return v.hold(owner, id, key)
}

// unwrapKeyset gives the keyset in wrapped in the clear, which the caller clears.
func (v *Vault) unwrapKeyset(owner string, wrapped []byte) (plain []byte, err error) {
	err = v.use(func() error {
		if len(wrapped) == 0 || len(wrapped) > maxWrappedKey {
			return errDamaged("A stored data key is not readable.")
		}
		envelope, err := keyset.NewBinaryReader(bytes.NewReader(wrapped)).ReadEncrypted()
		if err != nil {
			return errDamaged("A stored data key is not readable.").Because(err)
		}
		if plain, err = v.wrap.Decrypt(envelope.GetEncryptedKeyset(), bind("keyset", v.id, owner)); err != nil {
			return errDamaged("A stored data key was changed or belongs elsewhere.").Because(err)
		}
		return nil
	})
	return plain, err
}

// readKeyset makes of a keyset in the clear what seals and opens.
func readKeyset(plain []byte) (tink.AEAD, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(plain)))
	if err != nil {
		return nil, errDamaged("A stored data key is not readable.").Because(err)
	}
	key, err := aead.New(handle)
	if err != nil {
		return nil, errDamaged("A stored data key is not readable.").Because(err)
	}
	return key, nil
}

// hold keeps an unwrapped key in memory.
func (v *Vault) hold(owner string, id keyID, key tink.AEAD) (*DataKey, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wrap == nil {
		return nil, errLocked()
	}
	held := v.keys[id]
	if held == nil {
		held = &heldKey{owner: owner, key: key}
		v.keys[id] = held
	}
	return &DataKey{vault: v, owner: owner, held: held}, nil
}

// Forget drops the key of k's owner from memory, in whichever stored form it was
// unlocked: every DataKey of it answers vault-locked from then on, and the vault
// stays open. It waits for a seal or open that is under way. A key that was
// forgotten before is left alone, even if its owner has unlocked it again.
func (v *Vault) Forget(k *DataKey) {
	if v == nil || k == nil || k.vault != v {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if k.held.key == nil {
		return
	}
	for id, held := range v.keys {
		if held.owner == k.owner {
			held.key = nil
			delete(v.keys, id)
		}
	}
}

// Owner gives whose key this is.
func (k *DataKey) Owner() string { return k.owner }

// Seal encrypts s for the place b. An empty secret is sealed like any other.
func (k *DataKey) Seal(b Binding, s secret.Value) ([]byte, error) {
	if b.Table == "" || b.Column == "" || b.Row == "" {
		// A secret bound to less than its whole place could be moved.
		return nil, fault.New("vault-binding", "A secret has no complete place to be stored at.", "Report this: it is a mistake in Chartkey.")
	}
	var out []byte
	err := k.use(func(key tink.AEAD) (err error) {
		out, err = key.Encrypt(s.Bytes(), k.associated(b))
		return err
	})
	return out, err
}

// Open decrypts what Seal gave for the same place. Anything else is vault-damaged.
func (k *DataKey) Open(b Binding, sealed []byte) (secret.Value, error) {
	var out secret.Value
	err := k.use(func(key tink.AEAD) error {
		plain, err := key.Decrypt(sealed, k.associated(b))
		if err != nil {
			return errDamaged("A stored secret was changed or moved outside Chartkey, so it cannot be used.").Because(err)
		}
		out = secret.Own(plain)
		return nil
	})
	return out, err
}

// Lend gives a DataKey of the same key that goes on working, after Forget and
// Close too, until giveBack: for what would be lost half done. It must be short.
// Fault: vault-locked.
func (k *DataKey) Lend() (lent *DataKey, giveBack func(), err error) {
	err = k.use(func(key tink.AEAD) error {
		lent = &DataKey{vault: k.vault, owner: k.owner, held: &heldKey{owner: k.owner, key: key}, lent: &sync.RWMutex{}}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return lent, func() {
		lent.lent.Lock()
		defer lent.lent.Unlock()
		lent.held.key = nil
	}, nil
}

func (k *DataKey) use(f func(tink.AEAD) error) error {
	if k == nil {
		return errLocked()
	}
	if k.lent != nil {
		k.lent.RLock()
		defer k.lent.RUnlock()
		if k.held.key == nil {
			return errLocked()
		}
		return f(k.held.key)
	}
	return k.vault.use(func() error {
		if k.held.key == nil {
			return errLocked()
		}
		return f(k.held.key)
	})
}

func (k *DataKey) associated(b Binding) []byte {
	vault := b.Vault
	if vault == "" {
		vault = k.vault.id
	}
	return bind("secret", vault, k.owner, b.Table, b.Column, b.Row)
}

func errOwner() *fault.Error {
	return fault.New("vault-owner", "A data key needs an owner.", "Report this: it is a mistake in Chartkey.")
}
