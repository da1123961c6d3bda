package simulator

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func basic(id, secret string) func(*http.Request) {
	return func(req *http.Request) {
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret))))
	}
}

func TestTokenErrors(t *testing.T) {
	r := start(t, Options{})
	for name, test := range map[string]struct {
		change func(url.Values)
		edit   func(*http.Request)
		code   string
		status int
	}{
		"no grant_type":             {func(f url.Values) { f.Del("grant_type") }, nil, "invalid_request", 400},
		"password grant":            {func(f url.Values) { f.Set("grant_type", "password") }, nil, "unsupported_grant_type", 400},
		"no code":                   {func(f url.Values) { f.Del("code") }, nil, "invalid_request", 400},
		"unknown code":              {func(f url.Values) { f.Set("code", "guessed") }, nil, "invalid_grant", 400},
		"no redirect URI":           {func(f url.Values) { f.Del("redirect_uri") }, nil, "invalid_request", 400},
		"other redirect URI":        {func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:18320/callback") }, nil, "invalid_grant", 400},
		"no verifier":               {func(f url.Values) { f.Del("code_verifier") }, nil, "invalid_request", 400},
		"wrong verifier":            {func(f url.Values) { f.Set("code_verifier", strings.Repeat("a", 43)) }, nil, "invalid_grant", 400},
		"challenge as the verifier": {func(f url.Values) { f.Set("code_verifier", testChallenge) }, nil, "invalid_grant", 400},
		"short verifier":            {func(f url.Values) { f.Set("code_verifier", "short") }, nil, "invalid_grant", 400},
		"another client":            {func(f url.Values) { f.Set("client_id", "chartkey-provider") }, nil, "invalid_grant", 400},
		"no client":                 {func(f url.Values) { f.Del("client_id") }, nil, "invalid_client", 401},
		"unknown client":            {func(f url.Values) { f.Set("client_id", "nobody") }, nil, "invalid_client", 401},
		"public with a secret":      {func(f url.Values) { f.Set("client_secret", "x") }, nil, "invalid_client", 401},
		"confidential, no secret":   {func(f url.Values) { f.Set("client_id", "chartkey-confidential") }, nil, "invalid_client", 401},
		"confidential, wrong one": {func(f url.Values) {
			f.Set("client_id", "chartkey-confidential")
			f.Set("client_secret", "sandbox-secre")
		}, nil, "invalid_client", 401},
		"wrong Basic":         {func(f url.Values) { f.Del("client_id") }, basic("chartkey-confidential", "wrong"), "invalid_client", 401},
		"Basic and the body":  {func(f url.Values) { f.Set("client_secret", SandboxSecret) }, basic("chartkey-confidential", SandboxSecret), "invalid_request", 400},
		"two client IDs":      {func(url.Values) {}, basic("chartkey-confidential", SandboxSecret), "invalid_request", 400},
		"Basic of nonsense":   {func(url.Values) {}, func(q *http.Request) { q.Header.Set("Authorization", "Basic !!") }, "invalid_client", 401},
		"Bearer":              {func(url.Values) {}, func(q *http.Request) { q.Header.Set("Authorization", "Bearer x") }, "invalid_client", 401},
		"code twice":          {func(f url.Values) { f.Add("code", "x") }, nil, "invalid_request", 400},
		"client twice":        {func(f url.Values) { f.Add("client_id", "chartkey-demo") }, nil, "invalid_request", 400},
		"JSON":                {func(url.Values) {}, func(q *http.Request) { q.Header.Set("Content-Type", "application/json") }, "invalid_request", 400},
		"parameters in query": {func(url.Values) {}, func(q *http.Request) { q.URL.RawQuery = "code=x" }, "invalid_request", 400},
		"no refresh token":    {func(f url.Values) { f.Set("grant_type", "refresh_token") }, nil, "invalid_request", 400},
		"unknown refresh": {func(f url.Values) {
			f.Set("grant_type", "refresh_token")
			f.Set("refresh_token", "guessed")
		}, nil, "invalid_grant", 400},
	} {
		t.Run(name, func(t *testing.T) {
			in := r
			in.t = t
			form := exchangeForm(in.signIn(nil, Choice{}).Get("code"))
			test.change(form)
			resp, body := in.post("/auth/token", form, test.edit)
			if resp.StatusCode != test.status || body["error"] != test.code || word(body["error_description"]) == "" {
				t.Errorf("%d %v", resp.StatusCode, body)
			}
			if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", resp.Header)
			}
			if withBasic := test.edit != nil && test.status == 401; withBasic != strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic") {
				t.Errorf("WWW-Authenticate %q", resp.Header.Get("WWW-Authenticate"))
			}
			if body["access_token"] != nil {
				t.Error("a refusal with a token")
			}
		})
	}
	if resp, _ := r.do(mustRequest(t, r.Origin()+"/auth/token?grant_type=authorization_code")); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", resp.StatusCode)
	}
}

func TestConfidentialClient(t *testing.T) {
	awkward := "p+ss:w%rd/ö"
	r := start(t, Options{Clients: []Client{{ID: "my app:1", Type: ConfidentialSymmetric, Secret: awkward, RedirectURIs: []string{testRedirect}}}})
	for name, test := range map[string]struct {
		id, secret string
		body       bool
	}{
		"Basic":            {"chartkey-confidential", SandboxSecret, false},
		"body":             {"chartkey-confidential", SandboxSecret, true},
		"Basic, escaped":   {"my app:1", awkward, false},
		"body, any letter": {"my app:1", awkward, true},
	} {
		form := exchangeForm(r.signIn(map[string]string{"client_id": test.id}, Choice{}).Get("code"))
		form.Del("client_id")
		edit := basic(test.id, test.secret)
		if test.body {
			form.Set("client_id", test.id)
			form.Set("client_secret", test.secret)
			edit = nil
		}
		if resp, body := r.post("/auth/token", form, edit); resp.StatusCode != 200 || word(body["refresh_token"]) == "" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, body)
		}
	}
}

func TestCodeWorksOnceAndForAMinute(t *testing.T) {
	c := newClock()
	r := start(t, Options{Now: c.Now})
	code := r.signIn(nil, Choice{}).Get("code")
	c.add(59 * time.Second)
	_, body := r.post("/auth/token", exchangeForm(code), nil)
	access, refresh := word(body["access_token"]), word(body["refresh_token"])
	if resp, _ := r.get("Patient/amara-nwosu", access, nil); resp.StatusCode != 200 {
		t.Fatalf("before the replay: %d", resp.StatusCode)
	}

	resp, body := r.post("/auth/token", exchangeForm(code), nil)
	if resp.StatusCode != 400 || body["error"] != "invalid_grant" || !strings.Contains(r.lastVerdict(), "used before") {
		t.Errorf("replay: %d %v, verdict %q", resp.StatusCode, body, r.lastVerdict())
	}
	if resp, _ = r.get("Patient/amara-nwosu", access, nil); resp.StatusCode != 401 || !strings.Contains(r.lastVerdict(), "revoked") {
		t.Errorf("the access token after the replay: %d, %q", resp.StatusCode, r.lastVerdict())
	}
	if resp, _ = r.post("/auth/token", refreshForm(refresh), nil); resp.StatusCode != 400 {
		t.Errorf("the refresh token after the replay: %d", resp.StatusCode)
	}

	code = r.signIn(nil, Choice{}).Get("code")
	c.add(time.Minute)
	if resp, _ = r.post("/auth/token", exchangeForm(code), nil); resp.StatusCode != 400 || !strings.Contains(r.lastVerdict(), "expired") {
		t.Errorf("after a minute: %d, %q", resp.StatusCode, r.lastVerdict())
	}
}

func TestAWrongGuessSpendsTheCode(t *testing.T) {
	r := start(t, Options{})
	form := exchangeForm(r.signIn(nil, Choice{}).Get("code"))
	wrong := maps.Clone(form)
	wrong.Set("code_verifier", strings.Repeat("a", 43))
	r.post("/auth/token", wrong, nil)
	if got := r.lastVerdict(); !strings.Contains(got, "the PKCE verifier does not match the challenge") {
		t.Errorf("verdict %q", got)
	}
	if resp, _ := r.post("/auth/token", form, nil); resp.StatusCode != 400 {
		t.Errorf("the code still works: %d", resp.StatusCode)
	}
}

func TestRefreshRotates(t *testing.T) {
	c := newClock()
	r := start(t, Options{Now: c.Now})
	first := r.connect(nil, Choice{})
	_, second := r.post("/auth/token", refreshForm(word(first["refresh_token"])), nil)
	if word(second["refresh_token"]) == "" || second["refresh_token"] == first["refresh_token"] || second["access_token"] == first["access_token"] {
		t.Fatalf("no rotation: %v", second)
	}
	if second["patient"] != "amara-nwosu" || word(second["id_token"]) == "" || second["scope"] != first["scope"] {
		t.Errorf("the context is lost: %v", second)
	}
	// The thief comes with the old one: nobody keeps access.
	resp, body := r.post("/auth/token", refreshForm(word(first["refresh_token"])), nil)
	if resp.StatusCode != 400 || body["error"] != "invalid_grant" || !strings.Contains(r.lastVerdict(), "whole grant is revoked") {
		t.Errorf("reuse: %d %v, %q", resp.StatusCode, body, r.lastVerdict())
	}
	if resp, _ = r.post("/auth/token", refreshForm(word(second["refresh_token"])), nil); resp.StatusCode != 400 {
		t.Errorf("the new token after reuse: %d", resp.StatusCode)
	}
	if resp, _ = r.get("Patient/amara-nwosu", word(second["access_token"]), nil); resp.StatusCode != 401 {
		t.Errorf("the access token after reuse: %d", resp.StatusCode)
	}
}

func TestRefreshAtOnceFromTwoSides(t *testing.T) {
	r := start(t, Options{})
	token := word(r.connect(nil, Choice{})["refresh_token"])
	var wg sync.WaitGroup
	status := make([]int, 8)
	for i := range status {
		wg.Go(func() {
			resp, _ := r.post("/auth/token", refreshForm(token), nil)
			status[i] = resp.StatusCode
		})
	}
	wg.Wait()
	good := 0
	for _, s := range status {
		if s == 200 {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d of the refreshes were answered: %v", good, status)
	}
}

func TestFixedRefreshTokens(t *testing.T) {
	r := start(t, Options{Settings: Settings{FixedRefreshTokens: true}})
	token := word(r.connect(nil, Choice{})["refresh_token"])
	for range 3 {
		resp, body := r.post("/auth/token", refreshForm(token), nil)
		if resp.StatusCode != 200 || body["refresh_token"] != nil {
			t.Fatalf("%d %v", resp.StatusCode, body)
		}
	}
}

func TestRefreshNeverWidens(t *testing.T) {
	r := start(t, Options{})
	token := word(r.connect(nil, Choice{})["refresh_token"])
	more := refreshForm(token)
	more.Set("scope", "user/*.rs")
	if resp, body := r.post("/auth/token", more, nil); resp.StatusCode != 400 || body["error"] != "invalid_scope" {
		t.Errorf("more: %d %v", resp.StatusCode, body)
	}
	less := refreshForm(token)
	less.Set("scope", "patient/Observation.rs")
	_, body := r.post("/auth/token", less, nil)
	if body["scope"] != "patient/Observation.rs" || body["id_token"] != nil {
		t.Fatalf("less: %v", body)
	}
	if resp, _ := r.get("Patient/amara-nwosu", word(body["access_token"]), nil); resp.StatusCode != 403 {
		t.Errorf("the narrower token reads more: %d", resp.StatusCode)
	}
	_, body = r.post("/auth/token", refreshForm(word(body["refresh_token"])), nil)
	if scopes := word(body["scope"]); !strings.Contains(scopes, "patient/*.rs") {
		t.Errorf("the grant became narrower for good: %q", scopes)
	}
}

func TestARefreshTokenIsOneClients(t *testing.T) {
	r := start(t, Options{})
	token := word(r.connect(nil, Choice{})["refresh_token"])
	other := refreshForm(token)
	other.Set("client_id", "chartkey-provider")
	if resp, body := r.post("/auth/token", other, nil); resp.StatusCode != 400 || body["error"] != "invalid_grant" {
		t.Errorf("another client: %d %v", resp.StatusCode, body)
	}
	if resp, _ := r.post("/auth/token", refreshForm(token), nil); resp.StatusCode != 200 {
		t.Errorf("its own client afterwards: %d", resp.StatusCode)
	}
}

func TestOnlineAccessEndsWithTheSession(t *testing.T) {
	c := newClock()
	r := start(t, Options{Now: c.Now, Settings: Settings{AccessTokenLife: 24 * time.Hour, OnlineLife: time.Hour}})
	body := r.connect(map[string]string{"scope": "online_access patient/*.rs"}, Choice{})
	c.add(time.Hour)
	if resp, _ := r.post("/auth/token", refreshForm(word(body["refresh_token"])), nil); resp.StatusCode != 400 || !strings.Contains(r.lastVerdict(), "expired") {
		t.Errorf("%d %q", resp.StatusCode, r.lastVerdict())
	}
}

func TestHowLongAccessLasts(t *testing.T) {
	for name, test := range map[string]struct {
		scope         string
		refresh       bool
		still, noMore time.Duration
		settings      Settings
		access        time.Duration
	}{
		"offline":     {scope: "offline_access patient/*.rs", refresh: true, still: 89 * 24 * time.Hour, noMore: 25 * time.Hour, access: time.Hour},
		"online":      {scope: "online_access patient/*.rs", refresh: true, still: 7 * time.Hour, noMore: 2 * time.Hour, access: time.Hour},
		"neither":     {scope: "patient/*.rs", access: time.Hour},
		"a short one": {scope: "patient/*.rs", settings: Settings{AccessTokenLife: 5 * time.Second}, access: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			r := start(t, Options{Now: c.Now, Settings: test.settings})
			body := r.connect(map[string]string{"scope": test.scope}, Choice{})
			if body["expires_in"] != test.access.Seconds() || (word(body["refresh_token"]) != "") != test.refresh {
				t.Fatalf("%v", body)
			}
			token := word(body["access_token"])
			c.add(test.access - time.Second)
			if resp, _ := r.get("Patient/amara-nwosu", token, nil); resp.StatusCode != 200 {
				t.Errorf("a second before the end: %d", resp.StatusCode)
			}
			c.add(time.Second)
			resp, _ := r.get("Patient/amara-nwosu", token, nil)
			if resp.StatusCode != 401 || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="invalid_token"`) || !strings.Contains(r.lastVerdict(), "expired") {
				t.Errorf("at the end: %d %q %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"), r.lastVerdict())
			}
			if !test.refresh {
				return
			}
			c.add(test.still - test.access)
			_, body = r.post("/auth/token", refreshForm(word(body["refresh_token"])), nil)
			if body["access_token"] == nil {
				t.Fatalf("cannot be renewed after %v: %v", test.still, body)
			}
			c.add(test.noMore)
			if resp, _ := r.post("/auth/token", refreshForm(word(body["refresh_token"])), nil); resp.StatusCode != 400 {
				t.Errorf("can be renewed for ever: %d", resp.StatusCode)
			}
		})
	}
}

func TestChangeWhileRunning(t *testing.T) {
	r := start(t, Options{})
	if err := r.Change(Settings{AccessTokenLife: time.Second, FixedRefreshTokens: true}); err != nil {
		t.Fatal(err)
	}
	if body := r.connect(nil, Choice{}); body["expires_in"] != float64(1) {
		t.Errorf("expires_in %v", body["expires_in"])
	}
	if got := r.Settings().CodeLife; got != time.Minute {
		t.Errorf("a zero does not stand for the default: %v", got)
	}
	if err := r.Change(Settings{CodeLife: -1}); err == nil {
		t.Error("a negative life is taken")
	}
}

func TestRevoke(t *testing.T) {
	r := start(t, Options{})
	body := r.connect(nil, Choice{})
	access, refresh := word(body["access_token"]), word(body["refresh_token"])
	form := func(token, client string) url.Values { return url.Values{"token": {token}, "client_id": {client}} }

	for name, f := range map[string]url.Values{"nonsense": form("nonsense", "chartkey-demo"), "another client's": form(refresh, "chartkey-provider"), "another's access": form(access, "chartkey-provider")} {
		if resp, _ := r.post("/auth/revoke", f, nil); resp.StatusCode != 200 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if resp, _ := r.get("Patient/amara-nwosu", access, nil); resp.StatusCode != 200 {
		t.Fatalf("another client ended the access: %d", resp.StatusCode)
	}
	if resp, _ := r.post("/auth/revoke", form(access, "chartkey-demo"), nil); resp.StatusCode != 200 {
		t.Errorf("access token: %d", resp.StatusCode)
	}
	if resp, _ := r.get("Patient/amara-nwosu", access, nil); resp.StatusCode != 401 || !strings.Contains(r.lastVerdict(), "revoked") {
		t.Errorf("after its end: %d %q", resp.StatusCode, r.lastVerdict())
	}
	_, body = r.post("/auth/token", refreshForm(refresh), nil)
	access = word(body["access_token"])
	if access == "" {
		t.Fatalf("the grant ended with the access token: %v", body)
	}
	r.post("/auth/revoke", form(word(body["refresh_token"]), "chartkey-demo"), nil)
	if resp, _ := r.get("Patient/amara-nwosu", access, nil); resp.StatusCode != 401 {
		t.Errorf("the access token outlived its grant: %d", resp.StatusCode)
	}
	if resp, body := r.post("/auth/revoke", form("", "chartkey-demo"), nil); resp.StatusCode != 400 || body["error"] != "invalid_request" {
		t.Errorf("no token: %d %v", resp.StatusCode, body)
	}
	if resp, _ := r.post("/auth/revoke", form(access, "chartkey-confidential"), nil); resp.StatusCode != 401 {
		t.Errorf("no authentication: %d", resp.StatusCode)
	}
}
