package workstation

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"chartkey/backend/fault"
	"chartkey/backend/loopback"
	"chartkey/backend/scope"
	"chartkey/backend/smart"
	"chartkey/backend/store"
)

// EpicSandboxBaseURL is the public sandbox that Epic publishes for R4
// (https://fhir.epic.com, "Sandbox Test Data").
const EpicSandboxBaseURL = "https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/"

// DefaultLaunchURL is where the EHR launch listener answers.
const DefaultLaunchURL = "http://localhost:18330/launch"

// DefaultRedirectURIs are what to register at an EHR. EHRs match the port too,
// so ports are fixed; the alternates serve when another program, or another
// sign-in, holds the first.
func DefaultRedirectURIs() []string {
	return []string{"http://localhost:18320/callback", "http://localhost:18321/callback", "http://localhost:18322/callback"}
}

// What to do with the stored client secret on Save.
const (
	SecretKeep    = "keep"
	SecretReplace = "replace"
	SecretRemove  = "remove"
)

// RegistrationInput is what a person enters. Empty optional members stand for
// their default.
type RegistrationInput struct {
	Name string `json:"name"`
	// Kind is KindApp or KindBackend; "" keeps what is stored, and is KindApp for a new registration.
	Kind               string   `json:"kind,omitempty"`
	EHR                string   `json:"ehr"`
	Environment        string   `json:"environment"`
	FHIRBaseURL        string   `json:"fhir_base_url"`
	ClientID           string   `json:"client_id"`
	ClientType         string   `json:"client_type"`
	ClientSecretAction string   `json:"client_secret_action"`
	ClientSecret       string   `json:"client_secret"`
	Audience           string   `json:"audience"`
	Scopes             []string `json:"scopes"` // empty = the default for the audience and the two choices below
	// OfflineAccess asks for access that outlasts the sign-in; null keeps what is stored, and is true for a new registration.
	OfflineAccess *bool `json:"offline_access"`
	// PatientNeeded has a provider choose a patient at the sign-in; null keeps what is stored, and is false for a new registration.
	PatientNeeded *bool    `json:"patient_needed"`
	RedirectURIs  []string `json:"redirect_uris"`
	// AccessPeriodDays is how long the EHR lets a person stay connected, where its
	// operator told; null keeps what is stored, and 0 is not known. AccessPeriodRolling
	// has it counted from the last refresh, and not from the sign-in.
	AccessPeriodDays    *int64 `json:"access_period_days"`
	AccessPeriodRolling *bool  `json:"access_period_rolling"`
}

// maxAccessPeriod is in days; Epic's own choices end at five years.
const maxAccessPeriod = 3650

// String leaves the secret out.
func (in RegistrationInput) String() string {
	return fmt.Sprintf("registration input %q", in.Name)
}

// GoString leaves the secret out.
func (in RegistrationInput) GoString() string { return in.String() }

// wantsOffline tells whether the access is to outlast the sign-in.
func (in RegistrationInput) wantsOffline() bool { return in.OfflineAccess == nil || *in.OfflineAccess }

// needsPatient tells whether a provider chooses a patient at the sign-in.
func (in RegistrationInput) needsPatient() bool { return in.PatientNeeded != nil && *in.PatientNeeded }

// accessPeriod gives the days, or 0 where they are not known.
func (in RegistrationInput) accessPeriod() int64 {
	if in.AccessPeriodDays == nil {
		return 0
	}
	return *in.AccessPeriodDays
}

// keeping fills in the stored choices where the input leaves them open.
func (in RegistrationInput) keeping(old store.Registration) RegistrationInput {
	if in.OfflineAccess == nil && !old.OfflineAccess {
		in.OfflineAccess = &old.OfflineAccess
	}
	if in.PatientNeeded == nil && old.PatientNeeded {
		in.PatientNeeded = &old.PatientNeeded
	}
	if in.AccessPeriodDays == nil {
		in.AccessPeriodDays = &old.AccessPeriodDays
	}
	if in.AccessPeriodRolling == nil {
		in.AccessPeriodRolling = &old.AccessPeriodRolling
	}
	return in
}

// FieldProblem is what is wrong, or was mended, at one field.
type FieldProblem struct {
	Field string `json:"field"`
	// Level is "error" where the value cannot be saved, and "notice" where it was or will be.
	Level   string `json:"level"`
	Message string `json:"message"`
	Advice  string `json:"advice"`
}

// InvalidInput is the cause of an invalid-registration fault: the problems by field.
type InvalidInput struct{ Problems []FieldProblem }

// Error joins the messages of the errors.
func (e *InvalidInput) Error() string {
	var texts []string
	for _, p := range e.Problems {
		if p.Level == "error" {
			texts = append(texts, p.Field+": "+p.Message)
		}
	}
	return strings.Join(texts, " ")
}

func invalid(problems []FieldProblem) error {
	cause := &InvalidInput{Problems: problems}
	var advice []string
	for _, p := range problems {
		if p.Level == "error" && p.Advice != "" && !slices.Contains(advice, p.Advice) {
			advice = append(advice, p.Advice)
		}
	}
	return fault.New("invalid-registration", cause.Error(), strings.Join(advice, " ")).Because(cause)
}

func hasErrors(problems []FieldProblem) bool {
	return slices.ContainsFunc(problems, func(p FieldProblem) bool { return p.Level == "error" })
}

// Defaults are the suggestions for a new registration.
type Defaults struct {
	FHIRBaseURL  string   `json:"fhir_base_url"`
	Scopes       []string `json:"scopes"`
	RedirectURIs []string `json:"redirect_uris"`
}

// SuggestDefaults gives what to fill in for an EHR ("epic" or "other"),
// environment and audience.
func SuggestDefaults(ehr, environment, audience string) Defaults {
	d := Defaults{Scopes: scope.Choices{Audience: audience, OfflineAccess: true, Version: scope.V2}.Default().Strings(), RedirectURIs: DefaultRedirectURIs()}
	if ehr == "epic" && environment == "sandbox" {
		d.FHIRBaseURL = EpicSandboxBaseURL
	}
	return d
}

// normalize fills defaults in and takes away what a paste brought along,
// saying so.
func (in RegistrationInput) normalize() (RegistrationInput, []FieldProblem) {
	var notices []FieldProblem
	clean := func(field, label, value string) string {
		out := strip(value)
		if out != value {
			notices = append(notices, FieldProblem{field, "notice",
				"White space or invisible characters around the " + label + " were removed.", "Check that it still reads as it should."})
		}
		return out
	}
	in.Name = strip(in.Name)
	in.FHIRBaseURL = clean("fhir_base_url", "FHIR base URL", in.FHIRBaseURL)
	in.ClientID = clean("client_id", "client ID", in.ClientID)
	in.ClientSecret = clean("client_secret", "client secret", in.ClientSecret)
	in.RedirectURIs = slices.Clone(in.RedirectURIs)
	for i := range in.RedirectURIs {
		in.RedirectURIs[i] = clean("redirect_uris", "redirect URI", in.RedirectURIs[i])
	}
	in.RedirectURIs = slices.DeleteFunc(in.RedirectURIs, func(s string) bool { return s == "" })
	if in.Kind == "" {
		in.Kind = KindApp
	}
	if in.Kind == KindBackend {
		var dropped []FieldProblem
		in, dropped = in.asService()
		notices = append(notices, dropped...)
	} else if len(in.RedirectURIs) == 0 {
		in.RedirectURIs = DefaultRedirectURIs()
	}
	if in.EHR == "" {
		in.EHR = guessEHR(in.FHIRBaseURL)
	}
	if in.FHIRBaseURL == "" {
		in.FHIRBaseURL = SuggestDefaults(in.EHR, in.Environment, in.Audience).FHIRBaseURL
	}
	if in.Environment == "" {
		in.Environment = guessEnvironment(in.FHIRBaseURL)
	}
	if in.ClientType == "" {
		in.ClientType = string(smart.Public)
	}
	if in.Audience == "" {
		in.Audience = "patient"
	}
	if in.ClientSecretAction == "" {
		in.ClientSecretAction = SecretKeep
		if in.ClientSecret != "" {
			in.ClientSecretAction = SecretReplace
		}
	}
	in.Scopes = strings.Fields(strings.Join(in.Scopes, " "))
	return in, notices
}

// strip removes what a paste brings along: white space at the ends, and
// characters that cannot be seen anywhere in the value.
func strip(s string) string {
	s = strings.Map(func(r rune) rune {
		// Cf holds zero-width and direction marks, soft hyphens and the byte order mark.
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

func guessEHR(base string) string {
	lower := strings.ToLower(base)
	if strings.Contains(lower, "/api/fhir/r4") || strings.Contains(lower, ".epic.com/") {
		return "epic"
	}
	return "other"
}

func guessEnvironment(base string) string {
	u, err := url.Parse(base)
	if err == nil && (smart.IsLoopbackHost(u.Hostname()) || strings.EqualFold(u.Hostname(), "fhir.epic.com") || strings.Contains(strings.ToLower(u.Hostname()), "sandbox")) {
		return "sandbox"
	}
	return "production"
}

var (
	uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	// Epic's published sandbox sign-ins: they are often pasted where a client ID belongs.
	epicSignIns = []string{"fhir", "fhirtwo", "fhircamila", "fhirjason", "fhirderrick", "epicepic1", "epicfhir11!"}
)

// check finds what is wrong with a normalized input. secretSet tells whether
// a secret is stored already.
func (in RegistrationInput) check(secretSet bool) []FieldProblem {
	var out []FieldProblem
	bad := func(field, message, advice string) { out = append(out, FieldProblem{field, "error", message, advice}) }
	oneOf := func(field, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			bad(field, fmt.Sprintf("%q is not one of %s.", value, strings.Join(allowed, ", ")), "Choose one of "+strings.Join(allowed, ", ")+".")
		}
	}

	switch {
	case in.Name == "":
		bad("name", "The name is missing.", "Give the registration a name that you will recognise, such as the hospital's.")
	case len([]rune(in.Name)) > 100:
		bad("name", "The name is longer than 100 characters.", "Shorten it.")
	case strings.ContainsFunc(in.Name, unicode.IsControl):
		bad("name", "The name has control characters in it.", "Type it anew.")
	case uuidForm.MatchString(in.Name):
		bad("name", "The name looks like an identifier.", "Give it a name in words: commands take either, and must not confuse them.")
	}
	oneOf("kind", in.Kind, KindApp, KindBackend)
	oneOf("ehr", in.EHR, "epic", "other")
	oneOf("environment", in.Environment, "sandbox", "production")
	if in.Kind != KindBackend {
		oneOf("audience", in.Audience, "patient", "provider")
	}

	if in.FHIRBaseURL == "" {
		advice := "Copy the R4 base URL from the EHR's developer page or endpoint list."
		if in.EHR == "epic" {
			advice += " For Epic's public sandbox, choose the sandbox environment and leave it empty."
		}
		bad("fhir_base_url", "The FHIR base URL is missing.", advice)
	} else {
		for _, p := range smart.CheckBaseURL(in.FHIRBaseURL) {
			bad("fhir_base_url", p.Message, p.Advice)
		}
	}
	out = append(out, in.checkClientID()...)
	if d := in.accessPeriod(); d < 0 || d > maxAccessPeriod {
		out = append(out, FieldProblem{"access_period_days", "error", fmt.Sprintf("%d days is no access period.", d), "Enter a number of days up to 3650, or 0 where it is not known."})
	}
	out = append(out, in.checkSecret(secretSet)...)

	own, errs := scope.ParseList(strings.Join(in.Scopes, " "))
	for _, err := range errs {
		bad("scopes", sentence(err.Error()), "Correct the scope, or leave the list empty for the default.")
	}
	if in.Kind == KindBackend {
		out = append(out, in.checkService(own)...)
	} else {
		out = append(out, in.checkOwnScopes(own)...)
	}
	seen := map[string]bool{}
	for _, uri := range in.RedirectURIs {
		if err := loopback.CheckSecureRedirectURI(uri); err != nil {
			f := fault.From(err)
			bad("redirect_uris", f.Message, f.Advice)
		}
		if seen[uri] {
			bad("redirect_uris", fmt.Sprintf("%s stands twice.", uri), "Remove one of the two.")
		}
		seen[uri] = true
	}
	if len(in.RedirectURIs) > 10 {
		bad("redirect_uris", "There are more than ten redirect URIs.", "Keep those that are registered at the EHR.")
	}
	return out
}

// checkOwnScopes finds where scopes that the registration names itself, which
// count as written, say something else than its choices.
func (in RegistrationInput) checkOwnScopes(own scope.Set) []FieldProblem {
	var out []FieldProblem
	notice := func(is bool, field, message, advice string) {
		if is && len(own) > 0 {
			out = append(out, FieldProblem{field, "notice", message, advice})
		}
	}
	offline := own.Has("offline_access")
	notice(own.Mixed(), "scopes", scope.BothContexts, scope.BothContextsAdvice)
	notice(offline && !in.wantsOffline(), "offline_access", "The scopes name offline_access, so it is asked for, though the registration wants no offline access.",
		"Take it out of the scopes, or choose offline access.")
	notice(!offline && in.OfflineAccess != nil && *in.OfflineAccess, "offline_access", "The scopes do not name offline_access, so it is not asked for, though the registration wants offline access.",
		"Add it to the scopes, or leave the list empty for the default.")
	notice(in.needsPatient() && in.Audience == "provider" && !own.Has("launch/patient"), "patient_needed", "The scopes do not name launch/patient, so no patient is chosen at the sign-in, though the registration needs one.",
		"Add it to the scopes, or leave the list empty for the default.")
	return out
}

func (in RegistrationInput) checkClientID() []FieldProblem {
	bad := func(message string) []FieldProblem {
		return []FieldProblem{{"client_id", "error", message, "Copy the client ID from the app's page in the EHR's developer portal."}}
	}
	id := in.ClientID
	switch {
	case id == "":
		return bad("The client ID is missing.")
	case len(id) > 512:
		return bad("The client ID is longer than 512 characters.")
	case strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return bad("The client ID has white space inside.")
	case strings.Contains(id, "://"):
		return bad("The client ID is a URL.")
	case strings.Contains(id, "@"):
		return bad("The client ID looks like an e-mail address, which is a portal login.")
	case slices.Contains(epicSignIns, strings.ToLower(id)):
		return bad(fmt.Sprintf("%q is a sign-in of Epic's sandbox, not a client ID.", id))
	case in.EHR == "epic" && !uuidForm.MatchString(id):
		return []FieldProblem{{"client_id", "notice", "Epic's client IDs look like 01234567-89ab-cdef-0123-456789abcdef; this one does not.", "Compare it with the app's page at Epic; sandbox and production each have their own."}}
	}
	return nil
}

func (in RegistrationInput) checkSecret(secretSet bool) []FieldProblem {
	bad := func(field, message, advice string) []FieldProblem {
		return []FieldProblem{{field, "error", message, advice}}
	}
	has := in.ClientSecretAction == SecretReplace || (in.ClientSecretAction == SecretKeep && secretSet)
	switch in.ClientSecretAction {
	case SecretKeep, SecretRemove:
		if in.ClientSecret != "" {
			return bad("client_secret", "A client secret was given, though it is not to be replaced.", "Choose Replace.")
		}
	case SecretReplace:
		switch s := in.ClientSecret; {
		case s == "":
			return bad("client_secret", "The client secret is empty.", "Paste the secret, or keep the stored one.")
		case len(s) > 4096:
			return bad("client_secret", "The client secret is longer than 4,096 characters.", "Paste only the secret.")
		case strings.ContainsFunc(s, unicode.IsControl):
			return bad("client_secret", "The client secret has line breaks or control characters inside.", "Paste only the secret, on one line.")
		case s == in.ClientID:
			return bad("client_secret", "The client secret is the same as the client ID.", "Paste the secret that the EHR showed when it was made.")
		}
	default:
		return bad("client_secret_action", "The action for the client secret is not known.", "Use keep, replace or remove.")
	}
	switch smart.ClientType(in.ClientType) {
	case smart.Public:
		if has {
			return bad("client_secret", "A public client has no secret.", "Remove the secret, or choose confidential-symmetric if the EHR issued one.")
		}
	case smart.ConfidentialSymmetric:
		if !has {
			return bad("client_secret", "A confidential-symmetric client needs its client secret.", "Paste the secret, or choose public if the EHR issued none.")
		}
	case smart.ConfidentialAsymmetric:
		if has {
			return bad("client_secret", "A client that signs with a key has no secret.", "Remove the secret, or choose confidential-symmetric if the EHR issued one.")
		}
	default:
		return bad("client_type", fmt.Sprintf("%q is no client type.", in.ClientType), "Choose public, confidential-symmetric or confidential-asymmetric.")
	}
	return nil
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") {
		s += "."
	}
	return s
}

// CheckRegistration tells what Save would say of the input, and saves
// nothing. id is the registration that is edited, or "" for a new one.
func (w *Workstation) CheckRegistration(ctx context.Context, id string, in RegistrationInput) ([]FieldProblem, error) {
	_, _, problems, err := w.examine(ctx, id, in)
	return problems, err
}

func (w *Workstation) examine(ctx context.Context, id string, in RegistrationInput) (RegistrationInput, store.Registration, []FieldProblem, error) {
	var old store.Registration
	if id != "" {
		var err error
		if old, err = w.registrationRow(ctx, id); err != nil {
			return in, old, nil, err
		}
	}
	if id != "" && in.Kind == "" {
		in.Kind = old.Kind
	}
	in, problems := in.normalize()
	if id != "" {
		in = in.keeping(old)
		if in.Kind != old.Kind {
			problems = append(problems, FieldProblem{"kind", "error", fmt.Sprintf("%s was saved as %s, and stays one.", old.Name, kindWords[old.Kind]), "Add another registration."})
		}
	}
	problems = append(problems, in.check(len(old.ClientSecret) > 0)...)
	if slices.ContainsFunc(in.RedirectURIs, isHTTPS) {
		if _, _, ok, err := w.localAuthority(ctx); err != nil {
			return in, old, nil, err
		} else if !ok {
			f := noAuthority()
			problems = append(problems, FieldProblem{"redirect_uris", "notice", f.Message, f.Advice})
		}
	}
	if in.ClientSecretAction == SecretKeep && len(old.ClientSecret) > 0 && in.movesFrom(old) {
		// A write-only secret must not be readable by pointing its registration at another server.
		problems = append(problems, FieldProblem{"client_secret", "error", "The stored client secret is for another server or client ID.", "Enter the secret that belongs to these, or remove it."})
	}
	if same, err := w.store.RegistrationByName(ctx, in.Name); err == nil && same.ID != old.ID {
		problems = append(problems, FieldProblem{"name", "error", fmt.Sprintf("There is a registration named %q already.", same.Name), "Choose another name."})
	} else if err != nil && !errors.Is(err, store.ErrNoRow) {
		return in, old, nil, err
	}
	return in, old, problems, nil
}

// movesFrom tells whether the input names another server or client than a row does.
func (in RegistrationInput) movesFrom(old store.Registration) bool {
	issuer, err := smart.NormalizeBaseURL(in.FHIRBaseURL)
	return err != nil || issuer != old.Issuer || in.ClientID != old.ClientID
}

// Input gives the values of a registration as they would be entered, with the
// secret kept.
func (r Registration) Input() RegistrationInput {
	in := RegistrationInput{
		Name: r.Name, Kind: r.Kind, EHR: r.EHR, Environment: r.Environment, FHIRBaseURL: r.FHIRBaseURL, ClientID: r.ClientID, ClientType: r.ClientType,
		ClientSecretAction: SecretKeep, Audience: r.Audience, RedirectURIs: r.RedirectURIs,
	}
	if !r.ScopesDefault {
		in.Scopes = r.Scopes
	}
	// What is the default stays open: the scopes that are named need not follow it.
	return in.keeping(store.Registration{
		OfflineAccess: r.OfflineAccess, PatientNeeded: r.PatientNeeded, AccessPeriodDays: r.AccessPeriodDays, AccessPeriodRolling: r.AccessPeriodRolling,
	})
}
