package workstation

import (
	"context"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/scope"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// ScopeAdvice is what to know of a registration's scopes: what is asked for
// by whom, what each scope means, what the server says of it, and what was
// granted the last time.
type ScopeAdvice struct {
	RegistrationID   string `json:"registration_id"`
	RegistrationName string `json:"registration_name"`
	// Audience is who signs in at a connect: "patient" or "provider"; "" for a backend service.
	Audience      string `json:"audience"`
	ScopesDefault bool   `json:"scopes_default"`
	OfflineAccess bool   `json:"offline_access"`
	PatientNeeded bool   `json:"patient_needed"`
	// Version is the SMART grammar that the defaults are written in, 1 or 2, and VersionReason a sentence on why.
	Version       int    `json:"version"`
	VersionReason string `json:"version_reason"`
	// Sets are those of a patient, of a provider and of an EHR launch, or the one of a backend service.
	Sets []ScopeSet `json:"sets"`
	// Warnings concern the registration as a whole, a sentence each.
	Warnings []string `json:"warnings"`
	// Granted is what was granted last; null without a connection.
	Granted *GrantedScopes `json:"granted"`
}

// ScopeSet is what is asked for in one context.
type ScopeSet struct {
	Context string `json:"context"` // patient | provider | launch | backend
	// Asked tells that a connect of this registration asks for this set. A launch asks for that of the launch.
	Asked bool `json:"asked"`
	// Default is false where the registration names the scopes itself.
	Default bool        `json:"default"`
	Scopes  []ScopeLine `json:"scopes"`
	// Warnings are what to think over before the set is asked for, a sentence each.
	Warnings []string `json:"warnings"`
}

// ScopeLine is one scope with what it means and what the server says of it.
type ScopeLine struct {
	Scope   string `json:"scope"`
	Meaning string `json:"meaning"` // one sentence
	// Supported is listed, not_listed or not_told, and SupportedReason a sentence on why.
	Supported       scope.Support `json:"supported" ts_type:"string"`
	SupportedReason string        `json:"supported_reason"`
}

// GrantedScopes is what the latest sign-in was granted, beside what it asked for.
type GrantedScopes struct {
	ConnectionID string           `json:"connection_id"`
	Kind         string           `json:"kind"` // standalone | launch
	ConnectedAt  time.Time        `json:"connected_at" ts_type:"string"`
	Requested    []string         `json:"requested"`
	Granted      []GrantedScope   `json:"granted"`
	Difference   scope.Difference `json:"difference"`
}

// GrantedScope is one granted scope with what it means.
type GrantedScope struct {
	Scope   string `json:"scope"`
	Meaning string `json:"meaning"`
}

// ScopeAdvice explains the scopes of a registration. Nothing is asked of the
// server: what it says is what it said at the last test or sign-in.
// Fault: registration-not-found.
func (w *Workstation) ScopeAdvice(ctx context.Context, ref string) (advice ScopeAdvice, err error) {
	err = w.as(ctx, "ScopeAdvice", func(ctx context.Context, who *seat) error {
		advice, err = w.scopeAdvice(ctx, who, ref)
		return err
	})
	return advice, err
}

func (w *Workstation) scopeAdvice(ctx context.Context, who *seat, ref string) (ScopeAdvice, error) {
	row, err := w.registrationRow(ctx, ref)
	if err != nil {
		return ScopeAdvice{}, err
	}
	cached, err := w.cachedDiscovery(ctx, row.FHIRBaseURL)
	if err != nil {
		return ScopeAdvice{}, err
	}
	out := adviseScopes(row, cached)
	_, g, err := w.connection(ctx, who, row.ID)
	switch {
	case fault.Code(err) == "not-connected":
	case err != nil:
		return ScopeAdvice{}, err
	default:
		out.Granted = grantedScopes(g)
	}
	return out, nil
}

func adviseScopes(row store.Registration, cached *smart.Configuration) ScopeAdvice {
	var cfg smart.Configuration
	if cached != nil {
		cfg = *cached
	}
	out := ScopeAdvice{
		RegistrationID: row.ID, RegistrationName: row.Name, Audience: row.Audience, ScopesDefault: row.Scopes == "", OfflineAccess: row.OfflineAccess, PatientNeeded: row.PatientNeeded,
		Version: int(cfg.ScopeVersion()), VersionReason: versionReason(row, cached), Warnings: []string{},
	}
	if row.Kind == KindBackend {
		set := effectiveScopes(row, cfg)
		out.Audience = ""
		out.Sets = []ScopeSet{{Context: KindBackend, Asked: true, Default: row.Scopes == "", Scopes: scopeLines(set, cfg), Warnings: set.Warnings(scope.NoUser, false)}}
		if why := otherGrammar(set, cfg); why != "" {
			out.Warnings = append(out.Warnings, why+" Some servers drop such scopes without a word.")
		}
		return out
	}
	for _, audience := range []string{"patient", "provider"} {
		as := forAudience(row, audience)
		set := effectiveScopes(as, cfg)
		out.Sets = append(out.Sets, ScopeSet{
			Context: audience, Asked: audience == row.Audience, Default: as.Scopes == "", Scopes: scopeLines(set, cfg), Warnings: setWarnings(row, set, audience, false),
		})
	}
	set := effectiveScopes(row, cfg).ForLaunch()
	out.Sets = append(out.Sets, ScopeSet{Context: "launch", Default: row.Scopes == "", Scopes: scopeLines(set, cfg), Warnings: setWarnings(row, set, row.Audience, true)})

	if why := offlineLeftOut(row, cfg); why != "" {
		out.Warnings = append(out.Warnings, why)
	}
	for _, p := range publish(row, cfg, "").Input().checkOwnScopes(scope.Grammar(strings.Fields(row.Scopes))) {
		if p.Field != "scopes" { // those stand with their set
			out.Warnings = append(out.Warnings, p.Message+" "+p.Advice)
		}
	}
	if why := otherGrammar(scope.Grammar(strings.Fields(row.Scopes)), cfg); why != "" {
		out.Warnings = append(out.Warnings, why+" Some servers drop such scopes without a word.")
	}
	return out
}

func setWarnings(row store.Registration, set scope.Set, audience string, launch bool) []string {
	out := set.Warnings(audience, launch)
	if set.Mixed() && row.EHR == "epic" {
		out = append(out, "Epic grants by who signs in: patient/ to a patient, user/ to a clinician. The other half is refused, or left out without a word.")
	}
	return out
}

func scopeLines(set scope.Set, cfg smart.Configuration) []ScopeLine {
	out := make([]ScopeLine, len(set))
	for i, s := range set {
		supported, why := supportOf(s, cfg)
		out[i] = ScopeLine{s.Text, scope.Explain(s), supported, why}
	}
	return out
}

// supportOf tells what a server says of a scope: by its list of scopes, and
// by its capabilities, which often tell more.
func supportOf(s scope.Scope, cfg smart.Configuration) (scope.Support, string) {
	switch cfg.Source {
	case "":
		return scope.NotTold, "The server has not been asked yet; a test asks it."
	case smart.FromCapabilityStatement:
		return scope.NotTold, "The server is known from its CapabilityStatement alone, which tells no scopes."
	}
	support := scope.Grammar(cfg.ScopesSupported).Supports(s)
	if support == scope.Listed {
		return support, "The server lists it, or one that covers it, in scopes_supported."
	}
	capability := needOf(s).capability
	switch {
	case s.Text == "launch":
		capability = "launch-ehr"
	case s.Text == "fhirUser" || s.Text == "profile":
		capability = "sso-openid-connect"
	}
	declares := func(prefix string) bool {
		return slices.ContainsFunc(cfg.Capabilities, func(c string) bool { return strings.HasPrefix(c, prefix) })
	}
	switch {
	case capability == "":
	case s.Kind != scope.Resource && cfg.Has(capability):
		return scope.Listed, "The server lists the capability " + capability + "."
	// One context of two, or one duration of two, is a choice that the server has made.
	case s.Kind == scope.Resource && !cfg.Has(capability) && (cfg.Has("permission-patient") || cfg.Has("permission-user")),
		s.Kind == scope.Duration && declares("permission-"):
		return scope.NotListed, "The server lists other capabilities and not " + capability + "."
	}
	if support == scope.NotListed {
		return support, "The server lists other scopes of this kind. Its list need not be full, so it may grant this one all the same."
	}
	return support, "The server lists no scopes of this kind, so it may grant it."
}

func versionReason(row store.Registration, cached *smart.Configuration) string {
	reason := "SMART 2, because the server does not say which it knows."
	switch {
	case cached == nil:
		reason = "SMART 2, until the server has been asked; a test asks it."
	case cached.Source == smart.FromCapabilityStatement:
		reason = "SMART 1, because the server is known from its CapabilityStatement alone, as servers of SMART 1 are."
	case cached.ScopeVersion() == scope.V1:
		reason = "SMART 1, because the server lists permission-v1 and not permission-v2."
	case cached.Has("permission-v2"):
		reason = "SMART 2, because the server lists permission-v2."
	}
	if row.EHR == "epic" {
		reason += " At Epic it is also a setting of the app's registration: choose the same there."
	}
	return reason
}

func grantedScopes(g store.Grant) *GrantedScopes {
	out := &GrantedScopes{
		ConnectionID: g.ID, Kind: g.Kind, ConnectedAt: fromMillis(g.ConnectedAt), Requested: strings.Fields(g.ScopesRequested), Granted: []GrantedScope{}, Difference: compareScopes(g),
	}
	for _, s := range scope.Grammar(strings.Fields(g.ScopesGranted)) {
		out.Granted = append(out.Granted, GrantedScope{s.Text, scope.Explain(s)})
	}
	return out
}

// compareScopes tells how what a grant was given differs from what was asked
// for. A refresh token is what offline_access is for, and at Epic it comes
// without the scope being named (smart-on-fhir/client-js issue 138).
func compareScopes(g store.Grant) scope.Difference {
	asked, granted := scope.Grammar(strings.Fields(g.ScopesRequested)), scope.Grammar(strings.Fields(g.ScopesGranted))
	if lasts := func(s scope.Scope) bool { return s.Kind == scope.Duration }; renewable(g) && !slices.ContainsFunc(granted, lasts) {
		granted = append(granted, slices.DeleteFunc(slices.Clone(asked), func(s scope.Scope) bool { return !lasts(s) })...)
	}
	return scope.Compare(asked, granted)
}
