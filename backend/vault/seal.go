package vault

import (
	"bytes"
	"crypto/sha256"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

// maxWrappedKey bounds what DataKey reads; a keyset of one key takes about 120 bytes.
const maxWrappedKey = 64 << 10

// DataKey seals and opens the secrets of one owner. It is a name for a key that
// the vault holds: once the vault is closed it answers vault-locked.
type DataKey struct {
	vault *Vault
	owner string
	id    [sha256.Size]byte
}

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
	k := &DataKey{vault: v, owner: owner, id: sha256.Sum256(bind("keyset", owner, string(wrapped)))}
	known := false
	var primitive tink.AEAD
	err := v.use(func() error {
		if _, known = v.keys[k.id]; known {
			return nil
		}
		if len(wrapped) == 0 || len(wrapped) > maxWrappedKey {
			return errDamaged("A stored data key is not readable.")
		}
		handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(wrapped)), v.wrap, bind("keyset", v.id, owner))
		if err != nil {
			return errDamaged("A stored data key was changed or belongs elsewhere.").Because(err)
		}
		if primitive, err = aead.New(handle); err != nil {
			return errDamaged("A stored data key is not readable.").Because(err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if known {
		return k, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wrap == nil {
		return nil, errLocked()
	}
	v.keys[k.id] = primitive
	return k, nil
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

func (k *DataKey) use(f func(tink.AEAD) error) error {
	if k == nil {
		return errLocked()
	}
	return k.vault.use(func() error { return f(k.vault.keys[k.id]) })
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
