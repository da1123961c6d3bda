package workstation_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// service saves a registration of a backend service.
func (b *keyBench) service(t *testing.T, change ...func(*workstation.RegistrationInput)) workstation.Registration {
	t.Helper()
	in := workstation.RegistrationInput{Name: "Nightly", Kind: workstation.KindBackend, FHIRBaseURL: b.ehr.FHIRBaseURL(), ClientID: "service"}
	for _, f := range change {
		f(&in)
	}
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

const fetched = "client_credentials"

func TestABackendServiceNeedsNoSignIn(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.service(t)
	if reg.Kind != "backend" || reg.ClientType != "confidential-asymmetric" || len(reg.RedirectURIs) != 0 || reg.LaunchURL != "" || reg.Audience != "" || !reg.ScopesDefault {
		t.Errorf("%+v", reg)
	}
	if !slices.Contains(reg.Scopes, "system/Patient.rs") || slices.ContainsFunc(reg.Scopes, func(s string) bool { return !strings.HasPrefix(s, "system/") }) {
		t.Errorf("scopes %v", reg.Scopes)
	}
	_, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
	wantCode(t, err, "sign-in-not-needed")
	_, err = b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{As: "patient"})
	wantCode(t, err, "sign-in-not-needed")

	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.Kind != "backend" || status.State != workstation.NotConnected || status.ConnectionID != nil || !status.Refreshable || !strings.Contains(status.AccessEndsReason, "no sign-in") {
		t.Errorf("before any use: %+v %v", status, err)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	if err != nil || !report.OK {
		t.Fatalf("%+v %v", report, err)
	}
	want := map[string]workstation.Result{"redirect": workstation.Skipped, "authorization": workstation.Skipped, "grant": workstation.Skipped, "identity": workstation.Skipped}
	for _, c := range report.Checks {
		if result := want[c.ID]; c.Result != workstation.Pass && c.Result != result || (result != "" && c.Result != result) {
			t.Errorf("%+v", c)
		}
	}
	if c := checkOf(t, report, "read"); !strings.Contains(c.Detail, "Patient?_count=1") {
		t.Errorf("%+v", c)
	}
	status, err = b.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.Connected || status.AccessExpiresAt == nil || status.Patient != nil || status.LastTest == nil || !status.LastTest.OK || status.ScopesNote != "" {
		t.Errorf("after the test: %+v %v", status, err)
	}
	if life := status.AccessExpiresAt.Sub(b.clock.now()); life <= 0 || life > 5*time.Minute {
		t.Errorf("it lasts %s", life)
	}
	res, err := b.Read(t.Context(), "nightly", "Patient/daniel-whitlock")
	if err != nil || res.ID != "daniel-whitlock" {
		t.Errorf("%+v %v", res, err)
	}
	if n := b.wire.count(fetched); n != 1 {
		t.Errorf("%d tokens were fetched for a test and a read", n)
	}
	form := b.wire.last(t, "scope")
	if form.Get("grant_type") != fetched || form.Has("client_id") || form.Has("refresh_token") {
		t.Errorf("%v", form)
	}
	if status, err = b.Refresh(t.Context(), reg.ID); err != nil || status.State != workstation.Connected || b.wire.count(fetched) != 2 {
		t.Errorf("after the refresh: %+v %v", status, err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil || b.wire.count(fetched) != 2 {
		t.Errorf("the token of the refresh is not used: %v", err)
	}

	// Another process has no token, and says so.
	second := b.open(t, b.home)
	if status, err := second.Status(t.Context(), reg.ID); err != nil || status.State != workstation.NotConnected || status.LastError != nil {
		t.Errorf("in another process: %+v %v", status, err)
	}
	if _, err := second.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil || b.wire.count(fetched) != 3 {
		t.Errorf("%v", err)
	}

	d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	if err != nil || !d.Revoked || d.Status.State != workstation.NotConnected {
		t.Errorf("%+v %v", d, err)
	}
	_, err = b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	wantCode(t, err, "not-connected")

	// Nothing of it is stored, whatever the two processes did.
	tokens := b.wire.shown()
	if len(tokens) < 3 {
		t.Fatalf("only %d tokens were shown", len(tokens))
	}
	for name, content := range filesOf(t, b.home) {
		for _, token := range tokens {
			if strings.Contains(content, token) || strings.Contains(content, "daniel-whitlock") {
				t.Errorf("%s holds a token or whom it was used for", name)
			}
		}
	}
	if err := b.RemoveRegistration(t.Context(), reg.ID); err != nil {
		t.Error(err)
	}
}

// filesOf reads every file of a data folder.
func filesOf(t *testing.T, home string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		out[filepath.Base(path)] = string(content)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestABackendServicesTokenIsFetchedOnce(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.service(t)
	many := func(do func() error) {
		t.Helper()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := do(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	read := func() error {
		_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
		return err
	}
	many(read)
	if n := b.wire.count(fetched); n != 1 {
		t.Errorf("%d tokens for reads at once", n)
	}
	// When it runs out, one caller fetches the next, shortly before.
	b.clock.pass(4*time.Minute + 50*time.Second)
	many(read)
	if n := b.wire.count(fetched); n != 2 {
		t.Errorf("%d tokens after the first ran out", n)
	}
	b.clock.pass(10 * time.Minute)
	if status, err := b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.NotConnected {
		t.Errorf("after its end: %+v %v", status, err)
	}
	many(func() error {
		_, err := b.Refresh(t.Context(), reg.ID)
		return err
	})
	if n := b.wire.count(fetched); n < 3 || n > 22 {
		t.Errorf("%d tokens after refreshes", n)
	}
}

func TestABackendServicesTokenThatIsRefused(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.service(t)
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	b.ehr.Reset() // ends every grant
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil || b.wire.count(fetched) != 2 {
		t.Errorf("a token that was ended early: %v, %d fetched", err, b.wire.count(fetched))
	}
	// One that refuses every token is asked once more, and no more.
	if err := b.ehr.SetFaults("fhir-token-refused"); err != nil {
		t.Fatal(err)
	}
	_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "fhir-unauthorized")
	if n := b.wire.count(fetched); n != 3 {
		t.Errorf("%d fetched", n)
	}
}

func TestABackendServiceThatFailsSaysWhy(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.service(t, func(in *workstation.RegistrationInput) { in.ClientID = "nobody" })
	_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	if f := wantCode(t, err, "client-refused"); !strings.Contains(f.Advice, "backend service") {
		t.Errorf("%q", f.Advice)
	}
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.LastError == nil || status.LastError.Code != "client-refused" || status.State != workstation.NotConnected {
		t.Errorf("%+v %v", status, err)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	if err != nil || report.OK || checkOf(t, report, "token").Result != workstation.Fail || checkOf(t, report, "read").Result != workstation.Skipped {
		t.Errorf("%+v %v", report, err)
	}
	edit := reg.Input()
	edit.ClientID = "service"
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, edit); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	if status, err = b.Status(t.Context(), reg.ID); err != nil || status.LastError != nil || status.State != workstation.Connected {
		t.Errorf("a later success does not clear the failure: %+v %v", status, err)
	}

	// Scopes that the server narrows are told; those that it refuses are named.
	edit.Scopes = []string{"system/Patient.cruds", "system/Observation.rs"}
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, edit); err != nil {
		t.Fatal(err)
	}
	if status, err = b.Refresh(t.Context(), reg.ID); err != nil || !strings.Contains(status.ScopesNote, "only reading and searching were granted") {
		t.Errorf("%q %v", status.ScopesNote, err)
	}

	// A server that is away is not asked at every use.
	if err := b.ehr.SetFaults("token-503"); err != nil {
		t.Fatal(err)
	}
	b.clock.pass(10 * time.Minute)
	before := b.wire.count(fetched)
	for range 3 {
		if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err == nil {
			t.Error("a read without a token")
		}
	}
	if n := b.wire.count(fetched) - before; n != 1 {
		t.Errorf("%d requests to a server that is away", n)
	}
}

func TestOnlyAnAdminUsesABackendService(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.service(t)
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddProfile(t.Context(), workstation.NewProfile{Name: "Nurse", Role: workstation.RoleClinician, Passcode: secret.New("nurse-passcode"), OwnPasscode: secret.New("owner-passcode")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Unlock(t.Context(), workstation.UnlockRequest{Profile: "Nurse", Passcode: secret.New("nurse-passcode")}); err != nil {
		t.Fatal(err)
	}
	before := b.wire.count(fetched)
	_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "role-needed")
	_, err = b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "role-needed")
	_, err = b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	wantCode(t, err, "role-needed")
	_, err = b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	wantCode(t, err, "role-needed")
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	if err != nil || !report.OK || checkOf(t, report, "token").Result != workstation.Skipped {
		t.Errorf("%+v %v", report, err)
	}
	if n := b.wire.count(fetched); n != before {
		t.Error("a token was fetched for a clinician")
	}

	if err := b.Unlock(t.Context(), workstation.UnlockRequest{Profile: "owner", Passcode: secret.New("owner-passcode")}); err != nil {
		t.Fatal(err)
	}
	log, err := b.AuditLog(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for what, is := range map[string]func(audit.Activity) bool{
		"the token":              func(a audit.Activity) bool { return a.Action == audit.Refresh && a.Detail == "service-token" },
		"the read, by type":      func(a audit.Activity) bool { return a.Action == audit.Read && a.Resource == "Patient" },
		"whom the read concerns": func(a audit.Activity) bool { return a.Action == audit.Read && a.Patient == "Patient/amara-nwosu" },
		"the clinician's test":   func(a audit.Activity) bool { return a.Action == audit.Test && a.ProfileName == "Nurse" },
	} {
		if !slices.ContainsFunc(log, is) {
			t.Errorf("the activity record lacks %s", what)
		}
	}
}

func TestALockForgetsTheServicesToken(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.service(t)
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	if err := b.Lock(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if status, err := b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.NotConnected {
		t.Errorf("%+v %v", status, err)
	}
	_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "vault-locked")
	if err := b.Unlock(t.Context(), workstation.UnlockRequest{Passphrase: secret.New("a long test passphrase")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil || b.wire.count(fetched) != 2 {
		t.Errorf("%v, %d fetched", err, b.wire.count(fetched))
	}
}

// A token that was got for one server, client or set of scopes serves no other.
func TestAnEditedServiceGetsATokenOfItsOwn(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.service(t)
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	first := b.wire.shown()
	other := newKeyBench(t, simulator.Settings{})
	edit := reg.Input()
	edit.FHIRBaseURL = other.ehr.FHIRBaseURL()
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, edit); err != nil {
		t.Fatal(err)
	}
	if status, err := b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.NotConnected {
		t.Errorf("%+v %v", status, err)
	}
	if err := other.ehr.Register(simulator.Client{ID: "service", Type: simulator.ConfidentialAsymmetric, GrantTypes: []string{fetched}, JWKSURI: b.keySetURL}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	if all := b.wire.shown(); len(all) != 2 || all[0] != first[0] {
		t.Errorf("%d tokens were shown", len(all))
	}
	edit.Scopes = []string{"system/Observation.rs"}
	if _, _, err := b.SaveRegistration(t.Context(), reg.ID, edit); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err == nil {
		t.Error("a read beyond the new scopes went through")
	}
}

func TestWhatABackendServiceCannotBe(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	for name, c := range map[string]struct {
		change func(*workstation.RegistrationInput)
		field  string
	}{
		"a public client": {func(in *workstation.RegistrationInput) { in.ClientType = "public" }, "client_type"},
		"a client with a secret": {func(in *workstation.RegistrationInput) {
			in.ClientType, in.ClientSecret = "confidential-symmetric", "x-secret"
		}, "client_type"},
		"a user's scope": {func(in *workstation.RegistrationInput) {
			in.Scopes = []string{"system/Patient.rs", "patient/Patient.rs"}
		}, "scopes"},
		"offline access":    {func(in *workstation.RegistrationInput) { in.Scopes = []string{"offline_access"} }, "scopes"},
		"another kind":      {func(in *workstation.RegistrationInput) { in.Kind = "daemon" }, "kind"},
		"no client ID":      {func(in *workstation.RegistrationInput) { in.ClientID = "" }, "client_id"},
		"no FHIR server":    {func(in *workstation.RegistrationInput) { in.FHIRBaseURL = "" }, "fhir_base_url"},
		"a launch's scopes": {func(in *workstation.RegistrationInput) { in.Scopes = []string{"launch/patient"} }, "scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			in := workstation.RegistrationInput{Name: "Nightly", Kind: workstation.KindBackend, FHIRBaseURL: b.ehr.FHIRBaseURL(), ClientID: "service"}
			c.change(&in)
			_, _, err := b.SaveRegistration(t.Context(), "", in)
			wantCode(t, err, "invalid-registration")
			var invalid *workstation.InvalidInput
			if !errors.As(err, &invalid) || !slices.ContainsFunc(invalid.Problems, func(p workstation.FieldProblem) bool { return p.Field == c.field && p.Level == "error" }) {
				t.Errorf("%+v", invalid)
			}
		})
	}
	_, problems, err := b.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Other", Kind: workstation.KindBackend, FHIRBaseURL: b.ehr.FHIRBaseURL(), ClientID: "service", RedirectURIs: []string{b.redirect}})
	if err != nil || !slices.ContainsFunc(problems, func(p workstation.FieldProblem) bool { return p.Field == "redirect_uris" && p.Level == "notice" }) {
		t.Errorf("redirect URIs are left out without a word: %+v %v", problems, err)
	}
	// A registration stays what it is; an edit that does not say keeps it.
	reg := b.service(t)
	edit := reg.Input()
	edit.Kind = ""
	if again, _, err := b.SaveRegistration(t.Context(), reg.ID, edit); err != nil || again.Kind != workstation.KindBackend {
		t.Errorf("%+v %v", again, err)
	}
	edit.Kind = workstation.KindApp
	_, _, err = b.SaveRegistration(t.Context(), reg.ID, edit)
	wantCode(t, err, "invalid-registration")
	app := b.keyed(t)
	turned := app.Input()
	turned.Kind = workstation.KindBackend
	_, _, err = b.SaveRegistration(t.Context(), app.ID, turned)
	wantCode(t, err, "invalid-registration")
}

// A launch from a server that has an app and a service is the app's.
func TestNoLaunchGoesToABackendService(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.service(t)
	wantCode(t, b.ApproveIssuer(t.Context(), b.ehr.FHIRBaseURL(), reg.ID), "sign-in-not-needed")
	advice, err := b.ScopeAdvice(t.Context(), reg.ID)
	if err != nil || len(advice.Sets) != 1 || advice.Sets[0].Context != "backend" || len(advice.Sets[0].Warnings) != 0 || advice.Granted != nil {
		t.Errorf("%+v %v", advice, err)
	}
	kit, err := b.Kit(t.Context(), reg.ID)
	if err != nil || len(kit.RedirectURIs) != 0 || kit.LaunchURL != "" || len(kit.PublicKeys) != 1 {
		t.Errorf("%+v %v", kit, err)
	}
	if urls, err := b.CallbackURLs(t.Context()); err != nil || slices.Contains(urls, "") {
		t.Errorf("%v %v", urls, err)
	}
}

// A server for backend services alone names no sign-in.
func TestABackendServiceWhereThereIsNoSignIn(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	b.wire.answering(func(r *http.Request, _ string) (int, string, bool) {
		return 200, `{"token_endpoint":"` + b.ehr.Origin() + `/auth/token","grant_types_supported":["client_credentials"],"token_endpoint_auth_methods_supported":["private_key_jwt"],` +
			`"capabilities":["client-confidential-asymmetric","permission-v2"]}`, strings.HasSuffix(r.URL.Path, "/smart-configuration")
	})
	reg := b.service(t)
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	if err != nil || !report.OK || checkOf(t, report, "support").Result != workstation.Pass || checkOf(t, report, "introspection").Result != workstation.Skipped {
		t.Errorf("%+v %v", report, err)
	}
	if survey, err := b.Survey(t.Context(), reg.ID, nil); err != nil || slices.ContainsFunc(survey.Items, func(i workstation.SurveyItem) bool {
		return i.ID == "authorization-endpoint" || i.ID == "capability-launch-ehr" || i.ID == "capability-launch-standalone"
	}) {
		t.Errorf("%+v %v", survey, err)
	}
	d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	if err != nil || d.Revocation != "not_offered" {
		t.Errorf("%+v %v", d, err)
	}
	app := b.keyed(t)
	_, err = b.BeginConnect(t.Context(), app.ID, workstation.ConnectOptions{})
	wantCode(t, err, "sign-in-not-offered")
}

func TestABackendServiceOnAServerOfSMART1(t *testing.T) {
	b := newOtherBench(t, otherOptions{configuration: func(doc map[string]any) {
		doc["capabilities"] = []string{"client-confidential-asymmetric", "permission-v1"}
	}})
	reg, _, err := b.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Old", Kind: workstation.KindBackend, FHIRBaseURL: b.server.FHIRBaseURL(), ClientID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil); err != nil {
		t.Fatal(err)
	}
	if reg, err = b.Registration(t.Context(), reg.ID); err != nil || !slices.Contains(reg.Scopes, "system/Patient.read") {
		t.Errorf("%v %v", reg.Scopes, err)
	}
}
