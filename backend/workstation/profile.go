package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/store"
	"chartkey/backend/vault"

	"github.com/google/uuid"
)

// maxProfileName is in characters, for it stands in a narrow rail.
const maxProfileName = 60

// Profile is a person who uses this workstation.
type Profile struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Role      string    `json:"role"` // admin | clinician
	CreatedAt time.Time `json:"created_at" ts_type:"string"`
	// Passcode is "set" or "none".
	Passcode string `json:"passcode"`
	// Current tells whether it is the one at the seat.
	Current bool `json:"current"`
	// Connections are what the profile has connected: never as whom, or with which patient.
	Connections []ProfileConnection `json:"connections"`
	// WaitUntil is when the next passcode is taken, after too many wrong ones; null where one is taken now.
	WaitUntil *time.Time `json:"wait_until" ts_type:"string"`
}

// ProfileConnection is one connection of a profile, as an admin may see it.
type ProfileConnection struct {
	Registration string    `json:"registration"`
	Kind         string    `json:"kind"` // standalone | launch
	ConnectedAt  time.Time `json:"connected_at" ts_type:"string"`
}

// Profiles gives everybody who uses this workstation, its owner first.
func (w *Workstation) Profiles(ctx context.Context) ([]Profile, error) {
	rows, err := w.store.Profiles(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := w.store.DataKeys(ctx)
	if err != nil {
		return nil, err
	}
	locked := map[string]bool{}
	for _, k := range keys {
		locked[k.Owner] = k.KDF != ""
	}
	regs, err := w.store.Registrations(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(regs))
	for _, r := range regs {
		names[r.ID] = r.Name
	}
	current := w.current().profile.ID
	out := make([]Profile, len(rows))
	for i, row := range rows {
		p := Profile{ID: row.ID, Name: row.Name, Role: row.Role, CreatedAt: fromMillis(row.CreatedAt), Passcode: "none", Current: row.ID == current, Connections: []ProfileConnection{}}
		if locked[row.ID] {
			p.Passcode = "set"
		}
		if after := fromMillis(row.PasscodeAfter); w.now().Before(after) {
			p.WaitUntil = &after
		}
		grants, err := w.store.GrantsOfProfile(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		for _, g := range grants {
			p.Connections = append(p.Connections, ProfileConnection{Registration: names[g.RegistrationID], Kind: g.Kind, ConnectedAt: fromMillis(g.ConnectedAt)})
		}
		out[i] = p
	}
	return out, nil
}

// Profile gives one person, by name or id. Fault: user-not-found.
func (w *Workstation) Profile(ctx context.Context, user string) (Profile, error) {
	row, err := w.findProfile(ctx, user)
	if err != nil {
		return Profile{}, err
	}
	return w.profile(ctx, row.ID)
}

// NewProfile is a person to be added.
type NewProfile struct {
	Name string
	Role string
	// Passcode may be empty: then one is chosen when the profile is used first.
	Passcode secret.Value
	// OwnPasscode is for an admin who needed none so far. With a second profile one is needed.
	OwnPasscode secret.Value
}

// AddProfile adds a person. Faults: invalid-user, user-exists, passcode-too-short.
func (w *Workstation) AddProfile(ctx context.Context, in NewProfile) (p Profile, err error) {
	name, role := strip(in.Name), in.Role
	err = w.as(ctx, "AddProfile", func(ctx context.Context, who *seat) error {
		if err := checkProfile(name, role); err != nil {
			return err
		}
		if _, err := w.findProfile(ctx, name); err == nil {
			return userExists(name)
		}
		row := store.Profile{ID: uuid.NewString(), Name: name, Role: role, CreatedAt: w.now().UnixMilli()}
		var key *store.InsertDataKeyParams
		if !in.Passcode.IsEmpty() {
			if key, err = w.newLockedKey(ctx, row.ID, in.Passcode); err != nil {
				return err
			}
		}
		if !in.OwnPasscode.IsEmpty() {
			if err := w.setFirstPasscode(ctx, who.profile, in.OwnPasscode); err != nil {
				return err
			}
		}
		err := w.record(ctx, who.profile, audit.Entry{Action: audit.Profile, Detail: audit.DetailAdded, Subject: name + " (" + role + ")"}, func(q *store.Queries) error {
			if err := q.InsertProfile(ctx, store.InsertProfileParams{ID: row.ID, Name: row.Name, Role: row.Role, CreatedAt: row.CreatedAt}); err != nil {
				return err
			}
			if key == nil {
				return nil
			}
			return q.InsertDataKey(ctx, *key)
		})
		if store.IsDuplicate(err) {
			return userExists(name)
		}
		if err != nil {
			return err
		}
		p, err = w.profile(ctx, row.ID)
		return err
	})
	return p, err
}

func userExists(name string) *fault.Error {
	return fault.Newf("user-exists", "Choose another name.", "There is a user named %q already.", name)
}

func checkProfile(name, role string) error {
	switch {
	case name == "":
		return fault.New("invalid-user", "The user has no name.", "Give one, such as the name at sign-in.")
	case utf8.RuneCountInString(name) > maxProfileName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fault.Newf("invalid-user", "Use up to 60 letters, digits, spaces and punctuation.", "%q is no name for a user.", name)
	case role != RoleAdmin && role != RoleClinician:
		return fault.Newf("invalid-user", "Choose admin or clinician.", "%q is no role.", role)
	}
	return nil
}

func (w *Workstation) profile(ctx context.Context, id string) (Profile, error) {
	all, err := w.Profiles(ctx)
	if err != nil {
		return Profile{}, err
	}
	for _, p := range all {
		if p.ID == id {
			return p, nil
		}
	}
	return Profile{}, noProfile(id)
}

// newLockedKey makes a data key that only a passcode opens, to be stored.
func (w *Workstation) newLockedKey(ctx context.Context, owner string, passcode secret.Value) (*store.InsertDataKeyParams, error) {
	if err := vault.CheckNewPasscode(passcode); err != nil {
		return nil, err
	}
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	v, err := w.openVaultLocked(ctx)
	if err != nil {
		return nil, err
	}
	k, wrapped, err := v.NewLockedKey(owner, passcode, w.keyCost)
	if err != nil {
		return nil, err
	}
	v.Forget(k) // whose it is has not signed in
	kdf, err := json.Marshal(wrapped.KDF)
	if err != nil {
		return nil, err
	}
	return &store.InsertDataKeyParams{Owner: owner, Wrapped: wrapped.Wrapped, KDF: string(kdf), CreatedAt: w.now().UnixMilli()}, nil
}

// setFirstPasscode gives a profile that has none its passcode. A key that the
// profile has from the time when nobody else used the workstation stays.
func (w *Workstation) setFirstPasscode(ctx context.Context, p store.Profile, passcode secret.Value) error {
	wrapped, err := w.wrappedKey(ctx, p.ID)
	if err != nil {
		return err
	}
	if wrapped.KDF != nil {
		return passcodeExists(p)
	}
	if wrapped.Wrapped != nil {
		return w.rewrap(ctx, p, wrapped, secret.Value{}, passcode)
	}
	key, err := w.newLockedKey(ctx, p.ID, passcode)
	if err != nil {
		return err
	}
	err = w.record(ctx, p, passcodeChanged(p), func(q *store.Queries) error {
		// A profile that was removed meanwhile gets no key any more.
		if _, err := q.Profile(ctx, p.ID); errors.Is(err, store.ErrNoRow) {
			return noProfile(p.Name)
		} else if err != nil {
			return err
		}
		return q.InsertDataKey(ctx, *key)
	})
	if store.IsDuplicate(err) {
		return passcodeExists(p)
	}
	if err != nil {
		return err
	}
	return w.provePasscode(ctx, p, &passcode)
}

func passcodeExists(p store.Profile) *fault.Error {
	return fault.Newf("passcode-exists", "Give the present passcode to change it.", "%s has a passcode already.", p.Name)
}

func passcodeChanged(p store.Profile) audit.Entry {
	return audit.Entry{Action: audit.Profile, Detail: audit.DetailPasscodeChanged, Subject: p.Name}
}

// rewrap puts a profile's key under another passcode. What it seals stays.
func (w *Workstation) rewrap(ctx context.Context, p store.Profile, from vault.WrappedKey, old, next secret.Value) error {
	to, err := w.changePasscode(ctx, p.ID, from, old, next)
	if err != nil {
		return err
	}
	kdf, err := json.Marshal(to.KDF)
	if err != nil {
		return err
	}
	if err := w.record(ctx, p, passcodeChanged(p), func(q *store.Queries) error {
		n, err := q.RewrapDataKey(ctx, store.RewrapDataKeyParams{Wrapped: to.Wrapped, KDF: string(kdf), Owner: p.ID, ReadWrapped: from.Wrapped})
		if err == nil && n == 0 {
			return fault.New("passcode-changed", "The passcode was changed elsewhere in the meantime, so nothing was changed.", "Try again with the passcode as it is now.")
		}
		return err
	}); err != nil {
		return err
	}
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	if k, ok := w.keys[p.ID]; ok {
		w.keys[p.ID] = heldKey{k.DataKey, to}
	}
	return nil
}

func (w *Workstation) changePasscode(ctx context.Context, owner string, from vault.WrappedKey, old, next secret.Value) (vault.WrappedKey, error) {
	w.vaultMu.Lock()
	defer w.vaultMu.Unlock()
	v, err := w.openVaultLocked(ctx)
	if err != nil {
		return vault.WrappedKey{}, err
	}
	return v.ChangePasscode(owner, from, old, next, w.keyCost)
}

// ChangePasscode gives the profile of a name, or the one at the seat where
// user is "", another passcode, or its first one. Whoever knows the present
// passcode may do it, and nobody else: an admin resets it instead. The
// connections stay.
//
// Faults: user-not-found, passcode-needed, passcode-wrong, passcode-delayed,
// passcode-too-short.
func (w *Workstation) ChangePasscode(ctx context.Context, user string, old, next secret.Value) error {
	p, err := w.stillThere(ctx, w.current().profile)
	if user != "" {
		p, err = w.findProfile(ctx, user)
	}
	if err != nil {
		return err
	}
	if locked, err := w.LockedElsewhere(ctx); err != nil {
		return err
	} else if locked {
		return errLocked()
	}
	if err := vault.CheckNewPasscode(next); err != nil {
		return err
	}
	wrapped, err := w.wrappedKey(ctx, p.ID)
	if err != nil {
		return err
	}
	if w.current().profile.ID != p.ID {
		defer w.forgetKey(p.ID)
	}
	if wrapped.KDF == nil {
		return w.setFirstPasscode(ctx, p, next)
	}
	if old.IsEmpty() {
		if w.askPasscode == nil {
			return PasscodeNeeded(p.Name)
		}
		if old, err = w.askPasscode(ctx, p.Name, false); err != nil {
			return err
		}
	}
	// Proven first: it counts wrong ones.
	if err := w.provePasscode(ctx, p, &old); err != nil {
		return err
	}
	return w.rewrap(ctx, p, wrapped, old, next)
}

// ResetPasscode takes a profile's passcode away and destroys its key: its
// connections, which only that key opened, are gone, and the EHRs are not told.
// The next sign-in of the profile chooses a passcode. Faults: user-not-found, own-profile.
func (w *Workstation) ResetPasscode(ctx context.Context, user string) error {
	return w.as(ctx, "ResetPasscode", func(ctx context.Context, who *seat) error {
		p, err := w.findProfile(ctx, user)
		if err != nil {
			return err
		}
		if p.ID == who.profile.ID {
			return fault.New("own-profile", "This is the profile that you are signed in to.", "Change its passcode instead: that keeps the connections.")
		}
		err = w.record(ctx, who.profile, audit.Entry{Action: audit.Profile, Detail: audit.DetailPasscodeReset, Subject: p.Name}, func(q *store.Queries) error {
			return errors.Join(stillHere(ctx, q, who), destroyKey(ctx, q, p.ID), q.ForgiveProfile(ctx, p.ID))
		})
		w.forgetKey(p.ID)
		return err
	})
}

// stillHere makes sure, inside the transaction that removes or resets somebody,
// that the admin who does it was not removed meanwhile: so one is always left.
func stillHere(ctx context.Context, q *store.Queries, who *seat) error {
	_, err := q.Profile(ctx, who.profile.ID)
	if errors.Is(err, store.ErrNoRow) {
		return noProfile(who.profile.Name)
	}
	return err
}

// destroyKey deletes a profile's key with all that only it opens.
func destroyKey(ctx context.Context, q *store.Queries, profileID string) error {
	return errors.Join(q.DeleteDataKey(ctx, profileID), q.DeleteGrantsOfProfile(ctx, profileID), q.DeleteTestReportsOfProfile(ctx, profileID), q.DeleteAccountsOfProfile(ctx, profileID),
		q.DeleteFailuresOfProfile(ctx, profileID), q.DeleteTracesOfProfile(ctx, profileID), q.DeleteConnectFailuresOfProfile(ctx, profileID))
}

// RemoveProfile removes a person with their key and connections. The EHRs are
// not told. Faults: user-not-found, own-profile.
func (w *Workstation) RemoveProfile(ctx context.Context, user string) error {
	return w.as(ctx, "RemoveProfile", func(ctx context.Context, who *seat) error {
		p, err := w.findProfile(ctx, user)
		if err != nil {
			return err
		}
		if p.ID == who.profile.ID {
			return fault.New("own-profile", "This is the profile that you are signed in to.", "Switch to another admin's profile to remove it.")
		}
		err = w.record(ctx, who.profile, audit.Entry{Action: audit.Profile, Detail: audit.DetailRemoved, Subject: p.Name}, func(q *store.Queries) error {
			if err := stillHere(ctx, q, who); err != nil {
				return err
			}
			n, err := q.DeleteProfile(ctx, p.ID)
			if err == nil && n == 0 {
				return noProfile(user)
			}
			return errors.Join(err, destroyKey(ctx, q, p.ID))
		})
		w.forgetKey(p.ID)
		return err
	})
}

// RevokeConnections ends a profile's connections and has the EHRs told where
// they offer it, before a reset or a removal. Only the profile's own passcode
// opens the tokens that this takes.
//
// Faults: user-not-found, passcode-needed, passcode-wrong, passcode-delayed.
func (w *Workstation) RevokeConnections(ctx context.Context, user string, passcode secret.Value) (done []Disconnection, err error) {
	err = w.as(ctx, "RevokeConnections", func(ctx context.Context, who *seat) error {
		p, err := w.findProfile(ctx, user)
		if err != nil {
			return err
		}
		if err := w.provePasscode(ctx, p, &passcode); err != nil {
			return err
		}
		if p.ID != who.profile.ID {
			defer w.forgetKey(p.ID)
		}
		grants, err := w.store.GrantsOfProfile(ctx, p.ID)
		if err != nil {
			return err
		}
		for _, g := range grants {
			reg, err := w.store.Registration(ctx, g.RegistrationID)
			if err != nil {
				return err
			}
			d, err := w.disconnect(ctx, who, reg, g, RevokeAuto)
			if err != nil {
				return err
			}
			done = append(done, d)
		}
		return nil
	})
	return done, err
}
