package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/store"
	"chartkey/backend/vault"

	"github.com/gofrs/flock"
)

// workstationOwner is the owner of the data key that seals what belongs to
// the workstation and to no profile: client secrets.
const workstationOwner = "workstation"

// VaultStatus tells how the encryption key fares.
type VaultStatus struct {
	// State is "none" (nothing was sealed yet), "locked" or "unlocked".
	State string `json:"state"`
	// Protection is "keyring", "passphrase", or "" where there is no vault yet.
	Protection string `json:"protection"`
	// Keyring is the state of the system's keyring: available, none, locked or slow.
	Keyring string       `json:"keyring"`
	Advice  string       `json:"advice"`
	Error   *fault.Error `json:"error"`
}

// readHeader gives the stored header, or ok=false where there is no vault yet.
func (w *Workstation) readHeader(ctx context.Context) (h vault.Header, ok bool, err error) {
	row, err := w.store.Vault(ctx)
	if errors.Is(err, store.ErrNoRow) {
		return h, false, nil
	}
	if err != nil {
		return h, false, err
	}
	h, err = vault.ParseHeader([]byte(row.Header))
	return h, err == nil, err
}

// openVaultLocked gives the unlocked vault, unlocking or, where nothing was
// ever sealed, making it. It never makes a key beside an older one. vaultMu is held.
func (w *Workstation) openVaultLocked(ctx context.Context) (*vault.Vault, error) {
	if w.vault != nil {
		return w.vault, nil
	}
	h, exists, err := w.readHeader(ctx)
	if err != nil {
		return nil, err
	}
	if !exists {
		return w.createVault(ctx, nil)
	}
	var v *vault.Vault
	if h.Protection == vault.ByKeyring {
		v, err = vault.UnlockWithKeyring(ctx, w.keyring, h)
	} else {
		var pass secret.Value
		if pass, err = w.passphrase(ctx, false); err == nil {
			v, err = vault.UnlockWithPassphrase(h, pass)
		}
	}
	if err != nil {
		return nil, err
	}
	w.vault, w.header = v, h
	return v, nil
}

func (w *Workstation) passphrase(ctx context.Context, isNew bool) (secret.Value, error) {
	if w.askPass == nil {
		return secret.Value{}, PassphraseNeeded()
	}
	return w.askPass(ctx, isNew)
}

// PassphraseNeeded is what a passphrase source answers where it can ask nobody.
func PassphraseNeeded() *fault.Error {
	return fault.New("passphrase-needed", "The vault needs its passphrase.",
		"Name a file that holds it in CHARTKEY_PASSPHRASE_FILE, or run the command in a terminal to be asked.")
}

// lockVaultFile keeps other processes from making or moving the master key.
func (w *Workstation) lockVaultFile(ctx context.Context) (unlock func(), err error) {
	lock := flock.New(filepath.Join(w.home, "vault.lock"), flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, 20*time.Millisecond); !ok {
		return nil, fault.New("vault-busy", "Another Chartkey process is at work on the vault's key.", "Try again in a moment.").CanRetry().Because(err)
	}
	return func() {
		if err := lock.Unlock(); err != nil {
			w.log.Warn("the vault's lock file could not be released", "error", err)
		}
	}, nil
}

func noKeyring() *fault.Error {
	return fault.New("keyring-unavailable", "This vault does without the system's keyring.", "Give a passphrase.")
}

// keyringState looks at the keyring without asking anybody.
func (w *Workstation) keyringState(ctx context.Context) vault.State {
	if w.keyring == nil {
		return vault.KeyringNone
	}
	return w.keyring.State(ctx)
}

// createVault makes the vault's master key: in the keyring where one is
// usable, else under a passphrase. given is a passphrase that a person chose,
// or nil. The lock keeps two first starts from making two keys.
func (w *Workstation) createVault(ctx context.Context, given *secret.Value) (*vault.Vault, error) {
	unlock, err := w.lockVaultFile(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, exists, err := w.readHeader(ctx); err != nil {
		return nil, err
	} else if exists {
		if given != nil {
			return nil, fault.New("vault-exists", "This data folder has a vault already.", "Unlock it instead.")
		}
		return w.openVaultLocked(ctx)
	}
	sealed, err := w.store.CountSealed(ctx)
	if err != nil {
		return nil, err
	}
	if sealed > 0 {
		return nil, fault.New("vault-damaged", "The database has sealed rows but its vault's header is gone.",
			"Restore a backup of the data folder. Nothing was changed, and no new key was made.")
	}
	v, h, err := w.newMaster(ctx, given)
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	now := w.now().UnixMilli()
	if err := w.store.Update(ctx, func(q *store.Queries) error {
		return q.InsertVault(ctx, store.InsertVaultParams{ID: h.VaultID, Header: string(header), CreatedAt: now, UpdatedAt: now})
	}); err != nil {
		v.Close()
		return nil, err
	}
	w.vault, w.header = v, h
	return v, nil
}

func (w *Workstation) newMaster(ctx context.Context, given *secret.Value) (*vault.Vault, vault.Header, error) {
	if given != nil {
		return vault.CreateWithPassphrase("", *given, w.keyCost)
	}
	ringErr := noKeyring()
	if w.keyring != nil {
		v, h, err := vault.CreateWithKeyring(ctx, w.keyring, "")
		if err == nil {
			return v, h, nil
		}
		ringErr = fault.From(err)
	}
	pass, err := w.passphrase(ctx, true)
	if fault.Code(err) == "passphrase-needed" {
		return nil, vault.Header{}, fault.New(ringErr.Code, ringErr.Message, ringErr.Advice+" For a passphrase, name a file that holds it in CHARTKEY_PASSPHRASE_FILE, or run the command in a terminal to be asked.").Because(ringErr)
	}
	if err != nil {
		return nil, vault.Header{}, err
	}
	return vault.CreateWithPassphrase("", pass, w.keyCost)
}

// OpenVault opens the vault, making it where nothing was ever sealed, so that
// what follows need not ask anybody. Faults: those of the vault.
func (w *Workstation) OpenVault(ctx context.Context) error {
	_, err := w.dataKey(ctx, w.owner.ID)
	return err
}

// dataKey gives the key of an owner (a profile's id, or workstationOwner),
// making it at its first use.
func (w *Workstation) dataKey(ctx context.Context, owner string) (*vault.DataKey, error) {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	v, err := w.openVaultLocked(ctx)
	if err != nil {
		return nil, err
	}
	if k := w.keys[owner]; k != nil {
		return k, nil
	}
	wrapped, err := w.store.DataKey(ctx, owner)
	if errors.Is(err, store.ErrNoRow) {
		var fresh []byte
		if _, fresh, err = v.NewDataKey(owner); err != nil {
			return nil, err
		}
		err = w.store.Update(ctx, func(q *store.Queries) error {
			return q.InsertDataKey(ctx, store.InsertDataKeyParams{Owner: owner, Wrapped: fresh, CreatedAt: w.now().UnixMilli()})
		})
		if err != nil && !store.IsDuplicate(err) {
			return nil, err
		}
		// Another process may have been first: what is stored counts.
		wrapped, err = w.store.DataKey(ctx, owner)
	}
	if err != nil {
		return nil, err
	}
	k, err := v.DataKey(owner, wrapped)
	if err != nil {
		return nil, err
	}
	w.keys[owner] = k
	return k, nil
}

func (w *Workstation) seal(ctx context.Context, owner string, b vault.Binding, s secret.Value) ([]byte, error) {
	k, err := w.dataKey(ctx, owner)
	if err != nil {
		return nil, err
	}
	return k.Seal(b, s)
}

func (w *Workstation) open(ctx context.Context, owner string, b vault.Binding, blob []byte) (secret.Value, error) {
	k, err := w.dataKey(ctx, owner)
	if err != nil {
		return secret.Value{}, err
	}
	return k.Open(b, blob)
}

// unlocked opens the vault where that is possible: it is open, or the keyring
// or the passphrase source, which may ask the person at a terminal, gives the key.
func (w *Workstation) unlocked(ctx context.Context) error {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	if w.vault != nil {
		return nil
	}
	if _, exists, err := w.readHeader(ctx); err != nil || !exists {
		return err
	}
	_, err := w.openVaultLocked(ctx)
	return err
}

// VaultStatus tells how the vault fares, without making one.
func (w *Workstation) VaultStatus(ctx context.Context) (VaultStatus, error) {
	s := VaultStatus{Keyring: string(w.keyringState(ctx))}
	h, exists, err := w.readHeader(ctx)
	if err != nil {
		return s, err
	}
	if !exists {
		s.State = "none"
		s.Advice = "A key is made when the first secret or sign-in is stored."
		if s.Keyring != string(vault.KeyringAvailable) {
			s.Advice = "No keyring is usable here, so the vault will need a passphrase."
		}
		return s, nil
	}
	s.State, s.Protection = "unlocked", string(h.Protection)
	if err := w.unlocked(ctx); err != nil {
		s.State = "locked"
		s.Error = Fault(err)
		s.Advice = s.Error.Advice
	}
	return s, nil
}

// UnlockVault unlocks with a passphrase or, where pass is empty, by asking
// the keyring, which may then prompt. Faults: those of the vault.
func (w *Workstation) UnlockVault(ctx context.Context, pass secret.Value) error {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	if w.vault != nil {
		return nil
	}
	h, exists, err := w.readHeader(ctx)
	if err != nil {
		return err
	}
	if !exists {
		return fault.New("vault-missing", "There is no vault to unlock yet.", "Connect, or store a client secret: that makes one.")
	}
	var v *vault.Vault
	switch {
	case h.Protection == vault.ByKeyring:
		v, err = vault.UnlockWithKeyring(ctx, w.keyring.Prompting(), h)
	case pass.IsEmpty():
		_, err := w.openVaultLocked(ctx)
		return err
	default:
		v, err = vault.UnlockWithPassphrase(h, pass)
	}
	if err != nil {
		return err
	}
	w.vault, w.header = v, h
	return nil
}

// CreateVault makes a vault under a passphrase, for a workstation without a
// usable keyring. Fault: vault-exists.
func (w *Workstation) CreateVault(ctx context.Context, pass secret.Value) error {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	_, err := w.createVault(ctx, &pass)
	return err
}

// LockVault takes the keys out of memory. They come back with the next unlock.
func (w *Workstation) LockVault() { w.wipeKeys() }

func (w *Workstation) wipeKeys() {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	if w.vault != nil {
		w.vault.Close()
	}
	w.vault = nil
	clear(w.keys)
}

// ProtectVault moves the master key under a passphrase (pass given) or into
// the keyring (pass nil). Nothing is sealed anew: only the master key's own
// protection changes.
func (w *Workstation) ProtectVault(ctx context.Context, pass *secret.Value) error {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	if _, exists, err := w.readHeader(ctx); err != nil {
		return err
	} else if !exists && pass != nil {
		_, err := w.createVault(ctx, pass)
		return err
	} else if pass == nil {
		// Asked first: a vault must not be made, or unlocked, for a move that cannot happen.
		if w.keyring == nil {
			return noKeyring()
		}
		if state, err := w.keyring.Check(ctx); state == vault.KeyringNone {
			return err
		}
	}
	v, err := w.openVaultLocked(ctx)
	if err != nil {
		return err
	}
	unlock, err := w.lockVaultFile(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	// Another process may have moved the key since this one read the header.
	before, _, err := w.readHeader(ctx)
	if err != nil {
		return err
	}
	var h vault.Header
	if pass != nil {
		h, err = v.ProtectWithPassphrase(*pass, w.keyCost)
	} else {
		h, err = v.ProtectWithKeyring(ctx, w.keyring.Prompting())
	}
	if err != nil {
		return err
	}
	header, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := w.store.Update(ctx, func(q *store.Queries) error {
		return q.UpdateVault(ctx, store.UpdateVaultParams{Header: string(header), UpdatedAt: w.now().UnixMilli(), ID: h.VaultID})
	}); err != nil {
		return err
	}
	w.header = h
	if before.Protection == vault.ByKeyring && h.Protection == vault.ByPassphrase {
		// The keyring's copy would open the vault without the passphrase.
		return w.keyring.Delete(ctx, before.VaultID)
	}
	return nil
}
