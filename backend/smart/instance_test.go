package smart_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
)

// TestACopyOfAnAppRegisters follows Epic's documentation of offline access for
// native apps, from the first sign-in to tokens without a further one.
func TestACopyOfAnAppRegisters(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	app := smart.ClientAuth{Type: smart.Public, ClientID: "chartkey-demo"}
	key := rsaKey(t)
	connect := func(words string) smart.TokenResponse {
		t.Helper()
		a, code := s.authorize(t, app.ClientID, words)
		first, err := s.client.Exchange(t.Context(), s.cfg, app, a, code)
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	register := func(software string, key smart.ClientKey, token secret.Value) (smart.RegisteredClient, error) {
		return s.client.RegisterInstance(t.Context(), s.cfg, software, key, token)
	}
	plain := connect("launch/patient patient/*.rs")
	first := connect("openid fhirUser launch/patient patient/*.rs " + smart.RegisterScope)
	for name, c := range map[string]struct {
		software string
		key      smart.ClientKey
		token    secret.Value
		code     string
	}{
		"no token":              {app.ClientID, key, secret.Value{}, "registration-token-missing"},
		"no key":                {app.ClientID, smart.ClientKey{}, first.AccessToken, "client-key-missing"},
		"no app":                {"", key, first.AccessToken, "client-id-missing"},
		"a token for something": {app.ClientID, key, plain.AccessToken, "registration-not-allowed"},
		"a made-up token":       {app.ClientID, key, secret.New("made-up-token"), "registration-token-refused"},
		"another app":           {"chartkey-provider", key, first.AccessToken, "registration-refused"},
	} {
		if got, err := register(c.software, c.key, c.token); fault.Code(err) != c.code || got.ClientID != "" {
			t.Errorf("%s: %+v %v", name, got, err)
		} else if f := fault.From(err); f.Advice == "" || strings.Contains(f.Message+f.Advice, "made-up") {
			t.Errorf("%s: %+v", name, f)
		}
	}

	s.wire.take()
	client, err := register(app.ClientID, key, first.AccessToken)
	if err != nil {
		t.Fatal(err, s.verdict())
	}
	if client.ClientID == "" || client.ClientID == app.ClientID || client.Type != smart.Public || client.AuthMethod != smart.AuthNone || !client.Secret.IsEmpty() || client.IssuedAt.IsZero() || len(client.Warnings) != 0 {
		t.Errorf("%+v", client)
	}
	sent := s.wire.take()[0]
	if sent.header.Get("Authorization") != "Bearer "+first.AccessToken.Reveal() || sent.header.Get("Content-Type") != "application/json" ||
		strings.Contains(sent.body, `"d"`) || strings.Contains(sent.body, "redirect_uris") || !strings.Contains(sent.body, `"software_id":"chartkey-demo"`) || !strings.Contains(sent.body, key.ID()) {
		t.Errorf("%v %s", sent.header, sent.body)
	}
	if status := reads(t, s.FHIRBaseURL()+"/Patient/amara-nwosu", first.AccessToken.Reveal()); status != http.StatusUnauthorized {
		t.Errorf("the first token still reads: %d", status)
	}
	if _, err := register(app.ClientID, key, first.AccessToken); fault.Code(err) != "registration-token-refused" {
		t.Errorf("the first token registers twice: %v", err)
	}

	auth := smart.ClientAuth{Type: client.Type, ClientID: client.ClientID, Key: key}
	for range 2 {
		s.wire.take()
		got, err := s.client.JWTBearer(t.Context(), s.cfg, auth, first.Scopes)
		if err != nil {
			t.Fatal(err, s.verdict())
		}
		if got.Context.Patient != "amara-nwosu" || !got.RefreshToken.IsEmpty() || !got.IDToken.IsEmpty() || got.ExpiresAt.IsZero() || got.Scopes.Has(smart.RegisterScope) || got.AuthMethod != smart.AuthNone || len(got.Warnings) != 0 {
			t.Errorf("%+v", got)
		}
		form := s.wire.take()[0].form
		header, claims := readAssertion(t, form.Get("assertion"), key)
		if len(form) != 3 || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || form.Get("client_id") != client.ClientID || header.KeyID != key.ID() ||
			claims["iss"] != client.ClientID || claims["sub"] != client.ClientID || claims["aud"] != s.cfg.TokenEndpoint {
			t.Errorf("%v %v", form, claims)
		}
		if status := reads(t, s.FHIRBaseURL()+"/Patient/amara-nwosu", got.AccessToken.Reveal()); status != http.StatusOK {
			t.Errorf("the token reads nothing: %d", status)
		}
	}

	// It asks about its token and ends it as the public client that it is.
	last, err := s.client.JWTBearer(t.Context(), s.cfg, auth, first.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	for _, active := range []bool{true, false} {
		if told, err := s.client.Introspect(t.Context(), s.cfg, auth, last.AccessToken); err != nil || told.Active != active {
			t.Errorf("%+v %v, %s", told, err, s.verdict())
		}
		if err := s.client.Revoke(t.Context(), s.cfg, auth, secret.Value{}, last.AccessToken); err != nil {
			t.Error(err, s.verdict())
		}
	}

	// A clock that is far off must not end the connection: it is corrected.
	s.client.Now = func() time.Time { return time.Now().Add(-20 * time.Minute) }
	s.wire.take()
	if got, err := s.client.JWTBearer(t.Context(), s.cfg, auth, first.Scopes); err != nil || len(s.wire.take()) != 2 || got.ServerClockOffset < 19*time.Minute {
		t.Errorf("%+v %v", got, err)
	}
	s.client.Now = nil

	for name, c := range map[string]struct {
		auth smart.ClientAuth
		code string
	}{
		"another key":   {asymmetric(client.ClientID, ecKey(t)), smart.CodeGrantEnded},
		"the app":       {asymmetric(app.ClientID, key), "client-not-allowed"},
		"no such copy":  {asymmetric("registered-nothing", key), "client-refused"},
		"no key":        {asymmetric(client.ClientID, smart.ClientKey{}), "client-key-missing"},
		"no client":     {asymmetric("", key), "client-id-missing"},
		"no key at all": {smart.ClientAuth{Type: smart.Public, ClientID: client.ClientID}, "client-key-missing"},
		"a secret":      {smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: client.ClientID, Secret: secret.New("s")}, "instance-client-type"},
	} {
		if _, err := s.client.JWTBearer(t.Context(), s.cfg, c.auth, nil); fault.Code(err) != c.code {
			t.Errorf("%s: %v, %s", name, err, s.verdict())
		}
	}
}

func TestWhereCopiesRegister(t *testing.T) {
	for _, c := range []struct{ registration, token, want string }{
		{"https://ehr.example/register", "https://ehr.example/token", "https://ehr.example/register"},
		// Epic documents the address and names it nowhere in its metadata.
		{"", "https://fhir.epic.com/interconnect-fhir-oauth/oauth2/token", "https://fhir.epic.com/interconnect-fhir-oauth/oauth2/register"},
		{"", "https://ehr.example/token", ""},
		{"", "", ""},
	} {
		if got := (smart.Configuration{RegistrationEndpoint: c.registration, TokenEndpoint: c.token}).InstanceRegistrationEndpoint(); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	if _, err := (&smart.Client{}).RegisterInstance(t.Context(), smart.Configuration{TokenEndpoint: "https://ehr.example/token"}, "app", ecKey(t), secret.New("token")); fault.Code(err) != "registration-unsupported" {
		t.Error(err)
	}
}

func TestACopyKeepsNoRefreshToken(t *testing.T) {
	e := newEHR(t)
	// Epic's own example, and what should not be beside it.
	e.token = says(200, `{"access_token":"at","token_type":"Bearer","expires_in":3600,"scope":"patient/Patient.read launch/patient offline_access","state":"oYK9","patient":"eUYSU3eH0lceii-4SYNvpPw3","__epic.dstu2.patient":"TJR7","refresh_token":"rt","id_token":"x.y.z"}`)
	r, err := (&smart.Client{}).JWTBearer(t.Context(), e.cfg(), asymmetric("G1", rsaKey(t)), nil)
	if err != nil || r.Context.Patient != "eUYSU3eH0lceii-4SYNvpPw3" || string(r.Context.Extra["__epic.dstu2.patient"]) != `"TJR7"` || !r.RefreshToken.IsEmpty() || !r.IDToken.IsEmpty() || len(r.Warnings) != 1 {
		t.Errorf("%+v %v", r, err)
	}
}
