package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// seat is one profile's stay at the workstation. It begins with the process, a
// switch or an unlock, and ends with a lock or a switch: what is under way for
// the profile ends with it.
type seat struct {
	profile store.Profile
	ctx     context.Context
	end     context.CancelCauseFunc

	mu sync.Mutex // protects the two below, and keeps two callers from asking for a passcode at once
	// proven tells that the profile has shown its passcode, or needs none.
	proven bool
	// locked tells that only Unlock proves it.
	locked bool
}

func newSeat(p store.Profile) *seat {
	ctx, end := context.WithCancelCause(context.Background())
	return &seat{profile: p, ctx: ctx, end: end}
}

// over gives why the stay has ended, or nil.
func (s *seat) over() error { return context.Cause(s.ctx) }

// lockedSetting names the setting that locks every process of the data folder.
const lockedSetting = "locked"

// The delay after wrong passcodes: none for the first nine, then from half a
// minute, doubling, to a quarter of an hour. Nothing is ever wiped.
const (
	freePasscodes    = 9
	passcodeDelay    = 30 * time.Second
	maxPasscodeDelay = 15 * time.Minute
)

func errLocked() *fault.Error {
	return fault.New("vault-locked", "Chartkey is locked.", "Unlock it in the window, or by chartkey vault unlock.")
}

func errSwitched() *fault.Error {
	return fault.New("sign-in-abandoned", "Another person has taken over the workstation in the meantime, so it was not finished.", "Sign in to your profile, then try again.")
}

// SeatStatus tells who acts at this workstation, and whether it is locked.
type SeatStatus struct {
	ProfileID string `json:"profile_id"`
	Profile   string `json:"profile"`
	Role      string `json:"role"`
	// Locked tells that a passcode, or the vault's key, is needed before anything of the profile's is shown.
	Locked bool `json:"locked"`
	// Passcode is "set"; "none" where none is needed, as nobody else uses the workstation; or "to_be_set".
	Passcode string `json:"passcode"`
	// Passphrase tells that the vault needs its passphrase as well, and that no file gives it.
	Passphrase bool `json:"passphrase"`
}

// current gives the seat in use.
func (w *Workstation) current() *seat {
	w.seatMu.Lock()
	defer w.seatMu.Unlock()
	return w.seat
}

// take puts another seat in place, and ends the one before for the reason given.
func (w *Workstation) take(next *seat, why error) {
	w.seatMu.Lock()
	before := w.seat
	w.seat = next
	w.seatMu.Unlock()
	if before != nil {
		before.end(why)
	}
}

// as runs a use-case for the profile at the seat, if it may. Where the seat
// ends meanwhile, do is cancelled and its result does not count.
//
// Faults: role-needed, vault-locked, passcode-needed, passcode-wrong,
// passcode-delayed, passcode-not-set, user-not-found.
func (w *Workstation) as(ctx context.Context, use string, do func(ctx context.Context, who *seat) error) error {
	who := w.current()
	if err := checkRole(who.profile.Role, use); err != nil {
		return err
	}
	if rights[use] == anybody {
		return do(ctx, who)
	}
	if err := w.prove(ctx, who); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(who.ctx, func() { cancel(who.over()) })()
	err := do(ctx, who)
	if over := who.over(); over != nil {
		return over
	}
	return err
}

// prove makes sure that the profile at a seat is who it says: its key is at
// hand, by its passcode where it has one.
func (w *Workstation) prove(ctx context.Context, s *seat) error {
	if _, err := w.stillThere(ctx, s.profile); err != nil {
		return err
	}
	if locked, err := w.LockedElsewhere(ctx); err != nil {
		return err
	} else if locked {
		w.dropKeys()
		return errLocked()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked {
		return errLocked()
	}
	if s.proven {
		return w.stillProven(ctx, s)
	}
	if err := w.provePasscode(ctx, s.profile, nil); err != nil {
		return err
	}
	s.proven = true
	return nil
}

// stillThere gives a profile as it is stored now. Fault: user-not-found.
func (w *Workstation) stillThere(ctx context.Context, p store.Profile) (store.Profile, error) {
	now, err := w.store.Profile(ctx, p.ID)
	if errors.Is(err, store.ErrNoRow) {
		err = noProfile(p.Name)
	}
	return now, err
}

// stillProven notices, between two uses, that a profile without a passcode
// needs one now, or that its passcode was changed elsewhere.
func (w *Workstation) stillProven(ctx context.Context, s *seat) error {
	k, err := w.wrappedKey(ctx, s.profile.ID)
	switch {
	case err != nil:
		return err
	case k.KDF == nil:
		return w.passcodeMissing(ctx)
	case w.holds(s.profile.ID, k):
		return nil
	}
	s.proven = false
	if err := w.provePasscode(ctx, s.profile, nil); err != nil {
		return err
	}
	s.proven = true
	return nil
}

// wrappedKey gives the stored data key of an owner; its zero value is no key yet.
func (w *Workstation) wrappedKey(ctx context.Context, owner string) (vault.WrappedKey, error) {
	row, err := w.store.DataKey(ctx, owner)
	if errors.Is(err, store.ErrNoRow) {
		return vault.WrappedKey{}, nil
	}
	k := vault.WrappedKey{Wrapped: row.Wrapped}
	if err != nil || row.KDF == "" {
		return k, err
	}
	k.KDF = &vault.KDF{}
	if err := json.Unmarshal([]byte(row.KDF), k.KDF); err != nil {
		return k, fault.New("vault-damaged", "A stored data key cannot be read.", "Restore a backup of the data folder.").Because(err)
	}
	return k, nil
}

// passcodeMissing refuses a profile without a passcode where it needs one:
// when others use the workstation too.
func (w *Workstation) passcodeMissing(ctx context.Context) error {
	n, err := w.store.CountProfiles(ctx)
	if err != nil || n <= 1 {
		return err
	}
	return fault.New("passcode-not-set", "Others use this workstation too, so this profile needs a passcode first.",
		"Choose one: at the lock of the window, or by chartkey user passcode and the profile's name.")
}

// provePasscode checks a profile's passcode, and has its key at hand after.
// given is nil to ask for it.
func (w *Workstation) provePasscode(ctx context.Context, p store.Profile, given *secret.Value) error {
	wrapped, err := w.wrappedKey(ctx, p.ID)
	if err != nil {
		return err
	}
	if wrapped.KDF == nil {
		return w.passcodeMissing(ctx)
	}
	if given == nil {
		if w.askPasscode == nil {
			return PasscodeNeeded(p.Name)
		}
		code, err := w.askPasscode(ctx, p.Name, false)
		if err != nil {
			return err
		}
		given = &code
	}
	if given.IsEmpty() {
		return PasscodeNeeded(p.Name)
	}
	err = w.tryPasscode(ctx, p.ID, wrapped, *given)
	if fault.Code(err) == "passcode-wrong" {
		return errors.Join(err, w.record(ctx, p, audit.Entry{Action: audit.SignIn, Detail: audit.DetailWrongPasscode, Fault: "passcode-wrong"}, nil))
	}
	return err
}

func (w *Workstation) tryPasscode(ctx context.Context, id string, wrapped vault.WrappedKey, passcode secret.Value) error {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	v, err := w.openVaultLocked(ctx)
	if err != nil {
		return err
	}
	if err := w.countPasscode(ctx, id); err != nil {
		return err
	}
	key, err := v.UnlockKey(id, wrapped, passcode)
	if err != nil {
		return err
	}
	if err := w.store.ForgiveProfile(ctx, id); err != nil {
		return err
	}
	w.keys[id] = heldKey{key, wrapped}
	return nil
}

// countPasscode counts an attempt before it is made. Fault: passcode-delayed.
func (w *Workstation) countPasscode(ctx context.Context, id string) error {
	for {
		p, err := w.store.Profile(ctx, id)
		if err != nil {
			return err
		}
		now := w.now()
		after := fromMillis(p.PasscodeAfter)
		if latest := now.Add(delayAfter(p.WrongPasscodes)).Truncate(time.Millisecond); after.After(latest) {
			// The clock was put back since: nobody waits longer for that than the delay itself.
			if err := w.store.SetPasscodeAfter(ctx, store.SetPasscodeAfterParams{NextAfter: latest.UnixMilli(), ID: id, ReadAfter: p.PasscodeAfter}); err != nil {
				return err
			}
			continue
		}
		if now.Before(after) {
			return fault.Newf("passcode-delayed", "Wait, then try again. If the passcode is lost, an admin can reset it; that ends this profile's connections.",
				"After %d wrong passcodes the next one is taken at %s.", p.WrongPasscodes, after.Local().Format("15:04:05")).CanRetry()
		}
		_, err = w.store.TryPasscode(ctx, store.TryPasscodeParams{
			NextAfter: now.Add(delayAfter(p.WrongPasscodes + 1)).UnixMilli(), ID: id, Now: now.UnixMilli(), ReadWrong: p.WrongPasscodes,
		})
		if !errors.Is(err, store.ErrNoRow) { // no row: another attempt was counted in between
			return err
		}
	}
}

// delayAfter gives how long the next passcode waits after so many wrong ones.
func delayAfter(wrong int64) time.Duration {
	if wrong <= freePasscodes {
		return 0
	}
	return min(passcodeDelay<<min(wrong-freePasscodes-1, 10), maxPasscodeDelay)
}

// PasscodeNeeded is what a passcode source answers where it can ask nobody.
func PasscodeNeeded(profile string) *fault.Error {
	return fault.Newf("passcode-needed", "Name a file that holds it in CHARTKEY_PASSCODE_FILE, or run the command in a terminal to be asked.",
		"%s has a passcode, and it was not given.", profile)
}

func noProfile(name string) *fault.Error {
	return fault.Newf("user-not-found", "See chartkey user list.", "There is no user %q on this workstation.", name)
}

// findProfile finds a profile by name or id.
func (w *Workstation) findProfile(ctx context.Context, ref string) (store.Profile, error) {
	all, err := w.store.Profiles(ctx)
	if err != nil {
		return store.Profile{}, err
	}
	for _, p := range all {
		if p.ID == ref || strings.EqualFold(p.Name, strip(ref)) {
			return p, nil
		}
	}
	return store.Profile{}, noProfile(ref)
}

// ActAs has this process act for a profile, by name or id; "" is the
// workstation's owner. Its passcode is asked for when it is first needed.
// Fault: user-not-found.
func (w *Workstation) ActAs(ctx context.Context, user string) error {
	find := w.ensureOwner
	if user != "" {
		find = func(ctx context.Context) (store.Profile, error) { return w.findProfile(ctx, user) }
	}
	p, err := find(ctx)
	if err != nil {
		return err
	}
	w.take(newSeat(p), errSwitched())
	return nil
}

// Seat tells who acts here, and whether it is locked. Nobody is asked.
func (w *Workstation) Seat(ctx context.Context) (SeatStatus, error) {
	who := w.current()
	s := SeatStatus{ProfileID: who.profile.ID, Profile: who.profile.Name, Role: who.profile.Role, Passcode: "none"}
	wrapped, err := w.wrappedKey(ctx, who.profile.ID)
	if err != nil {
		return s, err
	}
	_, gone := w.stillThere(ctx, who.profile)
	needsPasscode := gone != nil
	switch {
	case gone != nil: // another profile has to be chosen
	case wrapped.KDF != nil:
		s.Passcode = "set"
		needsPasscode = !w.holds(who.profile.ID, wrapped)
	case w.passcodeMissing(ctx) != nil:
		s.Passcode = "to_be_set"
		needsPasscode = true
	}
	elsewhere, err := w.LockedElsewhere(ctx)
	if err != nil {
		return s, err
	}
	who.mu.Lock()
	s.Locked = who.locked || elsewhere || needsPasscode
	who.mu.Unlock()
	h, exists, err := w.readHeader(ctx)
	if err != nil {
		return s, err
	}
	if exists && h.Protection == vault.ByPassphrase && !w.vaultOpen() {
		_, err := passphraseFrom(ctx, w.storedPass, false)
		s.Passphrase = err != nil
	}
	return s, nil
}

// UnlockRequest is what an unlock, or a switch to another profile, needs.
type UnlockRequest struct {
	// Profile is a name or id; "" is the one at the seat.
	Profile string
	// Passphrase opens a vault that the keyring does not.
	Passphrase secret.Value
	Passcode   secret.Value
	// NewPasscode is for a profile that has none and needs one.
	NewPasscode secret.Value
}

// Unlock signs a profile in: the one at the seat, or another one, who takes it
// over. It lifts a lock of the whole data folder too.
//
// Faults: user-not-found, passcode-needed, passcode-wrong, passcode-delayed,
// passcode-not-set, passcode-too-short, and those of the vault.
func (w *Workstation) Unlock(ctx context.Context, r UnlockRequest) error {
	p, err := w.stillThere(ctx, w.current().profile)
	if r.Profile != "" {
		p, err = w.findProfile(ctx, r.Profile)
	}
	if err != nil {
		return err
	}
	relock, err := w.unlockVault(ctx, r.Passphrase)
	if err != nil {
		return err
	}
	if err := w.signIn(ctx, p, r); err != nil {
		if relock() {
			return err
		}
		if w.current().profile.ID != p.ID {
			w.forgetKey(p.ID)
		}
		return err
	}
	next := newSeat(p)
	next.proven = true
	before := w.current().profile.ID
	w.take(next, errSwitched())
	if before != p.ID {
		w.forgetKey(before)
	}
	return nil
}

// signIn proves a profile, and records that it did. The vault is open.
func (w *Workstation) signIn(ctx context.Context, p store.Profile, r UnlockRequest) error {
	given := &r.Passcode
	if r.Passcode.IsEmpty() {
		given = nil
	}
	err := w.provePasscode(ctx, p, given)
	if fault.Code(err) == "passcode-not-set" && !r.NewPasscode.IsEmpty() {
		err = w.setFirstPasscode(ctx, p, r.NewPasscode)
	}
	if err != nil {
		return err
	}
	return w.record(ctx, p, audit.Entry{Action: audit.SignIn, Detail: audit.DetailUnlocked}, func(q *store.Queries) error {
		return q.DeleteSetting(ctx, lockedSetting)
	})
}

// Lock ends the stay of the profile at the seat: its sign-ins and reads are
// abandoned, and the keys leave this process's memory. Unlock brings them back.
// why is a few words, as in "idle" or "screen locked".
func (w *Workstation) Lock(ctx context.Context, why string) error {
	who := w.current()
	next := newSeat(who.profile)
	next.locked = true
	w.take(next, errLocked())
	w.bar()
	// Locking is never stopped, least of all by a record that cannot be written.
	return w.record(ctx, who.profile, audit.Entry{Action: audit.Lock, Subject: why}, nil)
}

// LockEverywhere locks every process that has this data folder open, until
// somebody unlocks it.
func (w *Workstation) LockEverywhere(ctx context.Context) error {
	// Once it is locked, nothing opens the vault: the key of the record is fetched before.
	w.recordKey(ctx)
	err := w.store.SetSetting(ctx, store.SetSettingParams{Name: lockedSetting, Value: w.now().UTC().Format(time.RFC3339)})
	return errors.Join(err, w.Lock(ctx, "everywhere"))
}

// FollowLock ends what is under way here, and takes the keys out of memory,
// within two seconds after another process has locked the data folder. It
// returns when ctx ends. Once somebody has unlocked the folder, the profile's
// passcode is asked for anew.
func (w *Workstation) FollowLock(ctx context.Context) error {
	return w.Watch(ctx, func() {
		if locked, err := w.LockedElsewhere(ctx); err != nil || !locked {
			return // a database that cannot be read tells so at the next use
		}
		who := w.current()
		who.mu.Lock()
		locked := who.locked
		who.mu.Unlock()
		if !locked {
			w.take(newSeat(who.profile), errLocked())
			w.dropKeys()
		}
	})
}

// LockedElsewhere tells whether LockEverywhere holds.
func (w *Workstation) LockedElsewhere(ctx context.Context) (bool, error) {
	_, err := w.store.Setting(ctx, lockedSetting)
	if errors.Is(err, store.ErrNoRow) {
		return false, nil
	}
	return err == nil, err
}
