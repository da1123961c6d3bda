package workstation_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/audit"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
	"chartkey/backend/workstation"
)

const byKey = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// registering saves a public app that asks to register its workstation.
func (b *keyBench) registering(t *testing.T, scopes ...string) workstation.Registration {
	t.Helper()
	in := b.input()
	in.Scopes = append([]string{"openid", "fhirUser", "launch/patient", "patient/Patient.rs", "patient/Observation.rs", smart.RegisterScope}, scopes...)
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// assertionOf gives the claims of the latest assertion by which a registered copy asked for a token.
func (b *keyBench) assertionOf(t *testing.T) (claims struct{ Iss, Sub, Aud, Jti string }) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(b.wire.last(t, "assertion").Get("assertion"), ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestAWorkstationRegistersItself(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.registering(t)
	status, err := b.signIn(t, reg.ID, amara)
	if err != nil || status.State != workstation.Connected || !status.Refreshable || status.LastError != nil {
		t.Fatalf("%+v %v", status, err)
	}
	if status.Patient == nil || *status.Patient != "amara-nwosu" || status.PatientName == nil || status.FHIRUser == nil {
		t.Errorf("whom it concerns is lost: %+v", status)
	}
	if slices.Contains(status.ScopesGranted, smart.RegisterScope) || slices.Contains(status.ScopesRequested, smart.RegisterScope) || status.ScopesNote != "" {
		t.Errorf("granted %v, note %q", status.ScopesGranted, status.ScopesNote)
	}
	if status.AccessEndsAt != nil || !strings.Contains(status.AccessEndsReason, "own key") {
		t.Errorf("%q", status.AccessEndsReason)
	}
	if b.asked("/auth/register") != 1 || b.wire.count(byKey) != 1 || b.wire.count("refresh_token") != 0 {
		t.Errorf("%d registrations, %d tokens by key", b.asked("/auth/register"), b.wire.count(byKey))
	}
	first := b.assertionOf(t)
	if first.Iss != first.Sub || first.Iss == "app" || first.Aud != b.ehr.Origin()+"/auth/token" || b.wire.last(t, "assertion").Get("client_id") != first.Iss {
		t.Errorf("%+v", first)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
	wantPassed(t, report, err)

	// It outlives the process and the access token, and each renewal has an assertion of its own.
	b.clock.pass(2 * time.Hour)
	second := b.open(t, b.home)
	if status, err := second.Status(t.Context(), reg.ID); err != nil || status.State != workstation.Expired {
		t.Errorf("after two hours: %+v %v", status, err)
	}
	if _, err := second.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
		t.Fatal(err)
	}
	next := b.assertionOf(t)
	if next.Iss != first.Iss || next.Jti == first.Jti || b.wire.count(byKey) != 2 {
		t.Errorf("%+v after %+v", next, first)
	}
	if status, err = b.Refresh(t.Context(), reg.ID); err != nil || status.RefreshedAt == nil || status.Patient == nil || b.wire.count(byKey) != 3 {
		t.Errorf("%+v %v", status, err)
	}
	log, err := b.AuditLog(t.Context(), 100)
	if err != nil || !slices.ContainsFunc(log, func(a audit.Activity) bool {
		return a.Action == audit.Registration && a.Detail == "instance" && a.Subject == first.Iss
	}) {
		t.Errorf("the activity record lacks the registration: %v", err)
	}
	for name, content := range filesOf(t, b.home) {
		if strings.Contains(content, `"kty":"RSA","d"`) || strings.Contains(content, `"d":"`) || strings.Contains(content, "PRIVATE KEY") {
			t.Errorf("%s holds a private key", name)
		}
		for _, token := range b.wire.shown() {
			if strings.Contains(content, token) {
				t.Errorf("%s holds a token", name)
			}
		}
	}

	token := b.wire.shown()[len(b.wire.shown())-1]
	d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
	if err != nil || !d.Revoked || d.Status.State != workstation.NotConnected {
		t.Errorf("%+v %v", d, err)
	}
	if form := b.wire.last(t, "token_type_hint"); form.Get("client_id") != first.Iss || form.Get("token") == "" || token == "" {
		t.Errorf("revoked by %q", form.Get("client_id"))
	}
	_, err = b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "not-connected")

	// The next sign-in has a client and a key of its own.
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	if again := b.assertionOf(t); again.Iss == first.Iss {
		t.Error("the second sign-in uses the first one's client")
	}
}

func TestTheKeyOfARegisteredWorkstationStaysInItsPlace(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.registering(t)
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	b.execSQL(t, "UPDATE grants SET instance = context")
	_, err := b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "vault-damaged")
	if status, err := b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.Connected {
		t.Errorf("%+v %v", status, err)
	}
}

func TestRenewalsByKeyAreOneAtATime(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.registering(t)
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	second := b.open(t, b.home)
	b.clock.pass(2 * time.Hour)
	before := b.wire.count(byKey)
	var wg sync.WaitGroup
	for i := range 16 {
		w := b.Workstation
		if i%2 == 1 {
			w = second
		}
		wg.Go(func() {
			if _, err := w.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := b.wire.count(byKey) - before; n != 1 {
		t.Errorf("%d renewals", n)
	}
	// Before it runs out, it is renewed in the background.
	b.clock.pass(55 * time.Minute)
	if n, err := b.RefreshDue(t.Context()); err != nil || n != 1 {
		t.Errorf("%d renewed, %v", n, err)
	}
}

func TestOnlyTheEndOfTheCopyNeedsASignIn(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.registering(t)
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	b.clock.pass(2 * time.Hour)
	for _, fault := range []string{"token-503", "token-429", "token-html", "token-truncated"} {
		if err := b.ehr.SetFaults(fault); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Refresh(t.Context(), reg.ID); err == nil {
			t.Errorf("%s: renewed", fault)
		}
		if status, err := b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.Expired || !status.Refreshable || status.LastError == nil {
			t.Errorf("%s: %+v %v", fault, status, err)
		}
	}
	if err := b.ehr.SetFaults(); err != nil {
		t.Fatal(err)
	}
	if status, err := b.Refresh(t.Context(), reg.ID); err != nil || status.State != workstation.Connected || status.LastError != nil {
		t.Fatalf("when all is well again: %+v %v", status, err)
	}

	b.ehr.Reset() // the copy is forgotten there: invalid_client
	_, err := b.Refresh(t.Context(), reg.ID)
	wantCode(t, err, "grant-ended")
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.State != workstation.NeedsReconnect || status.Refreshable || !strings.Contains(status.AccessEndsReason, "registered for itself") {
		t.Errorf("%+v %v", status, err)
	}
	asked := b.wire.count(byKey)
	_, err = b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "needs-reconnect")
	if b.wire.count(byKey) != asked {
		t.Error("what has ended is asked for again")
	}
	if status, err := b.signIn(t, reg.ID, amara); err != nil || status.State != workstation.Connected {
		t.Errorf("%+v %v", status, err)
	}
}

func TestWhatThePersonAllowedRunsOut(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{RefreshTokenLife: 24 * time.Hour})
	reg := b.registering(t)
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	b.clock.pass(48 * time.Hour)
	_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
	wantCode(t, err, "grant-ended") // invalid_grant
	if status, err := b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.NeedsReconnect {
		t.Errorf("%+v %v", status, err)
	}
}

// answering has a wire answer some requests itself.
func (w *wire) answering(f func(r *http.Request, body string) (status int, answer string, yes bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instead = f
}

func TestARegistrationThatFailsLeavesTheSignIn(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		scopes []string
		lasts  bool
	}{
		"the server does not do it":     {404, `{}`, nil, false},
		"it refuses":                    {403, `{"error":"insufficient_scope"}`, nil, false},
		"with a refresh token beside":   {403, `{"error":"insufficient_scope"}`, []string{"offline_access"}, true},
		"it is away":                    {503, ``, nil, false},
		"it answers with another key":   {201, `{"client_id":"x","jwks":{"keys":[{"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA"}]}}`, nil, false},
		"its answer is no registration": {201, `<html>`, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench(t, simulator.Settings{})
			reg := b.registering(t, c.scopes...)
			b.wire.answering(func(r *http.Request, _ string) (int, string, bool) {
				return c.status, c.answer, strings.HasSuffix(r.URL.Path, "/register")
			})
			status, err := b.signIn(t, reg.ID, amara)
			if err != nil || status.State != workstation.Connected || status.Refreshable != c.lasts {
				t.Fatalf("%+v %v", status, err)
			}
			if !slices.ContainsFunc(status.Warnings, func(w string) bool { return strings.Contains(w, "could not register itself") }) {
				t.Errorf("nothing is said: %v", status.Warnings)
			}
			if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
				t.Error(err)
			}
			if b.wire.count(byKey) != 0 {
				t.Error("a token was asked for by a key that is not registered")
			}
		})
	}
}

// The registration went well and the first token did not come: nothing is lost.
func TestTheFirstTokenByKeyMayComeLater(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.registering(t)
	b.wire.answering(func(_ *http.Request, body string) (int, string, bool) {
		return 503, "", strings.Contains(body, "jwt-bearer")
	})
	status, err := b.signIn(t, reg.ID, amara)
	if err != nil || status.State != workstation.Expired || !status.Refreshable || status.LastError == nil || status.Patient == nil {
		t.Fatalf("%+v %v", status, err)
	}
	b.wire.answering(nil)
	if status, err = b.Refresh(t.Context(), reg.ID); err != nil || status.State != workstation.Connected || status.LastError != nil {
		t.Errorf("%+v %v", status, err)
	}
	if b.asked("/auth/register") != 1 {
		t.Error("it registered once more")
	}
}

// The token that allows a registration goes to the server that gave it, and to no other.
func TestNoOtherServerRegistersAWorkstation(t *testing.T) {
	var seen []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"client_id":"x"}`)
	}))
	defer elsewhere.Close()
	b := newKeyBench(t, simulator.Settings{})
	b.wire.answering(func(r *http.Request, _ string) (int, string, bool) {
		if !strings.HasSuffix(r.URL.Path, "/smart-configuration") {
			return 0, "", false
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Error(err)
			return 0, "", false
		}
		defer resp.Body.Close()
		var doc map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
			t.Error(err)
		}
		doc["registration_endpoint"] = elsewhere.URL + "/register"
		text, err := json.Marshal(doc)
		if err != nil {
			t.Error(err)
		}
		return 200, string(text), true
	})
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	reg := b.registering(t)
	status, err := b.signIn(t, reg.ID, amara)
	if err != nil || status.State != workstation.Connected || status.Refreshable || len(seen) > 0 {
		t.Errorf("%+v %v; %d requests elsewhere", status, err, len(seen))
	}
}

// A sign-in as another person waits, with its key, until it is accepted.
func TestARegisteredCopyOfAnotherAccountWaits(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	reg := b.registering(t)
	if _, err := b.signIn(t, reg.ID, amara); err != nil {
		t.Fatal(err)
	}
	before := b.wire.count(byKey)
	_, err := b.signIn(t, reg.ID, simulator.Choice{Username: "daniel", Password: "patient-pass1"})
	wantCode(t, err, "account-changed")
	if b.wire.count(byKey) != before {
		t.Error("a connection that waits was used")
	}
	status, err := b.Status(t.Context(), reg.ID)
	if err != nil || status.Waiting == nil || *status.Patient != "amara-nwosu" {
		t.Fatalf("%+v %v", status, err)
	}
	if err := b.AcceptConnection(t.Context(), status.Waiting.ConnectionID); err != nil {
		t.Fatal(err)
	}
	if res, err := b.Read(t.Context(), reg.ID, "Patient/daniel-whitlock"); err != nil || res.ID != "daniel-whitlock" {
		t.Errorf("%+v %v", res, err)
	}
}
