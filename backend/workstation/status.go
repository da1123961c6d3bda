package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// State says what a connection can do now.
type State string

// The states of a connection.
const (
	NotConnected State = "not_connected"
	Connected    State = "connected"
	// Expired: the access token has run out and a refresh can be tried.
	Expired State = "expired"
	// NeedsReconnect: only a new sign-in helps.
	NeedsReconnect State = "needs_reconnect"
)

// LastTest is the outcome of the latest test.
type LastTest struct {
	At    time.Time `json:"at" ts_type:"string"`
	OK    bool      `json:"ok"`
	Layer string    `json:"layer"`
}

// Status is what is known of one connection, from the stored grant and the
// clock alone: nothing is asked of the server.
type Status struct {
	ConnectionID     *string `json:"connection_id"`
	RegistrationID   string  `json:"registration_id"`
	RegistrationName string  `json:"registration_name"`
	User             string  `json:"user"`
	// Kind is "standalone", "launch" for a grant from an EHR launch, or "backend" for a backend service, which needs no sign-in.
	Kind string `json:"kind"`
	// Accepted is false for a launch that no person started, until somebody has looked whose it is.
	Accepted bool `json:"accepted"`
	// Launch is what the EHR said of its launch; null for a standalone connection.
	Launch *LaunchDetails `json:"launch"`
	State  State          `json:"state" ts_type:"string"`
	// AccessExpiresAt is when the access token runs out; null where there is none or the server did not say.
	AccessExpiresAt *time.Time `json:"access_expires_at" ts_type:"string"`
	// Refreshable tells whether access can be renewed without a sign-in.
	Refreshable bool `json:"refreshable"`
	// AccessEndsAt is when a new sign-in will be needed; null where that is not known.
	AccessEndsAt     *time.Time `json:"access_ends_at" ts_type:"string"`
	AccessEndsReason string     `json:"access_ends_reason"`
	ScopesRequested  []string   `json:"scopes_requested"`
	ScopesGranted    []string   `json:"scopes_granted"`
	// ScopesNote says in a sentence how the granted differ from the requested in meaning; "" where they do not.
	ScopesNote  string  `json:"scopes_note"`
	Patient     *string `json:"patient"`
	PatientName *string `json:"patient_name"`
	Encounter   *string `json:"encounter"`
	FHIRUser    *string `json:"fhir_user"`
	UserName    *string `json:"user_name"`
	// IdentityLocked tells that patient and user are not shown because the vault is locked.
	IdentityLocked bool `json:"identity_locked"`
	// Warnings are what was odd about the sign-in, a sentence each.
	Warnings    []string     `json:"warnings"`
	FHIRBaseURL string       `json:"fhir_base_url"`
	ConnectedAt *time.Time   `json:"connected_at" ts_type:"string"`
	RefreshedAt *time.Time   `json:"refreshed_at" ts_type:"string"`
	LastTest    *LastTest    `json:"last_test"`
	LastError   *fault.Error `json:"last_error"`
	// Waiting is a sign-in with another account than the last time, which is not used until it is accepted; null where there is none.
	Waiting *OtherAccount `json:"waiting"`
}

// Outline is a status without whom it concerns.
type Outline struct {
	State         State    `json:"state"`
	ScopesGranted []string `json:"scopes_granted"`
	ScopesNote    string   `json:"scopes_note"`
	Refreshable   bool     `json:"refreshable"`
	// AccessEnds says when a new sign-in will be needed, and why.
	AccessEnds string `json:"access_ends"`
}

// Outline gives the status for people who are not to know whom it concerns.
func (s Status) Outline() Outline {
	o := Outline{State: s.State, ScopesGranted: s.ScopesGranted, ScopesNote: s.ScopesNote, Refreshable: s.Refreshable, AccessEnds: s.AccessEndsReason}
	if s.AccessEndsAt != nil {
		o.AccessEnds = s.AccessEndsAt.Format("2006-01-02 15:04 MST") + ". " + o.AccessEnds
	}
	return o
}

// OtherAccount is whose connection waits to be accepted.
type OtherAccount struct {
	ConnectionID string    `json:"connection_id"`
	FHIRUser     *string   `json:"fhir_user"`
	UserName     *string   `json:"user_name"`
	Patient      *string   `json:"patient"`
	PatientName  *string   `json:"patient_name"`
	ConnectedAt  time.Time `json:"connected_at" ts_type:"string"`
	// LastUser is whose account it was the last time: its fhirUser, or its subject where the server told no fhirUser.
	LastUser *string `json:"last_user"`
}

// LaunchDetails is the launch context beside patient, encounter and user
// (SMART App Launch 2.2, "Launch context").
type LaunchDetails struct {
	Intent            string                  `json:"intent"`
	NeedPatientBanner *bool                   `json:"need_patient_banner"`
	SmartStyleURL     string                  `json:"smart_style_url"`
	Tenant            string                  `json:"tenant"`
	FHIRContext       []smart.FHIRContextItem `json:"fhir_context"`
	// Extra are members that SMART does not define, such as __epic.dstu2.patient.
	Extra map[string]json.RawMessage `json:"extra" ts_type:"any"`
}

// Status gives the status of one connection: by its id, or of a
// registration's standalone one by the registration's name or id.
func (w *Workstation) Status(ctx context.Context, ref string) (s Status, err error) {
	err = w.as(ctx, "Status", func(ctx context.Context, who *seat) error {
		s, err = w.statusOf(ctx, who, ref)
		return err
	})
	return s, err
}

func (w *Workstation) statusOf(ctx context.Context, who *seat, ref string) (Status, error) {
	if g, err := w.store.Grant(ctx, store.GrantParams{ID: ref, ProfileID: who.profile.ID}); err == nil && (g.Kind == ehrLaunch || !g.Accepted) {
		reg, err := w.store.Registration(ctx, g.RegistrationID)
		if err != nil {
			return Status{}, err
		}
		return w.grantStatus(ctx, who, reg, g, !w.mayShow(ctx, who)), nil
	} else if err == nil {
		ref = g.RegistrationID
	} else if !errors.Is(err, store.ErrNoRow) {
		return Status{}, err
	}
	row, err := w.registrationRow(ctx, ref)
	if err != nil {
		return Status{}, err
	}
	all, err := w.statuses(ctx, who, []store.Registration{row})
	if err != nil {
		return Status{}, err
	}
	return all[0], nil
}

// LaunchStatuses gives the status of every connection that an EHR launch
// made, the latest first. ref limits them to one registration; "" is all.
func (w *Workstation) LaunchStatuses(ctx context.Context, ref string) (out []Status, err error) {
	err = w.as(ctx, "LaunchStatuses", func(ctx context.Context, who *seat) error {
		out, err = w.launchStatuses(ctx, who, ref)
		return err
	})
	return out, err
}

func (w *Workstation) launchStatuses(ctx context.Context, who *seat, ref string) ([]Status, error) {
	regs := map[string]store.Registration{}
	if ref != "" {
		reg, err := w.registrationRow(ctx, ref)
		if err != nil {
			return nil, err
		}
		regs[reg.ID] = reg
	} else {
		rows, err := w.store.Registrations(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			regs[row.ID] = row
		}
	}
	grants, err := w.store.GrantsOfProfile(ctx, who.profile.ID)
	if err != nil {
		return nil, err
	}
	locked := len(grants) > 0 && !w.mayShow(ctx, who)
	out := []Status{}
	for _, g := range slices.Backward(grants) {
		if reg, ok := regs[g.RegistrationID]; ok && g.Kind == ehrLaunch {
			out = append(out, w.grantStatus(ctx, who, reg, g, locked))
		}
	}
	return out, nil
}

func (w *Workstation) grantStatus(ctx context.Context, who *seat, reg store.Registration, g store.Grant, locked bool) Status {
	s := blankStatus(who, reg)
	w.fillGrant(ctx, &s, reg, g, locked)
	return s
}

func blankStatus(who *seat, reg store.Registration) Status {
	return Status{
		RegistrationID: reg.ID, RegistrationName: reg.Name, User: who.profile.Name, Kind: standalone, Accepted: true, State: NotConnected, FHIRBaseURL: reg.FHIRBaseURL,
		ScopesRequested: []string{}, ScopesGranted: []string{}, Warnings: []string{},
	}
}

// Statuses gives the status of every registration's standalone connection,
// by name. A locked vault hides whom a connection concerns and nothing else.
func (w *Workstation) Statuses(ctx context.Context) (out []Status, err error) {
	err = w.as(ctx, "Statuses", func(ctx context.Context, who *seat) error {
		rows, err := w.store.Registrations(ctx)
		if err != nil {
			return err
		}
		out, err = w.statuses(ctx, who, rows)
		return err
	})
	return out, err
}

func (w *Workstation) statuses(ctx context.Context, who *seat, regs []store.Registration) ([]Status, error) {
	grants, err := w.store.GrantsOfProfile(ctx, who.profile.ID)
	if err != nil {
		return nil, err
	}
	byReg := make(map[string]store.Grant, len(grants))
	waiting := map[string]store.Grant{}
	for _, g := range grants {
		switch {
		case g.Kind == standalone && g.Accepted:
			byReg[g.RegistrationID] = g
		case g.Kind == standalone:
			waiting[g.RegistrationID] = g
		}
	}
	tests, err := w.store.TestReportsOfProfile(ctx, who.profile.ID)
	if err != nil {
		return nil, err
	}
	testByReg := make(map[string]*LastTest, len(tests))
	for _, t := range tests {
		testByReg[t.RegistrationID] = &LastTest{At: fromMillis(t.StartedAt), OK: t.OK, Layer: t.Layer}
	}
	failures, err := w.store.ConnectFailures(ctx, who.profile.ID)
	if err != nil {
		return nil, err
	}
	failureByReg := make(map[string]*fault.Error, len(failures))
	for _, f := range failures {
		failureByReg[f.RegistrationID] = storedFault(f.Error)
	}
	locked := len(grants) > 0 && !w.mayShow(ctx, who)
	out := make([]Status, len(regs))
	for i, reg := range regs {
		s := blankStatus(who, reg)
		s.LastTest, s.LastError = testByReg[reg.ID], failureByReg[reg.ID]
		if reg.Kind == KindBackend {
			if err := w.fillService(ctx, &s, reg); err != nil {
				return nil, err
			}
		}
		if g, ok := byReg[reg.ID]; ok {
			w.fillGrant(ctx, &s, reg, g, locked)
		}
		if g, ok := waiting[reg.ID]; ok {
			other := w.grantStatus(ctx, who, reg, g, locked)
			s.Waiting = &OtherAccount{ConnectionID: g.ID, FHIRUser: other.FHIRUser, UserName: other.UserName, Patient: other.Patient, PatientName: other.PatientName, ConnectedAt: fromMillis(g.ConnectedAt)}
			if !other.IdentityLocked {
				if s.Waiting.LastUser, err = w.lastUser(ctx, g); err != nil {
					return nil, err
				}
			}
		}
		out[i] = s
	}
	return out, nil
}

func (w *Workstation) fillGrant(ctx context.Context, s *Status, reg store.Registration, g store.Grant, locked bool) {
	s.ConnectionID, s.FHIRBaseURL, s.Kind, s.Accepted = &g.ID, g.FHIRBaseURL, g.Kind, g.Accepted
	s.ConnectedAt = optionalTime(&g.ConnectedAt)
	s.RefreshedAt = optionalTime(g.RefreshedAt)
	s.AccessExpiresAt = optionalTime(g.AccessExpiresAt)
	s.Refreshable = renewable(g) && g.Ended == ""
	s.ScopesRequested, s.ScopesGranted = strings.Fields(g.ScopesRequested), strings.Fields(g.ScopesGranted)
	s.ScopesNote = compareScopes(g).Note()
	if f := storedFault(g.LastError); f != nil {
		s.LastError = f
	}
	s.State = w.stateOf(g)
	s.AccessEndsAt, s.AccessEndsReason = accessEnd(reg, g)
	if locked {
		s.IdentityLocked = true
		return
	}
	c, err := w.openContext(ctx, g)
	if err != nil {
		s.IdentityLocked = true
		s.LastError = Fault(err)
		return
	}
	s.Patient, s.PatientName = optional(c.Patient), optional(c.PatientName)
	s.Encounter = optional(c.Encounter)
	s.FHIRUser, s.UserName = optional(c.FHIRUser), optional(c.UserName)
	s.Warnings = append(s.Warnings, c.Warnings...)
	if g.Kind == ehrLaunch {
		s.Launch = &LaunchDetails{
			Intent: c.Intent, NeedPatientBanner: c.NeedPatientBanner, SmartStyleURL: c.SmartStyleURL, Tenant: c.Tenant, FHIRContext: c.FHIRContext, Extra: c.Extra,
		}
	}
}

func (w *Workstation) stateOf(g store.Grant) State {
	switch {
	case g.Ended != "":
		return NeedsReconnect
	case g.AccessExpiresAt == nil || (w.now().Before(fromMillis(*g.AccessExpiresAt)) && !w.live.ranOut(g, 0)):
		return Connected
	case renewable(g):
		return Expired
	}
	return NeedsReconnect
}

// accessEnd tells when a new sign-in will be needed, as far as it can be known:
// from what the server told, or from what its operator did.
func accessEnd(reg store.Registration, g store.Grant) (*time.Time, string) {
	switch {
	case g.Ended != "":
		return nil, g.Ended
	case !renewable(g) && g.AccessExpiresAt == nil:
		return nil, "The EHR did not say how long the access lasts, and gave no refresh token."
	case !renewable(g):
		return optionalTime(g.AccessExpiresAt), "The EHR gave no refresh token, so access ends with the access token."
	case g.RefreshExpiresAt != nil:
		return optionalTime(g.RefreshExpiresAt), "The EHR said how long its refresh token lasts; each refresh may bring a new one."
	case reg.AccessPeriodDays > 0 && reg.AccessPeriodRolling:
		from := g.ConnectedAt
		if g.RefreshedAt != nil {
			from = *g.RefreshedAt
		}
		end := fromMillis(from).AddDate(0, 0, int(reg.AccessPeriodDays))
		return &end, fmt.Sprintf("By the access period of the registration: %d days from the last refresh.", reg.AccessPeriodDays)
	case reg.AccessPeriodDays > 0:
		end := fromMillis(g.ConnectedAt).AddDate(0, 0, int(reg.AccessPeriodDays))
		return &end, fmt.Sprintf("By the access period of the registration: %d days from the sign-in.", reg.AccessPeriodDays)
	}
	if len(g.Instance) > 0 {
		return nil, "Access is renewed with this workstation's own key, for as long as was allowed at the sign-in, and how long that is is not known."
	}
	return nil, "Access is renewed with a refresh token, and how long that lasts is not known."
}

func optionalTime(ms *int64) *time.Time {
	if ms == nil {
		return nil
	}
	t := fromMillis(*ms)
	return &t
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// recordGrantError keeps why a use of the grant failed. ended is why only a
// new sign-in helps, or "". It concerns the token that was used: where that is
// not the stored one any more, nothing is recorded, and it tells false.
func (w *Workstation) recordGrantError(ctx context.Context, g store.Grant, ended string, cause error) (bool, error) {
	text, err := faultText(Fault(cause))
	if err != nil {
		return false, err
	}
	if ended == "" {
		ended = g.Ended
	}
	n, err := w.store.SetGrantError(ctx, store.SetGrantErrorParams{Ended: ended, LastError: text, ID: g.ID, ReadVersion: g.Version})
	return n > 0, err
}

// recordConnectFailure keeps why the last sign-in failed, for the status of a
// registration that has no grant.
func (w *Workstation) recordConnectFailure(ctx context.Context, who *seat, registrationID string, cause error) error {
	text, err := faultText(Fault(cause))
	if err != nil {
		return err
	}
	return w.store.SaveConnectFailure(ctx, store.SaveConnectFailureParams{RegistrationID: registrationID, ProfileID: who.profile.ID, Error: text, At: w.now().UnixMilli()})
}
