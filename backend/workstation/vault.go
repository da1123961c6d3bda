package workstation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"time"

	"chartkey/backend/audit"
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
	return w.openVaultBy(ctx, w.askPass)
}

// openVaultBy is openVaultLocked with another source of the passphrase.
func (w *Workstation) openVaultBy(ctx context.Context, ask func(context.Context, bool) (secret.Value, error)) (*vault.Vault, error) {
	if w.barred {
		return nil, errLocked()
	}
	if w.vault != nil {
		return w.vault, nil
	}
	if locked, err := w.LockedElsewhere(ctx); err != nil {
		return nil, err
	} else if locked {
		return nil, errLocked()
	}
	return w.openWith(ctx, ask)
}

// openWith is openVaultBy whatever is locked.
func (w *Workstation) openWith(ctx context.Context, ask func(context.Context, bool) (secret.Value, error)) (*vault.Vault, error) {
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
		if pass, err = passphraseFrom(ctx, ask, false); err == nil {
			v, err = vault.UnlockWithPassphrase(h, pass)
		}
	}
	if err != nil {
		return nil, err
	}
	w.vault, w.header = v, h
	return v, nil
}

func passphraseFrom(ctx context.Context, ask func(context.Context, bool) (secret.Value, error), isNew bool) (secret.Value, error) {
	if ask == nil {
		return secret.Value{}, PassphraseNeeded()
	}
	return ask(ctx, isNew)
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
	now := w.now()
	made := w.by(w.current().profile, audit.Entry{At: now, Action: audit.Vault, Detail: audit.DetailMade, Subject: string(h.Protection)})
	if err := w.store.Update(ctx, func(q *store.Queries) error {
		// The key of the activity record comes after: there was nothing yet to seal it with.
		if _, err := w.appendEntry(ctx, q, nil, made); err != nil {
			return err
		}
		return q.InsertVault(ctx, store.InsertVaultParams{ID: h.VaultID, Header: string(header), CreatedAt: now.UnixMilli(), UpdatedAt: now.UnixMilli()})
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
	pass, err := passphraseFrom(ctx, w.askPass, true)
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
	return w.as(ctx, "OpenVault", func(ctx context.Context, who *seat) error {
		_, err := w.dataKey(ctx, who.profile.ID)
		return err
	})
}

// heldKey is a data key in memory, with the stored form that it was opened from.
type heldKey struct {
	*vault.DataKey
	from vault.WrappedKey
}

// holds tells whether the key of an owner is in memory, and still the stored one.
func (w *Workstation) holds(owner string, stored vault.WrappedKey) bool {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	k, ok := w.keys[owner]
	return ok && bytes.Equal(k.from.Wrapped, stored.Wrapped)
}

// stillHolds makes sure, inside the transaction that stores what was sealed
// with it, that the key of a profile was not destroyed in the meantime, and
// that the data folder was not locked.
func (w *Workstation) stillHolds(ctx context.Context, q *store.Queries, owner string) error {
	if _, err := q.Setting(ctx, lockedSetting); err == nil {
		return errLocked()
	} else if !errors.Is(err, store.ErrNoRow) {
		return err
	}
	row, err := q.DataKey(ctx, owner)
	if err != nil && !errors.Is(err, store.ErrNoRow) {
		return err
	}
	if err == nil && w.holds(owner, vault.WrappedKey{Wrapped: row.Wrapped}) {
		return nil
	}
	return fault.New("sign-in-abandoned", "The profile was locked, or its passcode changed or reset, in the meantime, so nothing was kept.", "Unlock the profile, then try again.")
}

// heldDataKey gives the key of an owner if it is in memory, or nil.
func (w *Workstation) heldDataKey(owner string) *vault.DataKey {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	return w.keys[owner].DataKey
}

// forgetKey takes the key of one owner out of memory.
func (w *Workstation) forgetKey(owner string) {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	if k, ok := w.keys[owner]; ok {
		w.vault.Forget(k.DataKey)
		delete(w.keys, owner)
	}
}

// dataKey gives the key of an owner: a profile's id, or workstationOwner. One
// that a passcode guards is in memory once its profile was proven; others are
// made at their first use.
func (w *Workstation) dataKey(ctx context.Context, owner string) (*vault.DataKey, error) {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	v, err := w.openVaultLocked(ctx)
	if err != nil {
		return nil, err
	}
	if k, ok := w.keys[owner]; ok {
		return k.DataKey, nil
	}
	wrapped, err := w.wrappedKey(ctx, owner)
	if err != nil {
		return nil, err
	}
	if wrapped.KDF != nil {
		return nil, errLocked()
	}
	if wrapped.Wrapped == nil {
		if wrapped, err = w.makeDataKey(ctx, v, owner); err != nil {
			return nil, err
		}
	}
	k, err := v.UnlockKey(owner, wrapped, secret.Value{})
	if err != nil {
		return nil, err
	}
	w.keys[owner] = heldKey{k, wrapped}
	return k, nil
}

// makeDataKey makes the key of an owner whom no passcode guards.
func (w *Workstation) makeDataKey(ctx context.Context, v *vault.Vault, owner string) (vault.WrappedKey, error) {
	if owner != workstationOwner {
		if err := w.passcodeMissing(ctx); err != nil {
			return vault.WrappedKey{}, err
		}
	}
	_, fresh, err := v.NewDataKey(owner)
	if err != nil {
		return vault.WrappedKey{}, err
	}
	err = w.store.Update(ctx, func(q *store.Queries) error {
		return q.InsertDataKey(ctx, store.InsertDataKeyParams{Owner: owner, Wrapped: fresh, CreatedAt: w.now().UnixMilli()})
	})
	if err != nil && !store.IsDuplicate(err) {
		return vault.WrappedKey{}, err
	}
	// Another process may have been first: what is stored counts.
	return w.wrappedKey(ctx, owner)
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

// unlockedQuietly is unlocked without asking a person.
func (w *Workstation) unlockedQuietly(ctx context.Context) error {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	_, err := w.openVaultBy(ctx, w.storedPass)
	return err
}

func (w *Workstation) vaultOpen() bool {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	return w.vault != nil
}

// mayShow makes the profile's own sealed rows readable, where its passcode or
// the vault's key can be had. It tells false where whom they concern stays hidden.
func (w *Workstation) mayShow(ctx context.Context, who *seat) bool {
	return w.prove(ctx, who) == nil && w.unlocked(ctx) == nil
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
	locked, err := w.LockedElsewhere(ctx)
	if err == nil && locked {
		err = errLocked()
	} else if err == nil {
		err = w.unlocked(ctx)
	}
	if err != nil {
		s.State = "locked"
		s.Error = Fault(err)
		s.Advice = s.Error.Advice
	}
	return s, nil
}

// unlockVault lifts the bar of a lock, and opens the vault where there is one:
// with a passphrase or, where pass is empty, by asking the keyring, which may
// then prompt. relock puts a bar back that was lifted, and tells whether it did.
func (w *Workstation) unlockVault(ctx context.Context, pass secret.Value) (relock func() bool, err error) {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	barred := w.barred
	relock = func() bool {
		if barred {
			w.bar()
		}
		return barred
	}
	h, exists, err := w.readHeader(ctx)
	if err != nil {
		return nil, err
	}
	if w.vault == nil && exists {
		var v *vault.Vault
		switch {
		case h.Protection == vault.ByKeyring && w.keyring == nil:
			err = noKeyring()
		case h.Protection == vault.ByKeyring:
			v, err = vault.UnlockWithKeyring(ctx, w.keyring.Prompting(), h)
		case pass.IsEmpty():
			v, err = w.openWith(ctx, w.askPass)
		default:
			v, err = vault.UnlockWithPassphrase(h, pass)
		}
		if err != nil {
			return nil, err
		}
		w.vault, w.header = v, h
	}
	w.barred = false
	return relock, nil
}

// CreateVault makes a vault under a passphrase, for a workstation without a
// usable keyring. Fault: vault-exists.
func (w *Workstation) CreateVault(ctx context.Context, pass secret.Value) error {
	return w.as(ctx, "CreateVault", func(ctx context.Context, _ *seat) error {
		return w.makeVault(ctx, pass)
	})
}

func (w *Workstation) makeVault(ctx context.Context, pass secret.Value) error {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	_, err := w.createVault(ctx, &pass)
	return err
}

// dropKeys takes the keys out of memory. The key of the activity record stays:
// it opens nothing, and what happens at the lock is to be recorded.
func (w *Workstation) dropKeys() {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	w.dropKeysLocked()
}

func (w *Workstation) dropKeysLocked() {
	if w.vault != nil {
		w.vault.Close()
	}
	w.vault = nil
	clear(w.keys)
	w.services.wipe()
	w.forgetWays()
}

// bar takes the keys out of memory, and keeps the vault closed until Unlock.
func (w *Workstation) bar() {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	w.dropKeysLocked()
	w.barred = true
}

// ProtectVault moves the master key under a passphrase (pass given) or into
// the keyring (pass nil). Nothing is sealed anew: only the master key's own
// protection changes.
func (w *Workstation) ProtectVault(ctx context.Context, pass *secret.Value) error {
	detail := audit.DetailKeyring
	if pass != nil {
		detail = audit.DetailPassphrase
	}
	return w.as(ctx, "ProtectVault", func(ctx context.Context, who *seat) error {
		return w.recorded(ctx, who.profile, audit.Entry{Action: audit.Vault, Detail: detail}, func(ctx context.Context, _ *action) error {
			return w.protectVault(ctx, pass)
		})
	})
}

func (w *Workstation) protectVault(ctx context.Context, pass *secret.Value) error {
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
