package workstation_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"
)

func TestAServerRegistersTheApp(t *testing.T) {
	for clientType, c := range map[string]struct {
		kind, secret string
	}{
		"public":                  {"", "none"},
		"confidential-symmetric":  {"", "set"},
		"confidential-asymmetric": {"", "none"},
		"":                        {workstation.KindBackend, "none"},
	} {
		t.Run(clientType+c.kind, func(t *testing.T) {
			b := newKeyBench(t, simulator.Settings{})
			reg, problems, err := b.RegisterApp(t.Context(), workstation.RegistrationInput{Name: "Mercy", Kind: c.kind, FHIRBaseURL: b.ehr.FHIRBaseURL(), ClientType: clientType, RedirectURIs: b.redirects(c.kind)}, secret.Value{})
			if err != nil || !strings.HasPrefix(reg.ClientID, "registered-") || reg.ClientSecret != c.secret || reg.Kind == "" {
				t.Fatalf("%+v %v", reg, err)
			}
			if clientType != "" && reg.ClientType != clientType {
				t.Errorf("it is a %s client", reg.ClientType)
			}
			for _, p := range problems {
				t.Errorf("%+v", p)
			}
			if !reg.ScopesDefault {
				t.Errorf("the scopes are no longer the default: %v", reg.Scopes)
			}
			// The app that was registered works, with the very key that was sent.
			if c.kind == "" {
				if status, err := b.signIn(t, reg.ID, amara); err != nil || status.State != workstation.Connected || !status.Refreshable {
					t.Fatalf("%+v %v", status, err)
				}
				if _, err := b.Refresh(t.Context(), reg.ID); err != nil {
					t.Error(err)
				}
			}
			report, err := b.Test(t.Context(), reg.ID, workstation.LayerAll, nil)
			if err != nil || !report.OK || checkOf(t, report, "read").Result != workstation.Pass {
				t.Errorf("%+v %v", report, err)
			}
			keys, err := b.ClientKeys(t.Context(), reg.ID)
			if err != nil || len(keys) != map[bool]int{true: 1}[reg.ClientType == "confidential-asymmetric"] {
				t.Errorf("keys %+v %v", keys, err)
			}
		})
	}
}

func (b *keyBench) redirects(kind string) []string {
	if kind == workstation.KindBackend {
		return nil
	}
	return []string{b.redirect}
}

func TestARegistrationThatTheServerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		code   string
	}{
		"it offers none":            {404, `{}`, "registration-unsupported"},
		"it knows no such app":      {401, `{}`, "registration-not-allowed"},
		"the particulars":           {400, `{"error":"invalid_client_metadata","error_description":"no thank you"}`, "registration-refused"},
		"it is busy":                {503, ``, "server-unavailable"},
		"another way to sign in":    {201, `{"client_id":"new-one","token_endpoint_auth_method":"client_secret_basic","client_secret":"s"}`, "registration-auth-method"},
		"other redirect URIs":       {201, `{"client_id":"new-one","token_endpoint_auth_method":"none","redirect_uris":["https://evil.example/"]}`, "registration-redirect-uri"},
		"no client ID":              {201, `{}`, "registration-invalid"},
		"a client ID that is a URL": {201, `{"client_id":"https://x.example/app","token_endpoint_auth_method":"none"}`, "invalid-registration"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench(t, simulator.Settings{})
			b.wire.answering(func(r *http.Request, _ string) (int, string, bool) {
				return c.status, c.answer, strings.HasSuffix(r.URL.Path, "/register")
			})
			_, _, err := b.RegisterApp(t.Context(), workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: b.ehr.FHIRBaseURL(), RedirectURIs: []string{b.redirect}}, secret.Value{})
			f := wantCode(t, err, c.code)
			if named := strings.Contains(f.Message, "new-one"); named != strings.Contains(c.answer, "new-one") {
				t.Errorf("%q", f.Message)
			}
			if regs, err := b.Registrations(t.Context()); err != nil || len(regs) != 0 {
				t.Errorf("%d registrations were saved (%v)", len(regs), err)
			}
		})
	}
}

func TestWhatIsWrongIsToldBeforeTheServerIsAsked(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	b.register(t)
	for name, in := range map[string]workstation.RegistrationInput{
		"no name":          {FHIRBaseURL: b.ehr.FHIRBaseURL()},
		"a name twice":     {Name: "mercy", FHIRBaseURL: b.ehr.FHIRBaseURL()},
		"no URL":           {Name: "x"},
		"a wrong scope":    {Name: "x", FHIRBaseURL: b.ehr.FHIRBaseURL(), Scopes: []string{"patient/observation.rs"}},
		"no client type":   {Name: "x", FHIRBaseURL: b.ehr.FHIRBaseURL(), ClientType: "secretive"},
		"a public service": {Name: "x", FHIRBaseURL: b.ehr.FHIRBaseURL(), Kind: workstation.KindBackend, ClientType: "public"},
	} {
		_, _, err := b.RegisterApp(t.Context(), in, secret.Value{})
		f := wantCode(t, err, "invalid-registration")
		var invalid *workstation.InvalidInput
		if !errors.As(f, &invalid) || strings.Contains(f.Message, "to-be-") {
			t.Errorf("%s: %q", name, f.Message)
		}
	}
	if n := b.asked("/auth/register"); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	// Without a vault, a secret or a key could not be kept: nothing is asked for.
	w, err := workstation.Open(t.Context(), workstation.Options{Home: t.TempDir(), Now: b.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, _, err = w.RegisterApp(t.Context(), workstation.RegistrationInput{Name: "x", FHIRBaseURL: b.ehr.FHIRBaseURL(), ClientType: "confidential-symmetric"}, secret.Value{})
	wantCode(t, err, "keyring-unavailable")
	if n := b.asked("/auth/register"); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestTheInitialAccessTokenIsShownAndNotKept(t *testing.T) {
	b := newKeyBench(t, simulator.Settings{})
	const token = "initial-token-4711-canary"
	var sent map[string]any
	var shown string
	b.wire.answering(func(r *http.Request, body string) (int, string, bool) {
		if !strings.HasSuffix(r.URL.Path, "/register") {
			return 0, "", false
		}
		shown = r.Header.Get("Authorization")
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Error(err)
		}
		return 201, `{"client_id":"app","token_endpoint_auth_method":"none","scope":"openid patient/Patient.rs launch/patient","client_id_issued_at":1}`, true
	})
	reg, problems, err := b.RegisterApp(t.Context(), workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: b.ehr.FHIRBaseURL(), RedirectURIs: []string{b.redirect}}, secret.New(token))
	if err != nil || shown != "Bearer "+token {
		t.Fatalf("%+v %v", reg, err)
	}
	for member, want := range map[string]any{
		"token_endpoint_auth_method": "none", "grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"}, "redirect_uris": []any{b.redirect},
		"launch_url": workstation.DefaultLaunchURL, "client_name": "Chartkey",
	} {
		if got := sent[member]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v", member, got)
		}
	}
	if scopes, _ := sent["scope"].(string); !slices.Contains(strings.Fields(scopes), "launch") || !slices.Contains(strings.Fields(scopes), "offline_access") {
		t.Errorf("scope is %v", sent["scope"])
	}
	// The server registered fewer scopes: those are asked for, and it is said.
	if !slices.Equal(slices.Sorted(slices.Values(reg.Scopes)), []string{"launch/patient", "openid", "patient/Patient.rs"}) {
		t.Errorf("scopes %v", reg.Scopes)
	}
	if !slices.ContainsFunc(problems, func(p workstation.FieldProblem) bool {
		return p.Field == "scopes" && strings.Contains(p.Message, "patient/Observation.rs")
	}) {
		t.Errorf("%+v", problems)
	}
	for name, content := range filesOf(t, b.home) {
		if strings.Contains(content, token) {
			t.Errorf("%s holds the token", name)
		}
	}
}
