package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"chartkey/backend/fault"
	"chartkey/backend/loopback"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"

	"github.com/google/uuid"
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

// Registration is an app as it is registered at one EHR environment.
type Registration struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	EHR         string `json:"ehr"`         // epic | other
	Environment string `json:"environment"` // sandbox | production
	// FHIRBaseURL is kept exactly as entered, because servers compare aud as a string.
	FHIRBaseURL  string `json:"fhir_base_url"`
	ClientID     string `json:"client_id"`
	ClientType   string `json:"client_type"`   // public | confidential-symmetric | confidential-asymmetric
	ClientSecret string `json:"client_secret"` // set | none, never the secret
	Audience     string `json:"audience"`      // patient | provider
	// Scopes are what a connect asks for: the registration's own, or the default for its audience.
	Scopes        []string  `json:"scopes"`
	ScopesDefault bool      `json:"scopes_default"`
	RedirectURIs  []string  `json:"redirect_uris"`
	LaunchURL     string    `json:"launch_url"`
	CreatedAt     time.Time `json:"created_at" ts_type:"string"`
	UpdatedAt     time.Time `json:"updated_at" ts_type:"string"`
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
	Name               string   `json:"name"`
	EHR                string   `json:"ehr"`
	Environment        string   `json:"environment"`
	FHIRBaseURL        string   `json:"fhir_base_url"`
	ClientID           string   `json:"client_id"`
	ClientType         string   `json:"client_type"`
	ClientSecretAction string   `json:"client_secret_action"`
	ClientSecret       string   `json:"client_secret"`
	Audience           string   `json:"audience"`
	Scopes             []string `json:"scopes"` // empty = the default for the audience
	RedirectURIs       []string `json:"redirect_uris"`
}

// String leaves the secret out.
func (in RegistrationInput) String() string {
	return fmt.Sprintf("registration input %q", in.Name)
}

// GoString leaves the secret out.
func (in RegistrationInput) GoString() string { return in.String() }

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
	d := Defaults{Scopes: scope.Default(audience, scope.V2).Strings(), RedirectURIs: DefaultRedirectURIs()}
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
	if len(in.RedirectURIs) == 0 {
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
	oneOf("ehr", in.EHR, "epic", "other")
	oneOf("environment", in.Environment, "sandbox", "production")
	oneOf("audience", in.Audience, "patient", "provider")

	if in.FHIRBaseURL == "" {
		bad("fhir_base_url", "The FHIR base URL is missing.", "Copy the R4 base URL from the EHR's developer page or endpoint list.")
	} else {
		for _, p := range smart.CheckBaseURL(in.FHIRBaseURL) {
			bad("fhir_base_url", p.Message, p.Advice)
		}
	}
	out = append(out, in.checkClientID()...)
	out = append(out, in.checkSecret(secretSet)...)

	_, errs := scope.ParseList(strings.Join(in.Scopes, " "))
	for _, err := range errs {
		bad("scopes", sentence(err.Error()), "Correct the scope, or leave the list empty for the default.")
	}
	seen := map[string]bool{}
	for _, uri := range in.RedirectURIs {
		if err := loopback.CheckRedirectURI(uri); err != nil {
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
		return bad("client_type", "Clients that sign with a private key are not available in this version.", "Register the app as public or confidential-symmetric.")
	default:
		return bad("client_type", fmt.Sprintf("%q is no client type.", in.ClientType), "Choose public or confidential-symmetric.")
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
	in, problems := in.normalize()
	problems = append(problems, in.check(len(old.ClientSecret) > 0)...)
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

// SaveRegistration stores a new registration (id "") or the new values of one
// that exists. It gives the notices that the input deserved. Faults:
// invalid-registration (its cause is *InvalidInput), registration-not-found,
// and those of the vault where a secret is to be stored.
//
// A grant that was made for another server or client ends, because its tokens
// must never be sent anywhere else.
func (w *Workstation) SaveRegistration(ctx context.Context, id string, in RegistrationInput) (Registration, []FieldProblem, error) {
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
		RedirectURIs: string(uris), CreatedAt: now, UpdatedAt: now,
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
		if row.ClientSecret, err = w.sealWorkstation(ctx, secretBinding(row), secret.New(in.ClientSecret)); err != nil {
			return Registration{}, nil, err
		}
	}
	if err := w.storeRegistration(ctx, id == "", old, row); err != nil {
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

func (w *Workstation) storeRegistration(ctx context.Context, isNew bool, old, row store.Registration) error {
	err := w.store.Update(ctx, func(q *store.Queries) error {
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
			UpdatedAt: row.UpdatedAt, ID: row.ID, ReadAt: old.UpdatedAt,
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
	versions, err := w.scopeVersions(ctx)
	if err != nil {
		return nil, err
	}
	listener, err := w.LaunchSettings(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Registration, len(rows))
	for i, row := range rows {
		out[i] = publish(row, versions[row.FHIRBaseURL], listener.URL)
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
	v := scope.V2
	if cfg != nil {
		v = cfg.ScopeVersion()
	}
	return publish(row, v, listener.URL), nil
}

// publish gives the public form of a row. v is the grammar that its server
// knows, where that has been discovered.
func publish(row store.Registration, v scope.Version, launchURL string) Registration {
	if v == 0 {
		v = scope.V2
	}
	secret := "none"
	if len(row.ClientSecret) > 0 {
		secret = "set"
	}
	return Registration{
		ID: row.ID, Name: row.Name, EHR: row.EHR, Environment: row.Environment, FHIRBaseURL: row.FHIRBaseURL, ClientID: row.ClientID,
		ClientType: row.ClientType, ClientSecret: secret, Audience: row.Audience, Scopes: effectiveScopes(row, v).Strings(), ScopesDefault: row.Scopes == "",
		RedirectURIs: redirectURIs(row), LaunchURL: launchURL, CreatedAt: fromMillis(row.CreatedAt), UpdatedAt: fromMillis(row.UpdatedAt),
	}
}

// effectiveScopes are the registration's own scopes as written, or the
// default for its audience in the version that the server knows.
func effectiveScopes(row store.Registration, v scope.Version) scope.Set {
	if row.Scopes == "" {
		return scope.Default(row.Audience, v)
	}
	return scope.Grammar(strings.Fields(row.Scopes))
}

func redirectURIs(row store.Registration) []string {
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
	row, err := w.registrationRow(ctx, ref)
	if err != nil {
		return err
	}
	grants, err := w.store.GrantsOfRegistration(ctx, row.ID)
	if err != nil {
		return err
	}
	mode := RevokeAuto
	for _, g := range grants {
		d, err := w.disconnect(ctx, row, g, mode)
		if err != nil && fault.Code(err) != "not-connected" {
			return err
		}
		if d.Error != nil && d.Error.Retryable {
			mode = RevokeNever // a server that is away is not asked for each of them
		}
	}
	n, err := w.store.DeleteRegistration(ctx, row.ID)
	if err == nil && n == 0 {
		return noRegistration(ref)
	}
	return err
}

// Kit is what to type into the EHR's own registration page.
type Kit struct {
	ClientType   string   `json:"client_type"`
	RedirectURIs []string `json:"redirect_uris"`
	LaunchURL    string   `json:"launch_url"`
	Scopes       []string `json:"scopes"`
	Audience     string   `json:"audience"`
	Notes        []string `json:"notes"`
}

// Kit gives what to enter at the EHR for a registration.
func (w *Workstation) Kit(ctx context.Context, ref string) (Kit, error) {
	reg, err := w.Registration(ctx, ref)
	if err != nil {
		return Kit{}, err
	}
	return kitOf(reg), nil
}

func kitOf(reg Registration) Kit {
	k := Kit{ClientType: reg.ClientType, RedirectURIs: reg.RedirectURIs, LaunchURL: reg.LaunchURL, Scopes: reg.Scopes, Audience: reg.Audience}
	k.Notes = append(k.Notes, "Register every redirect URI letter by letter: servers compare case, port, path and final slash.")
	if slices.Contains(reg.Scopes, "offline_access") {
		k.Notes = append(k.Notes, "For access that outlasts the sign-in, allow refresh tokens (offline_access, or persistent access) for the app.")
	}
	if reg.EHR == "epic" {
		k.Notes = append(k.Notes,
			"Epic decides access by the APIs chosen in the app's registration: choose the read and search APIs of each resource type in the scopes.",
			"Epic has one client ID for non-production and another for production.")
		if reg.Environment == "production" {
			k.Notes = append(k.Notes, "Epic accepts http redirect URIs for development and testing only; in production it asks for https.")
		}
	}
	return k
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

// Input gives the values of a registration as they would be entered, with the
// secret kept.
func (r Registration) Input() RegistrationInput {
	in := RegistrationInput{
		Name: r.Name, EHR: r.EHR, Environment: r.Environment, FHIRBaseURL: r.FHIRBaseURL, ClientID: r.ClientID, ClientType: r.ClientType,
		ClientSecretAction: SecretKeep, Audience: r.Audience, RedirectURIs: r.RedirectURIs,
	}
	if !r.ScopesDefault {
		in.Scopes = r.Scopes
	}
	return in
}
