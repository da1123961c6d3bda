package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/diagnose"
	"chartkey/backend/fault"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// Diagnosed is the last failure of a registration, and what it probably is.
type Diagnosed struct {
	RegistrationID string        `json:"registration_id"`
	At             time.Time     `json:"at" ts_type:"string"`
	Error          *fault.Error  `json:"error"`
	Stage          string        `json:"stage"`
	Causes         []LikelyCause `json:"causes"`
	// Probed are the probes that were run for it.
	Probed []string `json:"probed"`
	// Askable are those that could still tell its causes apart.
	Askable []string `json:"askable"`
}

// LikelyCause is a cause, with the words of a button where Chartkey can mend it.
type LikelyCause struct {
	diagnose.Cause
	Button string `json:"button"`
}

func failureBinding(registrationID, profileID string) vault.Binding {
	return vault.Binding{Table: "failure", Column: "facts", Row: registrationID + " " + profileID}
}

// keepFailure keeps what was seen of a failure, for its diagnosis. A success
// takes it away again. It never hides the failure itself.
func (w *Workstation) keepFailure(ctx context.Context, who store.Profile, registrationID string, during diagnose.Stage, request diagnose.RequestFacts, cause error) {
	f := Fault(cause)
	if f.Code == "cancelled" || f.Code == codeAccountChanged || f.Code == "sign-in-abandoned" {
		return
	}
	ctx = context.WithoutCancel(ctx)
	reg, err := w.store.Registration(ctx, registrationID)
	if err != nil {
		return
	}
	facts := w.facts(ctx, who, reg, during, f)
	facts.Request.Resource, facts.Request.Search, facts.Request.EHRLaunch = request.Resource, request.Search, request.EHRLaunch
	if request.RedirectURI != "" {
		facts.Request.RedirectURI = request.RedirectURI
	}
	if len(request.Scopes) > 0 {
		facts.Request.Scopes = request.Scopes
	}
	observationOf(ctx).fill(&facts)
	if err := w.saveFacts(ctx, who.ID, reg.ID, facts, w.now().UnixMilli()); err != nil {
		w.log.Info("what was seen of a failure could not be kept", "code", fault.Code(err))
	}
}

func (w *Workstation) saveFacts(ctx context.Context, profileID, registrationID string, facts diagnose.Facts, at int64) error {
	text, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	if k := w.heldDataKey(profileID); k == nil {
		return errLocked() // a failure makes no vault, and opens none
	}
	sealed, err := w.seal(ctx, profileID, failureBinding(registrationID, profileID), secret.Own(text))
	if err != nil {
		return err
	}
	return w.store.SaveFailure(ctx, store.SaveFailureParams{RegistrationID: registrationID, ProfileID: profileID, Facts: sealed, At: at})
}

// forgetFailure is called after a success.
func (w *Workstation) forgetFailure(ctx context.Context, profileID, registrationID string) {
	if err := w.store.DeleteFailure(context.WithoutCancel(ctx), store.DeleteFailureParams{RegistrationID: registrationID, ProfileID: profileID}); err != nil {
		w.log.Warn("an old failure could not be forgotten", "error", err)
	}
}

// facts gives what is known of a registration when it fails.
func (w *Workstation) facts(ctx context.Context, who store.Profile, reg store.Registration, during diagnose.Stage, f *fault.Error) diagnose.Facts {
	now := w.now()
	out := diagnose.Facts{Stage: diagnose.StageOf(f.Code, during), Fault: diagnose.FaultFacts{Code: f.Code, Message: f.Message}}
	out.Registration = diagnose.RegistrationFacts{
		EHR: reg.EHR, Environment: reg.Environment, FHIRBaseURL: reg.FHIRBaseURL, ClientID: reg.ClientID, ClientType: reg.ClientType, Audience: reg.Audience, RedirectURIs: redirectURIs(reg),
	}
	if s, err := w.openClientSecret(ctx, reg); err == nil {
		out.Registration.Secret = diagnose.ShapeOf(s.Reveal(), reg.ClientID)
	}
	if _, err := w.store.SigningKey(ctx, reg.ID); err == nil {
		out.Registration.Key = true
	}
	out.Request.AuthMethod = reg.AuthMethod
	if out.Request.Service = reg.Kind == KindBackend; !out.Request.Service {
		out.Request.RedirectURI = redirectURIs(reg)[0]
	}
	var cfg smart.Configuration
	if cached, err := w.cachedDiscovery(ctx, reg.FHIRBaseURL); err == nil && cached != nil {
		cfg = *cached
		out.Discovery = diagnose.DiscoveryFacts{
			Known: true, FromMetadata: cfg.Source == smart.FromCapabilityStatement, Issuer: cfg.Issuer, AuthorizationEndpoint: cfg.AuthorizationEndpoint, TokenEndpoint: cfg.TokenEndpoint,
			JWKSURI: cfg.JWKSURI, RevocationEndpoint: cfg.RevocationEndpoint, Capabilities: cfg.Capabilities, ScopesSupported: cfg.ScopesSupported, GrantTypes: cfg.GrantTypesSupported,
			ChallengeMethods: cfg.CodeChallengeMethodsSupported, AuthMethods: cfg.TokenEndpointAuthMethodsSupported, Age: now.Sub(cfg.FetchedAt),
		}
	}
	out.Request.Scopes = effectiveScopes(reg, cfg).Strings()
	out.History = diagnose.HistoryFacts{Age: now.Sub(fromMillis(reg.CreatedAt)), SinceEdit: now.Sub(fromMillis(reg.UpdatedAt))}
	if g, err := w.store.StandaloneGrant(ctx, store.StandaloneGrantParams{RegistrationID: reg.ID, ProfileID: who.ID}); err == nil {
		last := g.ConnectedAt
		if g.RefreshedAt != nil {
			last = *g.RefreshedAt
		}
		out.History.Connected, out.History.SinceSuccess, out.History.SameValues = true, now.Sub(fromMillis(last)), reg.UpdatedAt <= last
		out.History.AnswerLost = g.RefreshBegan != nil
		granted := scope.Grammar(strings.Fields(g.ScopesGranted))
		out.Grant = diagnose.GrantFacts{Known: true, Scopes: granted.Strings(), ScopesTold: true, Refresh: renewable(g), ExpiresTold: g.AccessExpiresAt != nil}
		if c, err := w.openContext(ctx, g); err == nil {
			out.Grant.Patient, out.Grant.IDToken = c.Patient != "", c.Subject != ""
		}
	}
	out.History.OtherWorks = w.otherWorks(ctx, who, reg)
	if route, err := w.route(ctx, reg.FHIRBaseURL); err == nil {
		out.Network = diagnose.NetworkFacts{Proxy: route.Proxy, ExtraAuthorities: len(route.Authorities) > 0, ClientCertificate: route.ClientCertificate != nil}
	}
	return out
}

// otherWorks tells whether another registration at the same host is connected.
func (w *Workstation) otherWorks(ctx context.Context, who store.Profile, reg store.Registration) bool {
	regs, err := w.store.Registrations(ctx)
	if err != nil {
		return false
	}
	grants, err := w.store.GrantsOfProfile(ctx, who.ID)
	if err != nil {
		return false
	}
	for _, g := range grants {
		if g.RegistrationID == reg.ID || w.stateOf(g) != Connected {
			continue
		}
		if slices.ContainsFunc(regs, func(r store.Registration) bool {
			return r.ID == g.RegistrationID && hostOf(r.FHIRBaseURL) == hostOf(reg.FHIRBaseURL)
		}) {
			return true
		}
	}
	return false
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// Diagnose tells what the last failure of a registration probably is. With
// probe, what can be asked safely is asked first, once. Fault: no-failure.
func (w *Workstation) Diagnose(ctx context.Context, ref string, probe bool) (d Diagnosed, err error) {
	err = w.as(ctx, "Diagnose", func(ctx context.Context, who *seat) error {
		d, err = w.diagnose(ctx, who, ref, probe, "")
		return err
	})
	return d, err
}

// RecognizePage is Diagnose with what a person sees in the browser, where
// nothing came back: the text of the EHR's error page, or its address. Codes and
// tokens in it are left out before it is looked at, and it is not kept.
func (w *Workstation) RecognizePage(ctx context.Context, ref, pasted string) (d Diagnosed, err error) {
	err = w.as(ctx, "RecognizePage", func(ctx context.Context, who *seat) error {
		if strings.TrimSpace(pasted) == "" {
			return fault.New("nothing-pasted", "There is no text to look at.", "Copy the error page's text or its address from the browser.")
		}
		d, err = w.diagnose(ctx, who, ref, false, pasted)
		return err
	})
	return d, err
}

func (w *Workstation) diagnose(ctx context.Context, who *seat, ref string, probe bool, pasted string) (Diagnosed, error) {
	reg, err := w.registrationRow(ctx, ref)
	if err != nil {
		return Diagnosed{}, err
	}
	d := Diagnosed{RegistrationID: reg.ID, Causes: []LikelyCause{}, Probed: []string{}, Askable: []string{}}
	facts, at, err := w.lastFacts(ctx, who, reg)
	if fault.Code(err) == "no-failure" && pasted != "" {
		facts, at, err = w.facts(ctx, who.profile, reg, diagnose.Authorize, timedOut(DefaultConnectTimeout)), w.now().UnixMilli(), nil
	}
	if err != nil {
		return d, err
	}
	found := diagnose.Diagnose(facts)
	if pasted != "" {
		found = diagnose.Recognize(pasted, facts)
	} else if probe {
		if err := w.recorded(ctx, who.profile, probeEntry(reg), func(ctx context.Context, _ *action) error {
			w.runProbes(ctx, reg, &facts, found)
			return nil
		}); err != nil {
			return d, err
		}
		if len(facts.Probes) > 0 {
			if err := w.saveFacts(ctx, who.profile.ID, reg.ID, facts, at); err != nil {
				return d, err
			}
			found = diagnose.Diagnose(facts)
		}
	}
	d.At, d.Stage = fromMillis(at), string(found.Stage)
	d.Error = fault.New(facts.Fault.Code, facts.Fault.Message, found.First().Fix.Text)
	for id := range facts.Probes {
		d.Probed = append(d.Probed, string(id))
	}
	slices.Sort(d.Probed)
	for _, c := range found.Causes {
		d.Causes = append(d.Causes, LikelyCause{c, buttonOf(c.Fix, reg)})
		if c.Probe != "" && facts.Probes[c.Probe] == "" && !slices.Contains(d.Askable, string(c.Probe)) {
			d.Askable = append(d.Askable, string(c.Probe))
		}
	}
	return d, nil
}

// lastFacts gives what was kept of the last failure or, where that cannot be
// opened, what the status tells of it.
func (w *Workstation) lastFacts(ctx context.Context, who *seat, reg store.Registration) (diagnose.Facts, int64, error) {
	var facts diagnose.Facts
	none := fault.Newf("no-failure", "Test the connection to see how it stands.", "Nothing of %s has failed lately.", reg.Name)
	row, err := w.store.Failure(ctx, store.FailureParams{RegistrationID: reg.ID, ProfileID: who.profile.ID})
	if err == nil {
		text, err := w.open(ctx, who.profile.ID, failureBinding(reg.ID, who.profile.ID), row.Facts)
		if err != nil {
			return facts, 0, err
		}
		if err := json.Unmarshal(text.Bytes(), &facts); err != nil {
			return facts, 0, none.Because(err)
		}
		return facts, row.At, nil
	}
	if !errors.Is(err, store.ErrNoRow) {
		return facts, 0, err
	}
	s, err := w.statusOf(ctx, who, reg.ID)
	if err != nil {
		return facts, 0, err
	}
	if s.LastError == nil {
		return facts, 0, none
	}
	return w.facts(ctx, who.profile, reg, diagnose.Token, s.LastError), w.now().UnixMilli(), nil
}

// buttonOf gives the words of a button for what Chartkey itself can mend, or "".
func buttonOf(fix diagnose.Fix, reg store.Registration) string {
	switch fix.Action {
	case diagnose.TrimSecret:
		return "Trim the secret"
	case diagnose.DecodeSecret:
		return "Decode the secret"
	case diagnose.SwitchEnvironment:
		if reg.EHR == "epic" && fix.Param == "sandbox" {
			return "Use Epic's sandbox"
		}
	case diagnose.ChangeBaseURL:
		if fix.Param != "" {
			return "Use this base URL"
		}
	case diagnose.DropScope:
		if fix.Param != "" {
			return "Do not ask for it"
		}
	case diagnose.AddScope:
		if fix.Param != "" {
			return "Ask for it"
		}
	case diagnose.ChangeClientType:
		if fix.Param == string(smart.Public) || fix.Param == string(smart.ConfidentialAsymmetric) {
			return "Change the client type"
		}
	case diagnose.ChangeAudience:
		if fix.Param != "" {
			return "Sign in as a " + fix.Param
		}
	case diagnose.ChangeRedirect:
		if fix.Param != "" {
			return "Use this redirect URI"
		}
	case diagnose.DiscoverAgain:
		return "Ask the server anew"
	case diagnose.ChoosePatient:
		if reg.Audience == "provider" && !reg.PatientNeeded {
			return "Choose a patient at sign-in"
		}
	}
	return ""
}

// ApplyFix mends a cause where Chartkey can, as its button says.
// Faults: no-such-fix, and those of SaveRegistration.
func (w *Workstation) ApplyFix(ctx context.Context, ref, action, param string) (reg Registration, err error) {
	err = w.as(ctx, "ApplyFix", func(ctx context.Context, who *seat) error {
		reg, err = w.applyFix(ctx, who, ref, diagnose.Fix{Action: diagnose.Action(action), Param: param})
		return err
	})
	return reg, err
}

func (w *Workstation) applyFix(ctx context.Context, who *seat, ref string, fix diagnose.Fix) (Registration, error) {
	row, err := w.registrationRow(ctx, ref)
	if err != nil {
		return Registration{}, err
	}
	if buttonOf(fix, row) == "" {
		return Registration{}, fault.Newf("no-such-fix", "Follow the advice by hand.", "Chartkey cannot do that by itself: %s.", fix.Action)
	}
	if fix.Action == diagnose.DiscoverAgain {
		if _, err := w.discoverAnew(ctx, row.FHIRBaseURL); err != nil {
			return Registration{}, err
		}
		return w.registration(ctx, row)
	}
	current, err := w.registration(ctx, row)
	if err != nil {
		return Registration{}, err
	}
	in := current.Input()
	if err := w.mend(ctx, row, current, fix, &in); err != nil {
		return Registration{}, err
	}
	saved, _, err := w.saveRegistration(ctx, who, row.ID, in)
	if err != nil {
		return Registration{}, err
	}
	w.forgetFailure(ctx, who.profile.ID, row.ID)
	return saved, nil
}

func (w *Workstation) mend(ctx context.Context, row store.Registration, current Registration, fix diagnose.Fix, in *RegistrationInput) error {
	switch fix.Action {
	case diagnose.TrimSecret, diagnose.DecodeSecret:
		s, err := w.openClientSecret(ctx, row)
		if err != nil {
			return err
		}
		text := strings.Trim(strip(s.Reveal()), `"'`)
		if fix.Action == diagnose.DecodeSecret {
			if text, err = url.PathUnescape(text); err != nil {
				return fault.New("no-such-fix", "The secret cannot be decoded.", "Paste the secret again, as the EHR shows it.")
			}
		}
		in.ClientSecretAction, in.ClientSecret = SecretReplace, text
	case diagnose.SwitchEnvironment:
		in.Environment, in.FHIRBaseURL = "sandbox", EpicSandboxBaseURL
	case diagnose.ChangeBaseURL:
		in.FHIRBaseURL = fix.Param
	case diagnose.DropScope:
		unwanted := strings.Fields(fix.Param)
		if slices.Contains(unwanted, "offline_access") && current.ScopesDefault {
			no := false
			in.OfflineAccess = &no
			unwanted = slices.DeleteFunc(unwanted, func(s string) bool { return s == "offline_access" })
		}
		if len(unwanted) > 0 {
			in.Scopes = slices.DeleteFunc(slices.Clone(current.Scopes), func(s string) bool { return slices.Contains(unwanted, s) })
		}
	case diagnose.AddScope:
		in.Scopes = append(slices.Clone(current.Scopes), strings.Fields(fix.Param)...)
	case diagnose.ChangeClientType:
		in.ClientType = fix.Param
		if current.ClientSecret == "set" {
			in.ClientSecretAction = SecretRemove
		}
	case diagnose.ChangeAudience:
		in.Audience, in.Scopes = fix.Param, nil
	case diagnose.ChangeRedirect:
		in.RedirectURIs = []string{fix.Param}
	case diagnose.ChoosePatient:
		yes := true
		in.PatientNeeded = &yes
	}
	if in.FHIRBaseURL != current.FHIRBaseURL && current.ClientSecret == "set" && in.ClientSecretAction == SecretKeep {
		return fault.New("no-such-fix", "The client secret was for the other address, and does not go along.", "Edit the registration, and enter the secret that belongs to the new address.")
	}
	return nil
}

// openClientSecret gives a registration's secret, empty where there is none.
func (w *Workstation) openClientSecret(ctx context.Context, reg store.Registration) (secret.Value, error) {
	if len(reg.ClientSecret) == 0 || !w.vaultOpen() {
		return secret.Value{}, nil
	}
	return w.open(ctx, workstationOwner, secretBinding(reg), reg.ClientSecret)
}

// probeEntry is what the activity record says of a diagnosis that asks servers.
func probeEntry(reg store.Registration) audit.Entry {
	e := registrationEntry(audit.Test, reg)
	e.Detail = "probe"
	return e
}
