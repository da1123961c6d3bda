package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// grantContext is what is sealed beside a grant's tokens: whom it concerns.
type grantContext struct {
	smart.LaunchContext
	Origin grantOrigin `json:"origin"`
	// Account is who signed in.
	Account account `json:"account"`
	// PatientName and UserName are learned by the live test.
	PatientName string `json:"patient_name,omitempty"`
	UserName    string `json:"user_name,omitempty"`
	// ClockOffset is how far the EHR's clock was ahead of this computer's at the last token.
	ClockOffset time.Duration `json:"clock_offset,omitempty"`
	// Warnings are what was odd about the sign-in.
	Warnings []string `json:"warnings,omitempty"`
}

// grantOrigin is where a grant came from. It is sealed, so that a changed row
// cannot send the tokens elsewhere, and so that a server which one day names
// other endpoints does not get them.
type grantOrigin struct {
	FHIRBaseURL   string `json:"fhir_base_url"`
	ClientID      string `json:"client_id"`
	TokenEndpoint string `json:"token_endpoint"`
	Accepted      bool   `json:"accepted"`
}

// checkOrigin opens a grant's context, and holds it against the rows and the
// registration before a token is used. Faults: vault-damaged, needs-reconnect.
func (w *Workstation) checkOrigin(ctx context.Context, reg store.Registration, g store.Grant) (grantContext, error) {
	c, err := w.openContext(ctx, g)
	if err != nil {
		return c, err
	}
	if c.Origin.FHIRBaseURL != g.FHIRBaseURL || (g.Accepted && !c.Origin.Accepted) {
		return c, fault.New("vault-damaged", "A stored connection was changed outside Chartkey, so it is not used.", "Disconnect and connect again.")
	}
	if !c.Origin.isOf(reg) {
		return c, fault.New("needs-reconnect", "Access has ended. "+endedByEdit, "Connect again.")
	}
	return c, nil
}

// endedByEdit is why a grant ends that was made for another server or client.
const endedByEdit = "The registration now names another server or client ID."

// isOf tells whether the registration still is the one that the grant was made for.
func (o grantOrigin) isOf(reg store.Registration) bool {
	issuer, err := smart.NormalizeBaseURL(o.FHIRBaseURL)
	return err == nil && issuer == reg.Issuer && o.ClientID == reg.ClientID
}

// sameServer refuses to send a grant's tokens to an endpoint of another
// origin than the one that issued them. Fault: server-changed.
func (o grantOrigin) sameServer(endpoint string) error {
	then, errThen := url.Parse(o.TokenEndpoint)
	now, errNow := url.Parse(endpoint)
	if errThen == nil && errNow == nil && network.SameOrigin(then, now) {
		return nil
	}
	return fault.Newf("server-changed", "Ask the EHR's operator whether that is right. If it is, connect again.",
		"The server now names %s for what %s did when you signed in, so no token is sent there.", network.Clean(endpoint, 200), network.Clean(o.TokenEndpoint, 200))
}

func grantBinding(column, id string) vault.Binding {
	return vault.Binding{Table: "grants", Column: column, Row: id}
}

// connection finds the registration and the grant that ref names: a
// connection's id, or a registration's name or id. For a registration it is
// the standalone grant and, where there is none, that of the latest EHR
// launch. Faults: registration-not-found, not-connected.
func (w *Workstation) connection(ctx context.Context, who *seat, ref string) (store.Registration, store.Grant, error) {
	g, err := w.store.Grant(ctx, store.GrantParams{ID: ref, ProfileID: who.profile.ID})
	if err == nil {
		reg, err := w.store.Registration(ctx, g.RegistrationID)
		return reg, g, err
	}
	if !errors.Is(err, store.ErrNoRow) {
		return store.Registration{}, g, err
	}
	reg, err := w.registrationRow(ctx, ref)
	if err != nil {
		return reg, g, err
	}
	key := store.StandaloneGrantParams{RegistrationID: reg.ID, ProfileID: who.profile.ID}
	if g, err = w.store.StandaloneGrant(ctx, key); errors.Is(err, store.ErrNoRow) {
		g, err = w.store.LatestLaunchGrant(ctx, store.LatestLaunchGrantParams(key))
	}
	if errors.Is(err, store.ErrNoRow) {
		err = notConnected(reg)
	}
	return reg, g, err
}

func notConnected(reg store.Registration) *fault.Error {
	return fault.Newf("not-connected", "Connect first.", "%s is not connected.", reg.Name)
}

// reread gives the grant as it is stored now. Where a new sign-in has taken
// the place of a standalone grant, it is that one.
func (w *Workstation) reread(ctx context.Context, reg store.Registration, g store.Grant) (store.Grant, error) {
	now, err := w.store.Grant(ctx, store.GrantParams{ID: g.ID, ProfileID: g.ProfileID})
	if errors.Is(err, store.ErrNoRow) && g.Kind == standalone {
		now, err = w.store.StandaloneGrant(ctx, store.StandaloneGrantParams{RegistrationID: reg.ID, ProfileID: g.ProfileID})
	}
	if errors.Is(err, store.ErrNoRow) {
		err = notConnected(reg)
	}
	return now, err
}

// sealGrant seals what a token answer brought, for the grant with this id.
func (w *Workstation) sealGrant(ctx context.Context, owner, id string, access, refresh secret.Value, c grantContext) (a, r, cx []byte, err error) {
	k, err := w.dataKey(ctx, owner)
	if err != nil {
		return nil, nil, nil, err
	}
	return sealGrantWith(k, id, access, refresh, c)
}

func sealGrantWith(k *vault.DataKey, id string, access, refresh secret.Value, c grantContext) (a, r, cx []byte, err error) {
	if a, err = k.Seal(grantBinding("access_token", id), access); err != nil {
		return nil, nil, nil, err
	}
	if !refresh.IsEmpty() {
		if r, err = k.Seal(grantBinding("refresh_token", id), refresh); err != nil {
			return nil, nil, nil, err
		}
	}
	cx, err = sealContextWith(k, id, c)
	return a, r, cx, err
}

func (w *Workstation) sealContext(ctx context.Context, owner, id string, c grantContext) ([]byte, error) {
	k, err := w.dataKey(ctx, owner)
	if err != nil {
		return nil, err
	}
	return sealContextWith(k, id, c)
}

func sealContextWith(k *vault.DataKey, id string, c grantContext) ([]byte, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return k.Seal(grantBinding("context", id), secret.New(text))
}

func (w *Workstation) openContext(ctx context.Context, g store.Grant) (grantContext, error) {
	var c grantContext
	text, err := w.open(ctx, g.ProfileID, grantBinding("context", g.ID), g.Context)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(text.Reveal()), &c); err != nil {
		return c, fault.New("vault-damaged", "The stored context of a grant cannot be read.", "Disconnect and connect again.").Because(err)
	}
	return c, nil
}

// openToken opens one token of a grant; no blob is no token.
func (w *Workstation) openToken(ctx context.Context, g store.Grant, column string, blob []byte) (secret.Value, error) {
	if len(blob) == 0 {
		return secret.Value{}, nil
	}
	return w.open(ctx, g.ProfileID, grantBinding(column, g.ID), blob)
}

// clientAuth gives how the registration's client proves itself, with its secret opened.
func (w *Workstation) clientAuth(ctx context.Context, reg store.Registration) (smart.ClientAuth, error) {
	auth := smart.ClientAuth{Type: smart.ClientType(reg.ClientType), ClientID: reg.ClientID, Method: smart.AuthMethod(reg.AuthMethod)}
	switch auth.Type {
	case smart.ConfidentialAsymmetric:
		return w.keyAuth(ctx, reg, auth)
	case smart.ConfidentialSymmetric:
	default:
		return auth, nil
	}
	clientSecret, err := w.open(ctx, workstationOwner, secretBinding(reg), reg.ClientSecret)
	if err != nil {
		return auth, err
	}
	auth.Secret = clientSecret
	return auth, nil
}

func expiryMillis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

// storedFault reads a fault that stands in a row; "" is none.
func storedFault(text string) *fault.Error {
	if text == "" {
		return nil
	}
	f := &fault.Error{}
	if err := json.Unmarshal([]byte(text), f); err != nil {
		f = fault.New("store-damaged", "What went wrong the last time can no longer be read.", "Test the connection.").Because(err)
	}
	return f
}

func faultText(f *fault.Error) (string, error) {
	b, err := json.Marshal(f)
	return string(b), err
}
