package workstation_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

func yes(b bool) *bool { return &b }

func (b *bench) edit(t *testing.T, reg workstation.Registration, change func(*workstation.RegistrationInput)) workstation.Registration {
	t.Helper()
	in := reg.Input()
	change(&in)
	reg, _, err := b.SaveRegistration(t.Context(), reg.ID, in)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestDefaultScopesFollowTheRegistrationsChoices(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	want := func(what string, offline, patient bool) {
		t.Helper()
		if now, err := b.Registration(t.Context(), reg.ID); err != nil || now.OfflineAccess != offline || slices.Contains(now.Scopes, "offline_access") != offline ||
			slices.Contains(now.Scopes, "launch/patient") != patient || !slices.Contains(now.Scopes, "openid") || !slices.Contains(now.Scopes, "fhirUser") {
			t.Errorf("%s: %+v %v", what, now, err)
		}
	}
	want("as it is saved", true, true)
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) { in.OfflineAccess = yes(false) })
	want("without offline access", false, true)
	status, err := b.signIn(t, reg.ID, amara)
	if err != nil || status.Refreshable || status.ScopesNote != "" || len(status.Warnings) > 0 || slices.Contains(status.ScopesRequested, "offline_access") {
		t.Errorf("a sign-in without offline access: %+v %v", status, err)
	}
	b = newBench(t, simulator.Settings{}) // where nobody signed in before
	in := b.input()
	in.OfflineAccess = yes(false)
	if reg, _, err = b.SaveRegistration(t.Context(), "", in); err != nil {
		t.Fatal(err)
	}
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) { in.OfflineAccess, in.Audience = nil, "provider" })
	want("a choice that is left open stays, and a provider has no patient", false, false)
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) { in.OfflineAccess, in.PatientNeeded = yes(true), yes(true) })
	want("a provider with a patient", true, true)
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) { in.PatientNeeded = nil })
	want("and that stays too", true, true)
	if !reg.PatientNeeded || slices.ContainsFunc(reg.Scopes, func(s string) bool { return strings.HasPrefix(s, "patient/") }) {
		t.Errorf("%+v", reg)
	}
	status, err = b.signIn(t, reg.ID, simulator.Choice{Username: "dr.okafor", Password: "clinician-pass1", Patient: "daniel-whitlock"})
	if err != nil || status.Patient == nil || *status.Patient != "daniel-whitlock" {
		t.Errorf("a provider who chose a patient: %+v %v", status, err)
	}
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) { in.PatientNeeded = yes(false) })
	if status, err = b.signIn(t, reg.ID, okafor); err != nil || status.Patient != nil || len(status.Warnings) > 0 {
		t.Errorf("a provider who needs no patient: %+v %v", status, err)
	}
}

func TestARegistrationOfBeforeAsksForOfflineAccess(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	b.execSQL(t, `INSERT INTO registration (id, name, ehr, environment, fhir_base_url, issuer, client_id, client_type, audience, scopes, redirect_uris, created_at, updated_at)
		VALUES ('r', 'Old', 'other', 'sandbox', 'http://localhost:1/fhir', 'http://localhost:1/fhir', 'c', 'public', 'provider', '', '[]', 1, 1)`)
	reg, err := b.Registration(t.Context(), "Old")
	if err != nil || !reg.OfflineAccess || reg.PatientNeeded || !slices.Contains(reg.Scopes, "offline_access") || slices.Contains(reg.Scopes, "launch/patient") {
		t.Errorf("%+v %v", reg, err)
	}
}

func TestScopesThatARegistrationNamesCountAsWritten(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	for _, c := range []struct {
		scopes           string
		offline, patient *bool
		audience         string
		fields           string // that notices are about
	}{
		{"openid fhirUser patient/Patient.rs launch/patient", nil, nil, "patient", ""},
		{"openid fhirUser patient/Patient.rs launch/patient", yes(false), nil, "patient", ""},
		{"openid fhirUser patient/Patient.rs launch/patient", yes(true), nil, "patient", "offline_access"},
		{"openid offline_access user/Patient.rs", yes(false), nil, "provider", "offline_access"},
		{"openid offline_access user/Patient.rs", yes(true), yes(true), "provider", "patient_needed"},
		{"openid user/Patient.rs launch/patient", nil, yes(true), "provider", ""},
		{"openid user/Patient.rs", nil, yes(true), "patient", ""},
		{"openid launch/patient user/Patient.rs patient/Goal.rs", nil, nil, "patient", "scopes"},
		{"", yes(false), yes(true), "provider", ""},
	} {
		in := reg.Input()
		in.Scopes, in.OfflineAccess, in.PatientNeeded, in.Audience = strings.Fields(c.scopes), c.offline, c.patient, c.audience
		problems, err := b.CheckRegistration(t.Context(), "", in)
		var fields []string
		for _, p := range problems {
			if p.Field != "name" {
				fields = append(fields, p.Field)
			}
			if p.Field != "name" && (p.Level != "notice" || p.Message == "" || p.Advice == "") {
				t.Errorf("%+v", p)
			}
		}
		if err != nil || strings.Join(fields, " ") != c.fields {
			t.Errorf("%+v: notices about %v, want %s: %v", c, fields, c.fields, err)
		}
	}
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) {
		in.Scopes, in.OfflineAccess = []string{"openid", "offline_access", "patient/Patient.rs", "launch/patient"}, yes(false)
	})
	if strings.Join(reg.Scopes, " ") != "openid offline_access patient/Patient.rs launch/patient" || reg.OfflineAccess {
		t.Errorf("%+v", reg)
	}
	// The contradiction shows in the test too, and fails nothing.
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
	if err != nil || !report.OK || report.Checks[0].Result != workstation.Warning || !strings.Contains(report.Checks[0].Detail, "offline_access") {
		t.Errorf("%+v %v", report.Checks[0], err)
	}
	reg = b.edit(t, reg, func(in *workstation.RegistrationInput) { in.Scopes = nil })
	if slices.Contains(reg.Scopes, "offline_access") || !reg.ScopesDefault {
		t.Errorf("the defaults do not follow the choice: %+v", reg)
	}
}

func declaring(capabilities ...string) func(map[string]any) {
	return func(doc map[string]any) {
		doc["capabilities"] = append([]string{"launch-standalone", "client-public", "sso-openid-connect", "context-standalone-patient", "permission-patient", "permission-user", "permission-v2"}, capabilities...)
		doc["scopes_supported"] = []string{"openid", "fhirUser", "launch/patient"}
		doc["grant_types_supported"] = []string{"authorization_code"}
	}
}

func TestOfflineAccessIsNotAskedForWhereTheServerSpeaksAgainstIt(t *testing.T) {
	for name, c := range map[string]struct {
		configuration func(map[string]any)
		asked         bool
	}{
		"not among the permissions": {declaring(), false},
		"among the permissions":     {declaring("permission-offline"), true},
		"among the scopes": {func(doc map[string]any) {
			declaring()(doc)
			doc["scopes_supported"] = []string{"openid", "offline_access"}
		}, true},
		"refresh tokens are given": {func(doc map[string]any) {
			declaring()(doc)
			doc["grant_types_supported"] = []string{"authorization_code", "refresh_token"}
		}, true},
		"no permission is told": {func(doc map[string]any) {
			declaring()(doc)
			doc["capabilities"] = []string{"launch-standalone", "client-public"}
		}, true},
		"nothing is told": {func(doc map[string]any) {
			declaring()(doc)
			delete(doc, "capabilities")
			delete(doc, "scopes_supported")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newOtherBench(t, otherOptions{configuration: c.configuration})
			reg := b.registered(t, nativeClient, "")
			report, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
			if err != nil || !report.OK {
				t.Fatalf("%+v %v", report, err)
			}
			said := slices.ContainsFunc(report.Checks, func(c workstation.Check) bool {
				return c.ID == "support" && strings.Contains(c.Detail, "so offline_access is not asked for")
			})
			status := b.mustSignIn(t, reg.ID, amara)
			warned := strings.Contains(strings.Join(status.Warnings, " "), "permission-offline is not among them")
			if asked := slices.Contains(status.ScopesRequested, "offline_access"); asked != c.asked || warned == c.asked || said == c.asked || status.Refreshable != c.asked {
				t.Errorf("asked for %v, the test says so: %t, %+v", status.ScopesRequested, said, status)
			}
			if status.ScopesNote != "" {
				t.Errorf("noted %q", status.ScopesNote)
			}
			if reg, err = b.Registration(t.Context(), reg.ID); err != nil || slices.Contains(reg.Scopes, "offline_access") != c.asked {
				t.Errorf("%+v %v", reg, err)
			}
		})
	}
}

func TestAPublicClientAtEpicIsNotAskedForOfflineAccess(t *testing.T) {
	for _, c := range []struct {
		client, ehr string
		asked       bool
	}{{"app", "epic", false}, {"app-with-secret", "epic", true}, {"app", "other", true}} {
		b, reg := epicBench(t, c.client, "patient")
		reg = b.edit(t, reg, func(in *workstation.RegistrationInput) { in.EHR = c.ehr })
		status, err := b.signIn(t, reg.ID, amara)
		if err != nil {
			t.Fatal(err)
		}
		warned := strings.Contains(strings.Join(status.Warnings, " "), "confidential clients only")
		if slices.Contains(status.ScopesRequested, "offline_access") != c.asked || warned == c.asked || status.Refreshable != (c.client == "app-with-secret") {
			t.Errorf("%+v: asked for %v, warned %q", c, status.ScopesRequested, status.Warnings)
		}
		kit, err := b.Kit(t.Context(), reg.ID)
		if notes := strings.Join(kit.Notes, " "); err != nil || strings.Contains(notes, "as a confidential client") == c.asked || strings.Contains(notes, "allow refresh tokens") != c.asked {
			t.Errorf("%+v: %q %v", c, notes, err)
		}
		// Named by the registration, it counts as written.
		reg = b.edit(t, reg, func(in *workstation.RegistrationInput) {
			in.Scopes = []string{"openid", "offline_access", "launch/patient", "patient/Patient.rs"}
		})
		if status, err = b.signIn(t, reg.ID, amara); err != nil || !slices.Contains(status.ScopesRequested, "offline_access") || len(status.Warnings) > 0 {
			t.Errorf("%+v %v", status, err)
		}
	}
}

// refuseScopes comes back as the browser of a server that refuses the scopes, and
// gives where the browser is sent on to.
func refuseScopes(t *testing.T, authorize, words string) string {
	t.Helper()
	sent := must(url.Parse(authorize)).Query()
	back := url.Values{"error": {"invalid_scope"}, "state": {sent.Get("state")}, "iss": {must(url.Parse(authorize)).Scheme + "://" + must(url.Parse(authorize)).Host + "/auth"}}
	if words != "" {
		back.Set("error_description", words)
	}
	status, location, _ := browse(t, sent.Get("redirect_uri")+"?"+back.Encode(), nil)
	if status != http.StatusSeeOther {
		t.Fatalf("the callback answered %d", status)
	}
	return location
}

func TestARefusalOfOfflineAccessDoesNotCostTheSignIn(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first := must(url.Parse(login.AuthorizationURL())).Query()
	next := refuseScopes(t, login.AuthorizationURL(), "")
	if !strings.HasPrefix(next, b.ehr.Origin()+"/auth/authorize?") {
		t.Fatalf("sent on to %s", next)
	}
	second := must(url.Parse(next)).Query()
	if strings.Replace(first.Get("scope"), " offline_access", "", 1) != second.Get("scope") || second.Get("aud") != first.Get("aud") || second.Get("redirect_uri") != first.Get("redirect_uri") {
		t.Errorf("asked first %v, then %v", first, second)
	}
	for _, once := range []string{"state", "nonce", "code_challenge"} {
		if second.Get(once) == "" || second.Get(once) == first.Get(once) {
			t.Errorf("%s is not new", once)
		}
	}
	if _, err := simulator.SignIn(t.Context(), next, amara); err != nil {
		t.Fatal(err)
	}
	status, err := login.Wait(t.Context())
	if err != nil || status.State != workstation.Connected || status.Refreshable || status.ScopesNote != "" || len(status.Warnings) != 1 || !strings.Contains(status.Warnings[0], "without it") {
		t.Errorf("%+v %v", status, err)
	}

	// What is refused without it too is refused, and whose fault it is, is said.
	if login, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{}); err != nil {
		t.Fatal(err)
	}
	if page := refuseScopes(t, refuseScopes(t, login.AuthorizationURL(), ""), "Invalid scopes: patient/Procedure.rs."); !strings.HasPrefix(page, "/done/") {
		t.Errorf("sent on to %s", page)
	}
	_, err = login.Wait(t.Context())
	if f := wantCode(t, err, "scope-refused"); !strings.Contains(f.Advice, "The server names patient/Procedure.rs: take it out") {
		t.Errorf("advised %q", f.Advice)
	}
	if status, err = b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.Connected {
		t.Errorf("the refused sign-in cost the connection: %+v %v", status, err)
	}

	// A sign-in that was given up is not sent on.
	if login, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{}); err != nil {
		t.Fatal(err)
	}
	login.Cancel()
	_, err = login.Wait(t.Context())
	wantCode(t, err, "cancelled")
}

func TestARefusalOfALaunchsOfflineAccessDoesNotCostTheLaunch(t *testing.T) {
	l := newLaunchpad(t, simulator.Settings{})
	l.register(t)
	entry, err := l.ehr.Launch(simulator.LaunchRequest{User: "dr.okafor", Patient: "daniel-whitlock", ClientID: "app", LaunchURL: l.at})
	if err != nil {
		t.Fatal(err)
	}
	_, authorize, _ := browse(t, entry, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-User": "?1", "Sec-Fetch-Dest": "document"})
	follow := refuseScopes(t, authorize, "")
	if q := must(url.Parse(follow)).Query(); q.Get("launch") != must(url.Parse(authorize)).Query().Get("launch") || strings.Contains(q.Get("scope"), "offline_access") {
		t.Errorf("then asked %v", q)
	}
	if _, err := simulator.SignIn(t.Context(), follow, simulator.Choice{}); err != nil {
		t.Fatal(err)
	}
	if s := next(t, l.connected); s.Kind != "launch" || *s.Patient != "daniel-whitlock" || s.Refreshable {
		t.Errorf("%+v", s)
	}
}

func TestARefusalNamesTheLikelyScope(t *testing.T) {
	for _, c := range []struct {
		scopes, words string
		configuration func(map[string]any)
		want          string
	}{
		{"openid launch/patient launch patient/Patient.rs", `unknown scope "launch"`, nil, "The server names launch: "},
		{"openid launch/patient patient/Patient.rs user/Goal.rs", "no", nil, "patient/ and user/ at once"},
		{"openid patient/Patient.read", "", declaring("permission-offline"), "patient/Patient.read is written as SMART 1 has it, and the server does not list permission-v1. Write patient/Patient.rs."},
		{"openid system/Patient.rs", "", nil, "system/Patient.rs, which is for services"},
		{"openid launch/encounter", "", declaring("permission-offline"), "launch/encounter, which the server does not list"},
		{"openid user/Patient.cud", "", declaring("permission-offline"), "user/Patient.cud, which changes records"},
		{"openid user/*.rs", "", declaring("permission-offline"), "user/*.rs, a wildcard"},
		{"openid user/Observation.rs?category=laboratory", "", nil, "whose part after ?"},
		{"openid user/Patient.rs launch/patient", "", nil, "from patients only"},
		{"openid teapot", "", nil, "teapot, which is no scope of SMART"},
		{"openid", "", nil, "Remove scopes that the app is not registered for"},
	} {
		t.Run(c.scopes, func(t *testing.T) {
			t.Parallel() // each ends with the two seconds for a result page that nobody fetches
			b := newOtherBench(t, otherOptions{configuration: c.configuration})
			reg := b.registered(t, nativeClient, "")
			login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{Scopes: []string{c.scopes}})
			if err != nil {
				t.Fatal(err)
			}
			refuseScopes(t, login.AuthorizationURL(), c.words)
			_, err = login.Wait(t.Context())
			if f := wantCode(t, err, "scope-refused"); !strings.Contains(f.Advice, c.want) {
				t.Errorf("advised %q", f.Advice)
			}
			if status, err := b.Status(t.Context(), reg.ID); err != nil || status.LastError == nil || !strings.Contains(status.LastError.Advice, c.want) {
				t.Errorf("the status tells %+v %v", status.LastError, err)
			}
		})
	}
}

func TestAskingForPatientAndUserAtOnceIsWarnedOf(t *testing.T) {
	b := newBench(t, simulator.Settings{})
	reg := b.register(t)
	login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{Scopes: []string{"openid launch/patient patient/Patient.rs user/Observation.rs"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(login.Warnings) != 1 || !strings.Contains(login.Warnings[0], "patient/ and user/ at once") {
		t.Errorf("warned %q", login.Warnings)
	}
	if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), amara); err != nil {
		t.Fatal(err)
	}
	if status, err := login.Wait(t.Context()); err != nil || len(status.Warnings) != 1 || status.Warnings[0] != login.Warnings[0] {
		t.Errorf("%+v %v", status, err)
	}
	if login, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{}); err != nil || login.Warnings == nil || len(login.Warnings) > 0 {
		t.Fatalf("warned %v of nothing: %v", login.Warnings, err)
	}
	login.Cancel()
}
