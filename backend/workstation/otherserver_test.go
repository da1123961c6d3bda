package workstation_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

// otherBench is a workstation beside an EHR with an authorization server that
// was not written here.
type otherBench struct {
	bench
	server *otherServer
}

func newOtherBench(t *testing.T, o otherOptions) *otherBench {
	t.Helper()
	b := &otherBench{bench: bench{home: filepath.Join(t.TempDir(), "data"), clock: &clock{}, redirect: freeRedirect(t)}}
	b.server = newOtherServer(t, b.redirect, o)
	b.Workstation = openDesk(t, b.home, b.clock)
	return b
}

// registered saves a registration; a secret makes it a confidential one.
func (b *otherBench) registered(t *testing.T, clientID, secret string, change ...func(*workstation.RegistrationInput)) workstation.Registration {
	t.Helper()
	in := workstation.RegistrationInput{Name: clientID, FHIRBaseURL: b.server.FHIRBaseURL(), ClientID: clientID, RedirectURIs: []string{b.redirect}}
	if secret != "" {
		in.ClientType, in.ClientSecret = "confidential-symmetric", secret
	}
	for _, c := range change {
		c(&in)
	}
	reg, _, err := b.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func (b *otherBench) mustSignIn(t *testing.T, ref string, choice simulator.Choice) workstation.Status {
	t.Helper()
	status, err := b.signIn(t, ref, choice)
	if err != nil || status.State != workstation.Connected {
		t.Fatalf("the sign-in gave %+v %v", status, err)
	}
	return status
}

// active asks the authorization server about a token.
func (b *otherBench) active(t *testing.T, token string) bool {
	t.Helper()
	who, err := b.server.introspect(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return who.Active
}

func wantPassed(t *testing.T, report workstation.TestReport, err error) {
	t.Helper()
	if err != nil || !report.OK || len(report.Checks) == 0 {
		t.Fatalf("%+v %v", report, err)
	}
	for _, c := range report.Checks {
		if c.Result != workstation.Pass {
			t.Errorf("%s: %s, %s", c.ID, c.Result, c.Detail)
		}
	}
}

var okafor = simulator.Choice{Username: "dr.okafor", Password: "clinician-pass1"}

// onlyPost makes a server that takes secrets in the body alone, which the
// library cannot say of itself.
func onlyPost(doc map[string]any) {
	doc["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
}

func TestOtherServerTheMainJob(t *testing.T) {
	for name, c := range map[string]struct {
		options        otherOptions
		client, secret string
		method         string // by which the client is to prove itself
	}{
		"public":                       {otherOptions{}, nativeClient, "", "none"},
		"client_secret_basic":          {otherOptions{}, basicClient, otherSecret, "client_secret_basic"},
		"client_secret_post":           {otherOptions{configuration: onlyPost}, postClient, postedSecret, "client_secret_post"},
		"public, other routes":         {otherOptions{asServer: true}, nativeClient, "", "none"},
		"client_secret_basic, as well": {otherOptions{asServer: true}, basicClient, otherSecret, "client_secret_basic"},
		"client_secret_post, as well":  {otherOptions{asServer: true, configuration: onlyPost}, postClient, postedSecret, "client_secret_post"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newOtherBench(t, c.options)
			reg := b.registered(t, c.client, c.secret)
			report, err := b.Test(t.Context(), reg.ID, workstation.LayerConfiguration, nil)
			wantPassed(t, report, err)

			status := b.mustSignIn(t, reg.ID, amara)
			if status.Patient == nil || *status.Patient != "amara-nwosu" {
				t.Errorf("patient = %v", status.Patient)
			}
			if want := b.server.FHIRBaseURL() + "/Patient/amara-nwosu"; status.FHIRUser == nil || *status.FHIRUser != want {
				t.Errorf("fhirUser = %v, want %s", status.FHIRUser, want)
			}
			if !status.Refreshable || status.ScopesNote != "" || len(status.Warnings) > 0 || !slices.Contains(status.ScopesGranted, "offline_access") {
				t.Errorf("after connecting: %+v", status)
			}
			// The example's access tokens last five minutes.
			if life := status.AccessExpiresAt.Sub(b.clock.now()); life < 4*time.Minute || life > 5*time.Minute {
				t.Errorf("the access token lasts %s", life)
			}
			report, err = b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
			wantPassed(t, report, err)
			if status, err = b.Status(t.Context(), reg.ID); err != nil || status.PatientName == nil || !strings.Contains(*status.PatientName, "Nwosu") {
				t.Errorf("the live test did not learn the patient's name: %+v %v", status, err)
			}

			access, refresh := b.server.lastIssued(t, "access_token"), b.server.lastIssued(t, "refresh_token")
			if !b.active(t, access) {
				t.Fatal("the token in use is not active")
			}
			b.clock.pass(10 * time.Minute)
			if status, err = b.Status(t.Context(), reg.ID); err != nil || status.State != workstation.Expired {
				t.Fatalf("after ten minutes: %s %v", status.State, err)
			}
			if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
				t.Fatal(err)
			}
			renewed, rotated := b.server.lastIssued(t, "access_token"), b.server.lastIssued(t, "refresh_token")
			if rotated == refresh || b.active(t, access) || !b.active(t, renewed) {
				t.Errorf("the refresh token was rotated: %t; the old access token is active: %t, the new: %t", rotated != refresh, b.active(t, access), b.active(t, renewed))
			}
			// Only who kept the rotated token can go on from here.
			if status, err = b.Refresh(t.Context(), reg.ID); err != nil || status.State != workstation.Connected || status.RefreshedAt == nil {
				t.Fatalf("the second refresh: %+v %v", status, err)
			}
			if status.Patient == nil || status.FHIRUser == nil || !status.Refreshable || status.ScopesNote != "" {
				t.Errorf("the refresh lost something: %+v", status)
			}

			access, refresh = b.server.lastIssued(t, "access_token"), b.server.lastIssued(t, "refresh_token")
			d, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeAuto)
			if err != nil || d.Revocation != "revoked" || d.Status.State != workstation.NotConnected {
				t.Fatalf("%+v %v", d, err)
			}
			if b.active(t, access) {
				t.Error("the access token is active after the disconnect")
			}
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {c.client}}
			if c.secret != "" {
				form.Set("client_secret", c.secret)
			}
			if code, answer := b.server.post(t, "/auth/oauth/token", form); code != http.StatusBadRequest || answer["error"] != "invalid_grant" {
				t.Errorf("the refresh token after the disconnect: %d %v", code, answer["error"])
			}

			// The last of the token requests was the test's own.
			methods := append(b.server.methodsAt("/auth/oauth/token"), b.server.methodsAt("/auth/revoke")...)
			if i := len(b.server.methodsAt("/auth/oauth/token")) - 1; i >= 0 {
				methods = slices.Delete(methods, i, i+1)
			}
			if want := slices.Repeat([]string{c.method}, 5); !slices.Equal(methods, want) {
				t.Errorf("the client proved itself by %q, want %q", methods, want)
			}
		})
	}
}

func TestOtherServerRefusesAClientThatCannotProveItself(t *testing.T) {
	for name, c := range map[string]struct {
		options        otherOptions
		client, secret string
	}{
		"wrong secret, basic":        {otherOptions{}, basicClient, "wrong"},
		"wrong secret, encoded":      {otherOptions{}, basicClient, "wro%ng+"},
		"wrong secret, post":         {otherOptions{configuration: onlyPost}, postClient, "wrong"},
		"wrong secret, other routes": {otherOptions{asServer: true}, basicClient, "wro%ng+"},
		"registered as public":       {otherOptions{}, basicClient, ""},
		"as public, other routes":    {otherOptions{asServer: true}, basicClient, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newOtherBench(t, c.options)
			reg := b.registered(t, c.client, c.secret)
			_, err := b.signIn(t, reg.ID, amara)
			f := wantCode(t, err, "client-refused")
			if c.secret != "" && strings.Contains(f.Error()+f.Message+f.Advice, c.secret) {
				t.Errorf("the fault quotes the secret: %q", f.Message)
			}
			if n := b.server.grants(); n != 0 {
				t.Errorf("%d token answers were given", n)
			}
			status, err := b.Status(t.Context(), reg.ID)
			if err != nil || status.State != workstation.NotConnected || status.LastError == nil || status.LastError.Code != "client-refused" {
				t.Errorf("%+v %v", status, err)
			}
		})
	}
}

func TestOtherServerTheUserDeclines(t *testing.T) {
	b := newOtherBench(t, otherOptions{})
	reg := b.registered(t, nativeClient, "")
	no := amara
	no.Deny = true
	_, err := b.signIn(t, reg.ID, no)
	if f := wantCode(t, err, "denied"); !strings.Contains(f.Message, "The user said no.") {
		t.Errorf("the server's words are lost: %q", f.Message)
	}
	b.mustSignIn(t, reg.ID, amara)
}

// A redirect URI that is not registered, and a client that is not, end on the
// server's own page: the browser is not sent back (RFC 6749 section 4.1.2.1).
func TestOtherServerShowsAPageOfItsOwnForAWrongRegistration(t *testing.T) {
	b := newOtherBench(t, otherOptions{})
	elsewhere := freeRedirect(t)
	for name, reg := range map[string]workstation.Registration{
		"redirect URI": b.registered(t, basicClient, otherSecret, func(in *workstation.RegistrationInput) { in.RedirectURIs = []string{elsewhere} }),
		"client":       b.registered(t, "nobody", ""),
	} {
		t.Run(name, func(t *testing.T) {
			login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), amara); err == nil {
				t.Error("the server let the sign-in go on")
			}
			_, err = login.Wait(t.Context())
			wantCode(t, err, "sign-in-timeout")
		})
	}
}

// The code is worth nothing to who has seen it go by: the library holds it to
// the challenge that the client sent.
func TestOtherServerHoldsTheCodeToItsChallenge(t *testing.T) {
	for name, o := range map[string]otherOptions{"provider": {}, "other routes": {asServer: true}} {
		t.Run(name, func(t *testing.T) {
			b := newOtherBench(t, o)
			reg := b.registered(t, nativeClient, "")
			login, err := b.BeginConnect(t.Context(), reg.ID, workstation.ConnectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			hold := amara
			hold.Hold = true
			callback, err := simulator.SignIn(t.Context(), login.AuthorizationURL(), hold)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(callback)
			if err != nil {
				t.Fatal(err)
			}
			stolen := url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {b.redirect}, "client_id": {nativeClient}}
			if code, answer := b.server.post(t, "/auth/oauth/token", stolen); code != http.StatusBadRequest || answer["error"] != "invalid_request" {
				t.Errorf("without a verifier: %d %v", code, answer)
			}
			stolen.Set("code_verifier", strings.Repeat("x", 43))
			if code, answer := b.server.post(t, "/auth/oauth/token", stolen); code != http.StatusBadRequest || answer["error"] != "invalid_grant" {
				t.Errorf("with another verifier: %d %v", code, answer)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, callback, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := b.server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if status, err := login.Wait(t.Context()); err != nil || status.State != workstation.Connected {
				t.Errorf("with the client's own verifier: %+v %v", status, err)
			}
		})
	}
}

// Each id_token here was signed by the library, and is wrong for this sign-in.
func TestOtherServerIDTokensAreVerified(t *testing.T) {
	instead := func(b *otherBench, token string) {
		b.server.meddleWith(func(answer map[string]any) { answer["id_token"] = token })
	}
	for code, c := range map[string]struct {
		client  string
		options otherOptions
		before  func(t *testing.T, b *otherBench, reg workstation.Registration)
	}{
		"id-token-nonce": {client: nativeClient, before: func(t *testing.T, b *otherBench, reg workstation.Registration) {
			b.mustSignIn(t, reg.ID, amara)
			instead(b, b.server.lastIssued(t, "id_token"))
		}},
		"id-token-audience": {client: nativeClient, before: func(t *testing.T, b *otherBench, _ workstation.Registration) {
			b.mustSignIn(t, b.registered(t, basicClient, otherSecret).ID, amara)
			instead(b, b.server.lastIssued(t, "id_token"))
		}},
		"id-token-signature": {client: nativeClient, before: func(t *testing.T, b *otherBench, _ workstation.Registration) {
			twin := newOtherBench(t, otherOptions{}) // other keys
			twin.mustSignIn(t, twin.registered(t, nativeClient, "").ID, amara)
			instead(b, twin.server.lastIssued(t, "id_token"))
		}},
		"id-token-issuer":  {client: nativeClient, options: otherOptions{configuration: func(doc map[string]any) { doc["issuer"] = doc["issuer"].(string) + "/" }}},
		"id-token-expired": {client: lateClient},
	} {
		t.Run(code, func(t *testing.T) {
			b := newOtherBench(t, c.options)
			reg := b.registered(t, c.client, "")
			if c.before != nil {
				c.before(t, b, reg)
				if s, err := b.Status(t.Context(), reg.ID); err != nil {
					t.Fatal(err)
				} else if s.State == workstation.Connected {
					if _, err := b.Disconnect(t.Context(), reg.ID, workstation.RevokeNever); err != nil {
						t.Fatal(err)
					}
				}
			}
			_, err := b.signIn(t, reg.ID, amara)
			wantCode(t, err, code)
			status, err := b.Status(t.Context(), reg.ID)
			if err != nil || status.State != workstation.NotConnected || status.LastError == nil || status.LastError.Code != code {
				t.Errorf("%+v %v", status, err)
			}
			b.server.meddleWith(nil)
		})
	}
}

func TestOtherServerEndsAccess(t *testing.T) {
	b := newOtherBench(t, otherOptions{})
	reg := b.registered(t, nativeClient, "")
	b.mustSignIn(t, reg.ID, amara)
	t.Run("the access token alone, before its time", func(t *testing.T) {
		token := b.server.lastIssued(t, "access_token")
		if code, _ := b.server.post(t, "/auth/revoke", url.Values{"token": {token}, "client_id": {nativeClient}}); code != http.StatusOK || b.active(t, token) {
			t.Fatalf("the server did not end the token: %d", code)
		}
		b.server.mu.Lock()
		before := len(b.server.seen)
		b.server.mu.Unlock()
		if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
			t.Errorf("the refused token was not renewed: %v", err)
		}
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		if seen := b.server.seen[before:]; len(seen) != 2 || seen[0] != token || seen[1] == token {
			t.Errorf("the FHIR server saw %d tokens, and the ended one last: %t", len(seen), slices.Contains(seen[1:], token))
		}
	})
	t.Run("the whole grant", func(t *testing.T) {
		if err := b.server.storage.TerminateSession(t.Context(), "4711", nativeClient); err != nil {
			t.Fatal(err)
		}
		_, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu")
		wantCode(t, err, "grant-ended")
		status, err := b.Status(t.Context(), reg.ID)
		if err != nil || status.State != workstation.NeedsReconnect || status.Refreshable {
			t.Errorf("%+v %v", status, err)
		}
		b.mustSignIn(t, reg.ID, amara)
		if _, err := b.Read(t.Context(), reg.ID, "Patient/amara-nwosu"); err != nil {
			t.Error(err)
		}
	})
}

func TestOtherServerGrantsLess(t *testing.T) {
	b := newOtherBench(t, otherOptions{})
	reg := b.registered(t, plainClient, "")
	status := b.mustSignIn(t, reg.ID, amara)
	if status.Patient != nil || status.FHIRUser != nil {
		t.Errorf("what was not granted was told: %+v", status)
	}
	for _, want := range []string{"launch/patient was not granted", "fhirUser", "reading and searching allergies, conditions"} {
		if !strings.Contains(status.ScopesNote, want) {
			t.Errorf("the note %q does not say %q", status.ScopesNote, want)
		}
	}
	if strings.Contains(status.ScopesNote, "demographics") || strings.Contains(status.ScopesNote, "offline_access") {
		t.Errorf("the note %q names what was granted", status.ScopesNote)
	}
	// Neither patient nor user is known, so the live test can only search.
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	if err != nil || !report.OK {
		t.Fatalf("%+v %v", report, err)
	}
	i := slices.IndexFunc(report.Checks, func(c workstation.Check) bool { return c.ID == "read" })
	if i < 0 || !strings.Contains(report.Checks[i].Detail, "Patient?_count=1") {
		t.Errorf("%+v", report.Checks)
	}
}

func TestOtherServerAProviderIsSeenByTheUser(t *testing.T) {
	b := newOtherBench(t, otherOptions{})
	reg := b.registered(t, basicClient, otherSecret, func(in *workstation.RegistrationInput) { in.Audience = "provider" })
	status := b.mustSignIn(t, reg.ID, okafor)
	if status.Patient != nil || status.FHIRUser == nil || *status.FHIRUser != "Practitioner/nneka-okafor" {
		t.Fatalf("%+v", status)
	}
	report, err := b.Test(t.Context(), reg.ID, workstation.LayerLive, nil)
	wantPassed(t, report, err)
	if status, err = b.Status(t.Context(), reg.ID); err != nil || status.UserName == nil || !strings.Contains(*status.UserName, "Okafor") {
		t.Errorf("%+v %v", status, err)
	}
}
