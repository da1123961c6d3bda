package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"

	"github.com/google/uuid"
)

// Registration is an app as it is registered at one EHR environment.
type Registration struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`        // app | backend
	EHR         string `json:"ehr"`         // epic | other
	Environment string `json:"environment"` // sandbox | production
	// FHIRBaseURL is kept exactly as entered, because servers compare aud as a string.
	FHIRBaseURL  string `json:"fhir_base_url"`
	ClientID     string `json:"client_id"`
	ClientType   string `json:"client_type"`   // public | confidential-symmetric | confidential-asymmetric
	ClientSecret string `json:"client_secret"` // set | none, never the secret
	Audience     string `json:"audience"`      // patient | provider; empty for a backend service, which nobody signs in to
	// Scopes are what a connect, or a backend service, asks for: the registration's own, or the default.
	Scopes        []string `json:"scopes"`
	ScopesDefault bool     `json:"scopes_default"`
	// OfflineAccess and PatientNeeded are what the default scopes follow: whether the access is to
	// outlast the sign-in, and whether a provider chooses a patient at it.
	OfflineAccess bool `json:"offline_access"`
	PatientNeeded bool `json:"patient_needed"`
	// AccessPeriodDays is how long the EHR lets a person stay connected, as its operator told; 0 is not known.
	AccessPeriodDays int64 `json:"access_period_days"`
	// AccessPeriodRolling has it counted from the last refresh, and not from the sign-in.
	AccessPeriodRolling bool      `json:"access_period_rolling"`
	RedirectURIs        []string  `json:"redirect_uris"`
	LaunchURL           string    `json:"launch_url"`
	CreatedAt           time.Time `json:"created_at" ts_type:"string"`
	UpdatedAt           time.Time `json:"updated_at" ts_type:"string"`
}

// SaveRegistration stores a new registration (id "") or the new values of one
// that exists. It gives the notices that the input deserved. Faults:
// invalid-registration (its cause is *InvalidInput), registration-not-found,
// and those of the vault where a secret is to be stored.
//
// A grant that was made for another server or client ends, because its tokens
// must never be sent anywhere else.
func (w *Workstation) SaveRegistration(ctx context.Context, id string, in RegistrationInput) (reg Registration, problems []FieldProblem, err error) {
	err = w.as(ctx, "SaveRegistration", func(ctx context.Context, who *seat) error {
		reg, problems, err = w.saveRegistration(ctx, who, id, in)
		return err
	})
	return reg, problems, err
}

func (w *Workstation) saveRegistration(ctx context.Context, who *seat, id string, in RegistrationInput) (Registration, []FieldProblem, error) {
	return w.saveRegistrationAs(ctx, who, id, in, given{})
}

// saveRegistrationAs is saveRegistration of an app that a server has registered:
// with the key and the method that it was registered with.
func (w *Workstation) saveRegistrationAs(ctx context.Context, who *seat, id string, in RegistrationInput, as given) (Registration, []FieldProblem, error) {
	in, old, problems, err := w.examine(ctx, id, in)
	if err != nil {
		return Registration{}, nil, err
	}
	if hasErrors(problems) {
		return Registration{}, nil, invalid(problems)
	}
	uris, err := json.Marshal(in.RedirectURIs)
	if err != nil {
		return Registration{}, nil, err
	}
	issuer, err := smart.NormalizeBaseURL(in.FHIRBaseURL)
	if err != nil {
		return Registration{}, nil, err
	}
	now := w.now().UnixMilli()
	row := store.Registration{
		ID: id, Name: in.Name, EHR: in.EHR, Environment: in.Environment, FHIRBaseURL: in.FHIRBaseURL, Issuer: issuer, ClientID: in.ClientID,
		ClientType: in.ClientType, ClientSecret: old.ClientSecret, AuthMethod: old.AuthMethod, Audience: in.Audience, Scopes: strings.Join(in.Scopes, " "),
		RedirectURIs: string(uris), CreatedAt: now, UpdatedAt: now, OfflineAccess: in.wantsOffline(), PatientNeeded: in.needsPatient(),
		AccessPeriodDays: in.accessPeriod(), AccessPeriodRolling: in.AccessPeriodRolling != nil && *in.AccessPeriodRolling,
		Kind: in.Kind,
	}
	if id == "" {
		row.ID = uuid.NewString()
	} else {
		row.ID, row.CreatedAt = old.ID, old.CreatedAt
		row.UpdatedAt = max(now, old.UpdatedAt+1) // each save is told from the one before
	}
	if in.ClientSecretAction != SecretKeep || in.ClientType != old.ClientType || in.FHIRBaseURL != old.FHIRBaseURL {
		row.AuthMethod = ""
	}
	switch in.ClientSecretAction {
	case SecretRemove:
		row.ClientSecret = nil
	case SecretReplace:
		if row.ClientSecret, err = w.seal(ctx, workstationOwner, secretBinding(row), secret.New(in.ClientSecret)); err != nil {
			return Registration{}, nil, err
		}
	}
	if as.method != "" {
		row.AuthMethod = string(as.method)
	}
	first, err := w.firstKey(ctx, row, as.key)
	if err != nil {
		return Registration{}, nil, err
	}
	if err := w.storeRegistration(ctx, who, id == "", old, row, first); err != nil {
		return Registration{}, nil, err
	}
	reg, err := w.registration(ctx, row)
	return reg, problems, err
}

// secretBinding binds a secret to its registration, server and client: it
// opens for no other, even where the row was changed.
func secretBinding(row store.Registration) vault.Binding {
	return vault.Binding{Table: "registration", Column: "client_secret", Row: strings.Join([]string{row.ID, row.Issuer, row.ClientID}, "\n")}
}

func (w *Workstation) storeRegistration(ctx context.Context, who *seat, isNew bool, old, row store.Registration, key *store.ClientKey) error {
	entry := registrationEntry(audit.Registration, row)
	entry.Detail = audit.DetailChanged
	if isNew {
		entry.Detail = audit.DetailAdded
	}
	err := w.record(ctx, who.profile, entry, func(q *store.Queries) (err error) {
		defer func() {
			if err == nil && key != nil {
				err = insertClientKey(ctx, q, key)
			}
		}()
		// A launch that waited for this server to be known need not wait any more.
		if err := q.ForgetPendingIssuer(ctx, row.Issuer); err != nil {
			return err
		}
		if isNew {
			return q.InsertRegistration(ctx, store.InsertRegistrationParams(row))
		}
		n, err := q.UpdateRegistration(ctx, store.UpdateRegistrationParams{
			Name: row.Name, EHR: row.EHR, Environment: row.Environment, FHIRBaseURL: row.FHIRBaseURL, Issuer: row.Issuer, ClientID: row.ClientID, ClientType: row.ClientType,
			ClientSecret: row.ClientSecret, AuthMethod: row.AuthMethod, Audience: row.Audience, Scopes: row.Scopes, RedirectURIs: row.RedirectURIs,
			UpdatedAt: row.UpdatedAt, OfflineAccess: row.OfflineAccess, PatientNeeded: row.PatientNeeded,
			AccessPeriodDays: row.AccessPeriodDays, AccessPeriodRolling: row.AccessPeriodRolling, ID: row.ID, ReadAt: old.UpdatedAt,
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Newf("registration-changed", "Look at it as it is now, then edit it again.", "%s was changed or removed by another Chartkey in the meantime, so nothing was saved.", row.Name)
		}
		if old.Issuer == row.Issuer && old.ClientID == row.ClientID {
			return nil
		}
		// What was approved was approved for the server that it had.
		if err := q.ForgetIssuersOf(ctx, &row.ID); err != nil {
			return err
		}
		grants, err := q.GrantsOfRegistration(ctx, row.ID)
		if err != nil {
			return err
		}
		for _, g := range grants {
			if _, err := q.SetGrantError(ctx, store.SetGrantErrorParams{
				Ended: endedByEdit, LastError: g.LastError, ID: g.ID, ReadVersion: g.Version,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if store.IsDuplicate(err) {
		return invalid([]FieldProblem{{"name", "error", fmt.Sprintf("There is a registration named %q already.", row.Name), "Choose another name."}})
	}
	return err
}

func noRegistration(ref string) *fault.Error {
	return fault.Newf("registration-not-found", "List the registrations to see their names.", "There is no registration %q.", ref)
}

// registrationRow finds a registration by id or by name.
func (w *Workstation) registrationRow(ctx context.Context, ref string) (store.Registration, error) {
	row, err := w.store.Registration(ctx, ref)
	if errors.Is(err, store.ErrNoRow) {
		row, err = w.store.RegistrationByName(ctx, strip(ref))
	}
	if errors.Is(err, store.ErrNoRow) {
		return row, noRegistration(ref)
	}
	return row, err
}

// Registration gives one registration by id or name. Fault: registration-not-found.
func (w *Workstation) Registration(ctx context.Context, ref string) (Registration, error) {
	row, err := w.registrationRow(ctx, ref)
	if err != nil {
		return Registration{}, err
	}
	return w.registration(ctx, row)
}

// Registrations gives all registrations by name.
func (w *Workstation) Registrations(ctx context.Context) ([]Registration, error) {
	rows, err := w.store.Registrations(ctx)
	if err != nil {
		return nil, err
	}
	servers, err := w.discovered(ctx)
	if err != nil {
		return nil, err
	}
	listener, err := w.LaunchSettings(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Registration, len(rows))
	for i, row := range rows {
		out[i] = publish(row, servers[row.FHIRBaseURL], listener.URL)
	}
	return out, nil
}

func (w *Workstation) registration(ctx context.Context, row store.Registration) (Registration, error) {
	cfg, err := w.cachedDiscovery(ctx, row.FHIRBaseURL)
	if err != nil {
		return Registration{}, err
	}
	listener, err := w.LaunchSettings(ctx)
	if err != nil {
		return Registration{}, err
	}
	if cfg == nil {
		cfg = &smart.Configuration{}
	}
	return publish(row, *cfg, listener.URL), nil
}

// publish gives the public form of a row. cfg is what its server said of
// itself, or empty where it was not asked yet.
func publish(row store.Registration, cfg smart.Configuration, launchURL string) Registration {
	secret := "none"
	if len(row.ClientSecret) > 0 {
		secret = "set"
	}
	audience := row.Audience
	if row.Kind == KindBackend {
		audience, launchURL = "", ""
	}
	return Registration{
		ID: row.ID, Name: row.Name, Kind: row.Kind, EHR: row.EHR, Environment: row.Environment, FHIRBaseURL: row.FHIRBaseURL, ClientID: row.ClientID,
		ClientType: row.ClientType, ClientSecret: secret, Audience: audience, Scopes: effectiveScopes(row, cfg).Strings(), ScopesDefault: row.Scopes == "",
		OfflineAccess: row.OfflineAccess, PatientNeeded: row.PatientNeeded,
		AccessPeriodDays: row.AccessPeriodDays, AccessPeriodRolling: row.AccessPeriodRolling,
		RedirectURIs: redirectURIs(row), LaunchURL: launchURL, CreatedAt: fromMillis(row.CreatedAt), UpdatedAt: fromMillis(row.UpdatedAt),
	}
}

func redirectURIs(row store.Registration) []string {
	if row.Kind == KindBackend {
		return []string{}
	}
	var uris []string
	if err := json.Unmarshal([]byte(row.RedirectURIs), &uris); err != nil || len(uris) == 0 {
		return DefaultRedirectURIs()
	}
	return uris
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// RemoveRegistration forgets a registration with its secret, grants and
// tests. Grants are revoked first where the server offers it; a failure to
// revoke does not keep the registration.
func (w *Workstation) RemoveRegistration(ctx context.Context, ref string) error {
	return w.as(ctx, "RemoveRegistration", func(ctx context.Context, who *seat) error {
		return w.removeRegistration(ctx, who, ref)
	})
}

func (w *Workstation) removeRegistration(ctx context.Context, who *seat, ref string) error {
	row, err := w.registrationRow(ctx, ref)
	if err != nil {
		return err
	}
	grants, err := w.store.GrantsOfRegistration(ctx, row.ID)
	if err != nil {
		return err
	}
	mode := RevokeAuto
	if t := w.services.last(row.ID); t != nil {
		if _, err := w.disconnectService(ctx, who, row, mode); err != nil {
			return err
		}
	}
	for _, g := range grants {
		d, err := w.disconnect(ctx, who, row, g, mode)
		if err != nil && fault.Code(err) != "not-connected" {
			return err
		}
		if d.Error != nil && d.Error.Retryable {
			mode = RevokeNever // a server that is away is not asked for each of them
		}
	}
	entry := registrationEntry(audit.Registration, row)
	entry.Detail = audit.DetailRemoved
	return w.record(ctx, who.profile, entry, func(q *store.Queries) error {
		if err := q.DeleteNetworkWay(ctx, row.ID); err != nil {
			return err
		}
		n, err := q.DeleteRegistration(ctx, row.ID)
		if err == nil && n == 0 {
			return noRegistration(ref)
		}
		return err
	})
}

// portOf gives the port of a loopback URI, for messages.
func portOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		return ""
	}
	return port
}
