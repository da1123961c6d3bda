package workstation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/diagnose"
	"chartkey/backend/fault"
	"chartkey/backend/fhir"
	"chartkey/backend/scope"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
	"chartkey/backend/store"
	"chartkey/backend/vault"
)

// Layer is one of the two layers of a test.
type Layer string

// The layers: is the configuration right, and does a real read with the
// stored grant work.
const (
	LayerConfiguration Layer = "configuration"
	LayerLive          Layer = "live"
	LayerAll           Layer = "all"
)

// Result is the outcome of one check.
type Result string

// The results of a check.
const (
	Pass    Result = "pass"
	Fail    Result = "fail"
	Warning Result = "warning"
	Skipped Result = "skipped"
)

// Check is one line of a test report.
type Check struct {
	ID         string `json:"id"`
	Layer      Layer  `json:"layer" ts_type:"string"`
	Title      string `json:"title"`
	Result     Result `json:"result" ts_type:"string"`
	Detail     string `json:"detail"` // the evidence
	Advice     string `json:"advice"`
	DurationMS int64  `json:"duration_ms"`
}

// TestReport is the outcome of a test. OK is false where any check failed;
// skipped checks and warnings do not fail it.
type TestReport struct {
	RegistrationID string    `json:"registration_id"`
	StartedAt      time.Time `json:"started_at" ts_type:"string"`
	OK             bool      `json:"ok"`
	Layer          Layer     `json:"layer" ts_type:"string"`
	Checks         []Check   `json:"checks"`
}

// testRun carries one test through its checks.
type testRun struct {
	w      *Workstation
	act    *action
	reg    store.Registration
	cfg    smart.Configuration
	report TestReport
	each   func(Check)
	// failure is why the first check failed, and during what.
	failure error
	during  diagnose.Stage
}

// outcome is what one check found.
type outcome struct {
	result         Result
	detail, advice string
	// cause is the fault behind a failure, where there is one.
	cause error
}

func passed(format string, args ...any) outcome {
	return outcome{result: Pass, detail: fmt.Sprintf(format, args...)}
}

func because(result Result, detail, advice string) outcome {
	return outcome{result: result, detail: detail, advice: advice}
}

func failed(err error) outcome {
	f := Fault(err)
	return outcome{result: Fail, detail: f.Message, advice: f.Advice, cause: f}
}

// stages are those that the checks of a test belong to.
var stages = map[string]diagnose.Stage{"server": diagnose.Discovery, "discovery": diagnose.Discovery, "authorization": diagnose.Authorize, "token": diagnose.Refresh, "read": diagnose.FHIR}

// check runs one check and reports it; it tells whether the next may rely on it.
func (r *testRun) check(layer Layer, id, title string, do func() outcome) bool {
	started := time.Now() // a duration, so the monotonic clock and not the given one
	o := do()
	c := Check{ID: id, Layer: layer, Title: title, Result: o.result, Detail: o.detail, Advice: o.advice, DurationMS: time.Since(started).Milliseconds()}
	r.report.Checks = append(r.report.Checks, c)
	if o.cause != nil && r.failure == nil {
		r.failure, r.during = o.cause, stages[id]
	}
	if r.each != nil {
		r.each(c)
	}
	return o.result == Pass || o.result == Warning
}

func (r *testRun) skip(layer Layer, why string, checks ...[2]string) {
	for _, c := range checks {
		r.check(layer, c[0], c[1], func() outcome { return outcome{result: Skipped, detail: why} })
	}
}

// Test runs a layer of checks, or both, and keeps the report. each, where
// given, is called with every check as it finishes. A report with failures is
// no error: an error means that the test itself could not run.
func (w *Workstation) Test(ctx context.Context, ref string, layer Layer, each func(Check)) (report TestReport, err error) {
	err = w.as(ctx, "Test", func(ctx context.Context, who *seat) error {
		reg, g, grantErr := w.connection(ctx, who, ref)
		if grantErr != nil && fault.Code(grantErr) != "not-connected" {
			return grantErr
		}
		if !slices.Contains([]Layer{LayerConfiguration, LayerLive, LayerAll}, layer) {
			return fault.Newf("invalid-layer", "Choose configuration, live or all.", "%q is no layer of the test.", layer)
		}
		entry := registrationEntry(audit.Test, reg)
		entry.Detail = string(layer)
		ctx = w.watched(ctx)
		observationOf(ctx).record(w, audit.Test, reg, nil)
		return w.recorded(ctx, who.profile, entry, func(ctx context.Context, act *action) error {
			report, err = w.test(ctx, who, act, reg, g, grantErr, layer, each)
			return err
		})
	})
	return report, err
}

func (w *Workstation) test(ctx context.Context, who *seat, act *action, reg store.Registration, g store.Grant, grantErr error, layer Layer, each func(Check)) (TestReport, error) {
	r := &testRun{w: w, act: act, reg: reg, each: each, report: TestReport{RegistrationID: reg.ID, StartedAt: w.now().UTC(), Layer: layer, Checks: []Check{}}}
	if layer != LayerLive {
		r.configuration(ctx)
	}
	switch {
	case layer == LayerConfiguration:
	case reg.Kind == KindBackend:
		if err := r.liveService(ctx, who, layer == LayerLive); err != nil {
			return r.report, err
		}
	default:
		r.live(ctx, g, grantErr, layer == LayerLive)
	}
	if err := ctx.Err(); err != nil {
		return r.report, fault.New("cancelled", "The test was cancelled.", "Run it again when you are ready.").Because(err)
	}
	if r.failure != nil {
		w.keepFailure(ctx, who.profile, reg.ID, r.during, diagnose.RequestFacts{}, r.failure)
	} else {
		w.forgetFailure(ctx, who.profile.ID, reg.ID)
	}
	r.report.OK = !slices.ContainsFunc(r.report.Checks, func(c Check) bool { return c.Result == Fail })
	return r.report, w.keepReport(ctx, who, r.report)
}

// noUser is why a backend service has no sign-in to test.
const noUser = "A backend service has no sign-in."

func (r *testRun) configuration(ctx context.Context) {
	const l = LayerConfiguration
	valuesOK := r.check(l, "values", "The values are well-formed", func() outcome { return r.values() })
	isService := r.reg.Kind == KindBackend
	if isService {
		r.skip(l, noUser, [2]string{"redirect", "A redirect port is free"})
	} else {
		r.check(l, "redirect", "A redirect port is free", func() outcome { return r.redirectPort(ctx) })
	}
	later := [][2]string{
		{"server", "The FHIR server answers"}, {"discovery", "Its SMART configuration is valid"},
		{"authorization", "A sign-in address can be built"}, {"support", "It supports what this registration needs"},
	}
	if !valuesOK {
		r.skip(l, "Not tried, because the values have to be corrected first.", later...)
		return
	}
	var capability fhir.Capability
	reachable := r.check(l, "server", later[0][1], func() (o outcome) {
		capability, o = r.server(ctx)
		return o
	})
	found := r.check(l, "discovery", later[1][1], func() outcome { return r.discovery(ctx) })
	if !found {
		why := "Not tried, because the SMART configuration is not known."
		if !reachable {
			why = "Not tried, because the server cannot be reached."
		}
		r.skip(l, why, later[2:]...)
		return
	}
	if isService {
		r.skip(l, noUser, later[2])
	} else {
		r.check(l, "authorization", later[2][1], func() outcome { return r.authorization() })
	}
	r.check(l, "support", later[3][1], func() outcome { return r.support(capability) })
	if smart.ClientType(r.reg.ClientType) == smart.ConfidentialAsymmetric {
		r.check(l, "key", "It has a key to sign with", func() outcome { return r.keyCheck(ctx) })
	}
}

func (r *testRun) values() outcome {
	in := publish(r.reg, smart.Configuration{}, "").Input()
	var notices []string
	for _, p := range in.check(len(r.reg.ClientSecret) > 0) {
		if p.Level == "error" {
			return because(Fail, p.Message, p.Advice)
		}
		notices = append(notices, p.Message)
	}
	if len(notices) > 0 {
		return because(Warning, strings.Join(notices, " "), "Compare the values with the app's page at the EHR.")
	}
	if r.reg.Kind == KindBackend {
		return passed("A backend service that signs with a key, in the %s environment.", r.reg.Environment)
	}
	return passed("A %s client for %s, in the %s environment.", r.reg.ClientType, audienceWord(r.reg.Audience), r.reg.Environment)
}

func audienceWord(audience string) string {
	if audience == "provider" {
		return "providers"
	}
	return "patients"
}

func (r *testRun) redirectPort(ctx context.Context) outcome {
	uris := redirectURIs(r.reg)
	free := r.w.receiver.Free(ctx, uris)
	switch {
	case len(free) == 0:
		var ports []string
		for _, u := range uris {
			ports = append(ports, portOf(u))
		}
		return because(Warning, "Every redirect port is taken by another program: "+strings.Join(ports, ", ")+".",
			"End the program that holds one of them, or register and add another redirect URI.")
	case len(free) < len(uris):
		return passed("A sign-in will come back to %s; %d of %d ports are taken.", free[0], len(uris)-len(free), len(uris))
	}
	return passed("A sign-in will come back to %s.", free[0])
}

// server asks for the CapabilityStatement, which every FHIR server gives to
// anybody (FHIR R4, "capabilities"). It shows that the base URL is one of
// FHIR, and of which version.
func (r *testRun) server(ctx context.Context) (fhir.Capability, outcome) {
	client, err := r.w.metadataClient(ctx, r.reg.FHIRBaseURL)
	if err != nil {
		return fhir.Capability{}, failed(err)
	}
	capability, err := client.Capability(ctx)
	if err != nil {
		f := Fault(err)
		if strings.HasPrefix(f.Code, "fhir-") {
			return capability, because(Warning, "The server answers, but not with a CapabilityStatement: "+f.Message,
				"Check that the base URL is complete and ends where the resource types begin. "+f.Advice)
		}
		return capability, failed(err)
	}
	if !capability.IsR4() {
		return capability, because(Fail, fmt.Sprintf("The server speaks FHIR %s; Chartkey needs R4 (4.x).", capability.FHIRVersion),
			"Use the R4 base URL of the same server; it often differs in one path segment, such as DSTU2 or STU3.")
	}
	transport := "over TLS"
	if u, err := url.Parse(r.reg.FHIRBaseURL); err == nil && u.Scheme == "http" {
		transport = "on this computer"
	}
	software := capability.Software
	if software == "" {
		software = "A server"
	}
	return capability, passed("%s answers with FHIR %s, %s.", software, capability.FHIRVersion, transport)
}

func (r *testRun) discovery(ctx context.Context) outcome {
	cfg, err := r.w.discoverAnew(ctx, r.reg.FHIRBaseURL)
	if err != nil {
		return failed(err)
	}
	r.cfg = cfg
	source := "From .well-known/smart-configuration"
	if cfg.Source != "smart-configuration" {
		source = "From the CapabilityStatement, as older servers do it"
	}
	detail := fmt.Sprintf("%s: sign-in at %s.", source, cfg.AuthorizationEndpoint)
	if cfg.AuthorizationEndpoint == "" || r.reg.Kind == KindBackend {
		detail = fmt.Sprintf("%s: tokens at %s.", source, cfg.TokenEndpoint)
	}
	if len(cfg.Warnings) > 0 {
		return because(Warning, detail+" "+strings.Join(cfg.Warnings, " "), "Chartkey can work with it; tell the server's operator if sign-in fails.")
	}
	return passed("%s", detail)
}

func (r *testRun) authorization() outcome {
	uri := redirectURIs(r.reg)[0]
	a, err := r.w.smart.Authorization(r.cfg, smart.AuthorizationParams{
		ClientID: r.reg.ClientID, RedirectURI: uri, Scopes: effectiveScopes(r.reg, r.cfg), Aud: r.reg.FHIRBaseURL,
	})
	if err != nil {
		return failed(err)
	}
	return passed("With PKCE, aud %s, redirect URI %s and %d scopes.", r.reg.FHIRBaseURL, uri, len(a.Scopes))
}

// support compares what the registration needs with what the server declares.
// Declarations are often incomplete, so what is missing is a warning, unless
// the sign-in cannot work without it.
func (r *testRun) support(capability fhir.Capability) outcome {
	var missing, fatal []string
	scopes := effectiveScopes(r.reg, r.cfg)
	if r.cfg.Source == "smart-configuration" {
		for _, n := range needs(r.reg, scopes) {
			if !r.cfg.Has(n.capability) {
				missing = append(missing, fmt.Sprintf("%s (%s)", n.what, n.capability))
			}
		}
		if r.reg.Scopes == "" && r.reg.OfflineAccess && offlineDenied(r.cfg) {
			missing = append(missing, "staying connected (permission-offline), so offline_access is not asked for")
		}
		service := r.reg.Kind == KindBackend
		if !service && len(r.cfg.CodeChallengeMethodsSupported) > 0 && !slices.Contains(r.cfg.CodeChallengeMethodsSupported, "S256") {
			missing = append(missing, "PKCE with S256")
		}
		grants := r.cfg.GrantTypesSupported
		switch {
		case len(grants) == 0:
		case service && !slices.Contains(grants, "client_credentials"):
			fatal = append(fatal, "tokens for backend services (client_credentials)")
		case !service && !slices.Contains(grants, "authorization_code"):
			fatal = append(fatal, "sign-in with an authorization code")
		}
		methods := r.cfg.TokenEndpointAuthMethodsSupported
		takes := func(any ...string) bool {
			return len(methods) == 0 || slices.ContainsFunc(any, func(m string) bool { return slices.Contains(methods, m) })
		}
		switch smart.ClientType(r.reg.ClientType) {
		case smart.ConfidentialSymmetric:
			if !takes("client_secret_basic", "client_secret_post") {
				fatal = append(fatal, "client secrets (it takes only "+strings.Join(methods, ", ")+")")
			}
		case smart.ConfidentialAsymmetric:
			if !takes("private_key_jwt") {
				fatal = append(fatal, "signing with a key (it takes only "+strings.Join(methods, ", ")+")")
			}
		}
	}
	for _, s := range scopes {
		if _, known := capability.Resources[s.Type]; s.Kind == scope.Resource && s.Type != "*" && len(capability.Resources) > 0 && !known {
			missing = append(missing, "the resource type "+s.Type)
		}
	}
	switch {
	case len(fatal) > 0:
		return because(Fail, "The server does not offer "+strings.Join(fatal, "; ")+".", "Register the app with another client type, or ask the server's operator.")
	case len(missing) > 0:
		return because(Warning, "The server does not declare "+strings.Join(missing, "; ")+".", "It may work all the same; if it fails, this is the place to look.")
	case r.reg.Kind == KindBackend:
		return passed("Client type, scopes and tokens for backend services are all declared.")
	}
	return passed("Client type, context, scopes and PKCE are all declared.")
}

type need struct{ capability, what string }

// needs gives the SMART capabilities that a registration relies on.
func needs(reg store.Registration, scopes scope.Set) []need {
	var out []need
	if reg.Kind == KindApp {
		out = append(out, need{"launch-standalone", "sign-in from outside the EHR"})
	}
	if reg.ClientType == string(smart.Public) {
		out = append(out, need{"client-public", "public clients"})
	} else {
		out = append(out, need{"client-" + reg.ClientType, reg.ClientType + " clients"})
	}
	for _, s := range scopes {
		if n := needOf(s); n.capability != "" {
			out = append(out, n)
		}
		if s.Kind == scope.Resource && s.Version == scope.V2 {
			out = append(out, need{"permission-v2", "SMART 2 scopes"})
		}
	}
	slices.SortFunc(out, func(a, b need) int { return strings.Compare(a.capability, b.capability) })
	return slices.Compact(out)
}

// needOf gives the capability by which a server declares that it supports a
// scope in a standalone sign-in, or none.
func needOf(s scope.Scope) need {
	switch {
	case s.Text == "openid":
		return need{"sso-openid-connect", "telling who signed in"}
	case s.Text == "offline_access":
		return need{"permission-offline", "staying connected"}
	case s.Text == "online_access":
		return need{"permission-online", "staying connected while the user is online"}
	case s.Kind == scope.Launch && s.Type == "patient":
		return need{"context-standalone-patient", "choosing a patient at sign-in"}
	case s.Kind == scope.Launch && s.Type == "encounter":
		return need{"context-standalone-encounter", "choosing an encounter at sign-in"}
	case s.Kind == scope.Resource && s.Context == "patient":
		return need{"permission-patient", "patient scopes"}
	case s.Kind == scope.Resource && s.Context == "user":
		return need{"permission-user", "user scopes"}
	}
	return need{}
}

var liveChecks = [][2]string{
	{"grant", "There is a stored grant"}, {"token", "Its access token is usable"},
	{"read", "A FHIR read works"}, {"identity", "It is known who and which patient"},
	{"introspection", "The server says the same of the token"},
}

// live tests the stored grant by a read. Where there is none it is skipped,
// unless the live layer was asked for by itself.
func (r *testRun) live(ctx context.Context, g store.Grant, err error, alone bool) {
	const l = LayerLive
	if fault.Code(err) == "not-connected" && !alone {
		r.skip(l, "Not tried, because there is no connection yet: connect first.", liveChecks...)
		return
	}
	var c grantContext
	if !r.check(l, "grant", liveChecks[0][1], func() outcome {
		if err != nil {
			return failed(err)
		}
		if c, err = r.w.openContext(ctx, g); err != nil {
			return failed(err)
		}
		r.act.patient(patientPath(c.Patient))
		return passed("Connected on %s.", readable(g.ConnectedAt))
	}) {
		r.skip(l, "Not tried, because there is no grant to use.", liveChecks[1:]...)
		return
	}
	source := r.w.tokens(r.reg, g)
	if !r.check(l, "token", liveChecks[1][1], func() outcome { return r.token(ctx, source) }) {
		r.skip(l, "Not tried, because there is no usable access token.", liveChecks[2:]...)
		return
	}
	var subject fhir.Resource
	var path string
	if !r.check(l, "read", liveChecks[2][1], func() (o outcome) {
		subject, path, o = r.read(ctx, source, c, scope.Grammar(strings.Fields(source.g.ScopesGranted)))
		return o
	}) {
		r.skip(l, "Not tried, because the read did not work.", liveChecks[3])
	} else {
		r.check(l, "identity", liveChecks[3][1], func() outcome { return r.identity(ctx, source.g, c, subject, path) })
	}
	r.check(l, "introspection", liveChecks[4][1], func() outcome {
		held, err := r.w.grantToken(ctx, source)
		return r.introspection(ctx, held, err)
	})
}

// readable gives a stored time for a sentence.
func readable(ms int64) string { return fromMillis(ms).Format("2006-01-02 15:04 MST") }

func (r *testRun) token(ctx context.Context, source *tokenSource) outcome {
	before := source.g.Version
	if _, err := source.token(ctx); err != nil {
		return failed(err)
	}
	g := source.g
	until := "the EHR did not say for how long"
	if g.AccessExpiresAt != nil {
		until = "until " + readable(*g.AccessExpiresAt)
	}
	if g.Version > before {
		return passed("It had run out and was renewed; usable %s.", until)
	}
	return passed("Usable %s.", until)
}

// read picks a read that the granted scopes allow: the patient, else the
// user, else a search of one.
func (r *testRun) read(ctx context.Context, source *tokenSource, c grantContext, granted scope.Set) (fhir.Resource, string, outcome) {
	path := liveRead(c, granted, source.g.FHIRBaseURL)
	if path == "" {
		return fhir.Resource{}, "", because(Warning, "No granted scope allows a read: "+granted.String()+".", "Ask for a scope such as patient/Patient.rs, and choose the matching APIs at the EHR.")
	}
	var res fhir.Resource
	if err := source.use(ctx, func(client *fhir.Client) (err error) {
		res, err = client.Get(ctx, path)
		return err
	}); err != nil {
		return res, path, failed(err)
	}
	return res, path, passed("GET %s answered with a %s.", path, res.Type)
}

func patientPath(id string) string {
	if id == "" {
		return ""
	}
	return "Patient/" + url.PathEscape(id)
}

func liveRead(c grantContext, granted scope.Set, base string) string {
	if c.Patient != "" && allowsRead(granted, "Patient") {
		return patientPath(c.Patient)
	}
	if user := relativeReference(c.FHIRUser, base); user != "" {
		if typ, _, _ := strings.Cut(user, "/"); allowsRead(granted, typ) {
			return user
		}
	}
	for _, s := range granted {
		if s.Kind != scope.Resource || s.Permission&scope.Search == 0 {
			continue
		}
		typ := s.Type
		if typ == "*" {
			typ = "Patient"
		}
		q := url.Values{"_count": {"1"}}
		for name, values := range s.Query {
			q[name] = values
		}
		if c.Patient != "" && typ != "Patient" && typ != "Practitioner" {
			q.Set("patient", c.Patient)
		}
		return typ + "?" + q.Encode()
	}
	return ""
}

// relativeReference gives "Type/id" of a fhirUser that lives on this server,
// or "": the token goes to no other (SMART, "Token scope and references").
func relativeReference(ref, base string) string {
	if ref == "" {
		return ""
	}
	rest := ref
	if strings.Contains(ref, "://") {
		prefix := strings.TrimSuffix(base, "/") + "/"
		if !strings.HasPrefix(ref, prefix) {
			return ""
		}
		rest = strings.TrimPrefix(ref, prefix)
	}
	typ, id, ok := strings.Cut(rest, "/")
	if !ok || typ == "" || id == "" || strings.ContainsAny(id, "/?#") {
		return ""
	}
	return typ + "/" + id
}

// identity says who was seen: a name and a reference, not the record. Names
// are kept with the grant, so that the status can show them.
func (r *testRun) identity(ctx context.Context, g store.Grant, c grantContext, res fhir.Resource, path string) outcome {
	var seen []string
	name := fhir.Summarize(res.Raw).Title
	switch {
	case res.Type == "Patient" && res.ID == c.Patient:
		c.PatientName = name
		seen = append(seen, fmt.Sprintf("The patient is %s (Patient/%s)", name, c.Patient))
	case c.Patient != "":
		seen = append(seen, "The patient is Patient/"+c.Patient)
	}
	if relativeReference(c.FHIRUser, g.FHIRBaseURL) == path && name != "" {
		c.UserName = name
	}
	switch {
	case c.UserName != "":
		seen = append(seen, fmt.Sprintf("signed in as %s (%s)", c.UserName, c.FHIRUser))
	case c.FHIRUser != "":
		seen = append(seen, "signed in as "+c.FHIRUser)
	}
	sealed, err := r.w.sealContext(ctx, g.ProfileID, g.ID, c)
	if err == nil {
		err = r.w.store.SetGrantContext(ctx, store.SetGrantContextParams{Context: sealed, ID: g.ID, Version: g.Version})
	}
	if err != nil {
		return failed(err)
	}
	if len(seen) == 0 {
		return because(Warning, "The EHR said neither which patient nor who signed in.", "Ask for launch/patient, or for openid and fhirUser.")
	}
	return passed("%s.", strings.Join(seen, ", "))
}

func reportBinding(registrationID, profileID string) vault.Binding {
	return vault.Binding{Table: "test_report", Column: "report", Row: registrationID + "/" + profileID}
}

// keepReport stores the latest report. It may name a patient, so it is
// sealed; where the vault is not open, only the outcome is kept.
func (w *Workstation) keepReport(ctx context.Context, who *seat, report TestReport) error {
	var sealed []byte
	if _, exists, err := w.readHeader(ctx); err != nil {
		return err
	} else if exists && w.unlocked(ctx) == nil {
		text, err := json.Marshal(report)
		if err != nil {
			return err
		}
		if sealed, err = w.seal(ctx, who.profile.ID, reportBinding(report.RegistrationID, who.profile.ID), secret.New(text)); err != nil {
			return err
		}
	}
	return w.store.Update(ctx, func(q *store.Queries) error {
		if sealed != nil {
			if err := w.stillHolds(ctx, q, who.profile.ID); err != nil {
				return err
			}
		}
		return q.SaveTestReport(ctx, store.SaveTestReportParams{
			RegistrationID: report.RegistrationID, ProfileID: who.profile.ID, Layer: string(report.Layer), OK: report.OK, StartedAt: report.StartedAt.UnixMilli(), Report: sealed,
		})
	})
}

// personIDs finds references to people in a sentence.
var personIDs = regexp.MustCompile(`\b(Patient|Practitioner|PractitionerRole|RelatedPerson|Person)/[^\s"',;)]+`)

// WithoutPatient gives the report without whom it concerns, for people who are
// not to know.
func (r TestReport) WithoutPatient() TestReport {
	r.Checks = slices.Clone(r.Checks)
	for i, c := range r.Checks {
		if c.Layer != LayerLive || c.Result == Skipped {
			continue
		}
		switch {
		case c.ID == "identity":
			r.Checks[i].Detail = "Who and which patient is left out here."
		case c.ID == "read" && c.Result == Pass:
			r.Checks[i].Detail = "A read that the granted scopes allow was answered."
		default:
			r.Checks[i].Detail, r.Checks[i].Advice = personIDs.ReplaceAllString(c.Detail, "$1/…"), personIDs.ReplaceAllString(c.Advice, "$1/…")
		}
	}
	return r
}

// withoutLive gives the report without what concerns a grant, or nil where
// nothing is left.
func (r TestReport) withoutLive() *TestReport {
	r.Checks = slices.DeleteFunc(slices.Clone(r.Checks), func(c Check) bool { return c.Layer == LayerLive })
	if len(r.Checks) == 0 {
		return nil
	}
	r.Layer = LayerConfiguration
	r.OK = !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Result == Fail })
	return &r
}

// LatestReport gives the report of the latest test, or nil where there is
// none or it cannot be opened now.
func (w *Workstation) LatestReport(ctx context.Context, ref string) (report *TestReport, err error) {
	err = w.as(ctx, "LatestReport", func(ctx context.Context, who *seat) error {
		reg, err := w.registrationRow(ctx, ref)
		if err != nil {
			return err
		}
		report, err = w.latestReport(ctx, who, reg)
		return err
	})
	return report, err
}

func (w *Workstation) latestReport(ctx context.Context, who *seat, reg store.Registration) (*TestReport, error) {
	row, err := w.store.TestReport(ctx, store.TestReportParams{RegistrationID: reg.ID, ProfileID: who.profile.ID})
	if errors.Is(err, store.ErrNoRow) {
		return nil, nil
	}
	if err != nil || len(row.Report) == 0 || !w.mayShow(ctx, who) {
		return nil, err
	}
	text, err := w.open(ctx, who.profile.ID, reportBinding(reg.ID, who.profile.ID), row.Report)
	if err != nil {
		return nil, err
	}
	var report TestReport
	if err := json.Unmarshal([]byte(text.Reveal()), &report); err != nil {
		return nil, fault.New("vault-damaged", "The stored test report cannot be read.", "Run the test again.").Because(err)
	}
	return &report, nil
}
