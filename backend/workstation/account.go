package workstation

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// codeAccountChanged: somebody else signed in than the last time, so the
// connection waits to be accepted.
const codeAccountChanged = "account-changed"

// account is who signed in at an EHR (OpenID Connect Core section 2, sub; SMART
// App Launch 2.2, fhirUser).
type account struct {
	Issuer   string `json:"issuer,omitempty"`
	Subject  string `json:"sub,omitempty"`
	FHIRUser string `json:"fhir_user,omitempty"`
}

func accountOf(cfg smart.Configuration, c smart.LaunchContext) account {
	return account{Issuer: cfg.Issuer, Subject: c.Subject, FHIRUser: c.FHIRUser}
}

// known tells whether the server said who signed in.
func (a account) known() bool { return a.Subject != "" || a.FHIRUser != "" }

// differs tells whether b is certainly another account. The subject decides,
// within one issuer; fhirUser does where a server gives no subject.
func (a account) differs(b account) bool {
	if !a.known() || !b.known() || a.Issuer != b.Issuer {
		return false
	}
	if a.Subject != "" && b.Subject != "" {
		return !equal(a.Subject, b.Subject)
	}
	return a.FHIRUser != "" && b.FHIRUser != "" && !equal(a.FHIRUser, b.FHIRUser)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (a account) String() string {
	if a.FHIRUser != "" {
		return network.Clean(a.FHIRUser, 120)
	}
	return network.Clean(a.Subject, 120)
}

func accountChanged(before, now account, connectionID string) *fault.Error {
	return fault.Newf(codeAccountChanged, "If that is meant, accept it: in the window, or by chartkey accept "+connectionID+". If not, disconnect it and sign in again as the right person.",
		"The account that signed in is %s; last time it was %s. The new connection waits, and is not used until it is accepted.", now, before)
}

func accountBinding(registrationID, profileID string) vault.Binding {
	return vault.Binding{Table: "account", Column: "account", Row: registrationID + " " + profileID}
}

// accounts are whose accounts a profile last connected with, by the kind of grant.
type accounts map[string]account

// before gives the account that a new one is held against. A launch before any
// other is held against the sign-in, if both are of a patient or both of a
// practitioner: a chart that is opened in the EHR is not a patient's own access.
func (all accounts) before(kind string, now account) account {
	if a := all[kind]; a.known() {
		return a
	}
	for _, a := range all {
		if a.userType() != "" && a.userType() == now.userType() {
			return a
		}
	}
	return account{}
}

// userType gives "Patient", "Practitioner", … of the fhirUser, or "".
func (a account) userType() string {
	parts := strings.Split(a.FHIRUser, "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-2]
}

// lastAccounts gives whose accounts a profile last connected with.
func (w *Workstation) lastAccounts(ctx context.Context, registrationID, profileID string) (accounts, error) {
	a := accounts{}
	sealed, err := w.store.Account(ctx, store.AccountParams{RegistrationID: registrationID, ProfileID: profileID})
	if errors.Is(err, store.ErrNoRow) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	text, err := w.open(ctx, profileID, accountBinding(registrationID, profileID), sealed)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(text.Bytes(), &a); err != nil {
		return a, fault.New("vault-damaged", "Whose account was connected last cannot be read.", "Restore a backup of the data folder.").Because(err)
	}
	return a, nil
}

// lastUser gives whose account was connected before a grant that waits to be accepted.
func (w *Workstation) lastUser(ctx context.Context, waiting store.Grant) (*string, error) {
	c, err := w.openContext(ctx, waiting)
	if err != nil {
		return nil, err
	}
	last, err := w.lastAccounts(ctx, waiting.RegistrationID, waiting.ProfileID)
	return optional(last.before(waiting.Kind, c.Account).String()), err
}

func (w *Workstation) sealAccounts(ctx context.Context, registrationID, profileID string, a accounts) ([]byte, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	return w.seal(ctx, profileID, accountBinding(registrationID, profileID), secret.Own(text))
}

// AcceptConnection lets a connection be used that waits for it: one from a
// launch that no person started, or one of another account than the last time,
// which then takes the place of the earlier one. Fault: not-connected.
func (w *Workstation) AcceptConnection(ctx context.Context, connectionID string) error {
	return w.as(ctx, "AcceptConnection", func(ctx context.Context, who *seat) error {
		return w.acceptConnection(ctx, who, connectionID)
	})
}

func (w *Workstation) acceptConnection(ctx context.Context, who *seat, connectionID string) error {
	gone := fault.New("not-connected", "There is no connection with that id.", "See chartkey status for the ids, or connect again.")
	g, err := w.store.Grant(ctx, store.GrantParams{ID: connectionID, ProfileID: who.profile.ID})
	if errors.Is(err, store.ErrNoRow) {
		return gone
	}
	if err != nil || g.Accepted {
		return err
	}
	reg, err := w.store.Registration(ctx, g.RegistrationID)
	if err != nil {
		return err
	}
	c, err := w.openContext(ctx, g)
	if err != nil {
		return err
	}
	c.Origin.Accepted = true
	sealed, err := w.sealContext(ctx, who.profile.ID, g.ID, c)
	if err != nil {
		return err
	}
	last, err := w.lastAccounts(ctx, reg.ID, who.profile.ID)
	if err != nil {
		return err
	}
	last[g.Kind] = c.Account
	remembered, err := w.sealAccounts(ctx, reg.ID, who.profile.ID, last)
	if err != nil {
		return err
	}
	entry := registrationEntry(audit.LaunchDecision, reg)
	entry.Detail, entry.Patient = audit.DetailLaunchAccepted, patientPath(c.Patient)
	if g.Kind == standalone {
		entry.Action, entry.Detail = audit.Connect, "account-accepted"
	}
	return w.record(ctx, who.profile, entry, func(q *store.Queries) error {
		if g.Kind == standalone {
			if err := q.DeleteStandaloneGrant(ctx, store.DeleteStandaloneGrantParams{RegistrationID: reg.ID, ProfileID: who.profile.ID, Accepted: true}); err != nil {
				return err
			}
		}
		n, err := q.AcceptGrant(ctx, store.AcceptGrantParams{Context: sealed, ID: g.ID, ReadVersion: g.Version})
		if err == nil && n == 0 {
			return gone
		}
		if err != nil || !c.Account.known() {
			return err
		}
		return q.SaveAccount(ctx, store.SaveAccountParams{RegistrationID: reg.ID, ProfileID: who.profile.ID, Account: remembered})
	})
}
